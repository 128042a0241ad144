"""a state directory of another root, or of a newer format, is refused with what to do; what happens here is seen all the same"""

from harness.errors import equal, matches
from harness.server import NAME
from harness.sidecar import Sidecar

DEADLINE_S = 90


def run(cluster):
    host = cluster.host(1)
    host.mount()
    sidecar = Sidecar(host, "/mnt/data")
    sidecar.ready()
    sidecar.stop()
    host.run("mkdir /mnt/data/copy && cp -a /mnt/data/.efs-sidecar /mnt/data/copy")
    host.mount(path="/mnt/copy", source=f"{NAME}:/normal/copy")

    sidecar = Sidecar(host, "/mnt/copy")
    message = sidecar.wait("LocksReady", "False", "ForeignState", 15)
    matches("its message", message, r"inode \d+ .* this mount shows inode \d+ .*efsctl state reset")
    sidecar.wait("FeedReady", "False", "NotAnnounced", 15)
    equal("member", sidecar.feed("/mnt/copy")["member"], False)
    stream = sidecar.changes()
    host.write("/mnt/copy/seen", "x")
    stream.wait_output('"seen"', 10)
    equal("what it wrote into the state", host.run("ls /mnt/copy/.efs-sidecar/members").stdout, "")
    sidecar.stop()

    version = host.read("/mnt/data/.efs-sidecar/VERSION").replace('"format": 1', '"format": 99')
    host.write("/mnt/data/.efs-sidecar/VERSION", version)
    sidecar = Sidecar(host, "/mnt/data")
    matches("its message", sidecar.wait("LocksReady", "False", "StateNewer", 15), "format 99 .*run the version")
    # Somebody goes back to this version: it joins without being started again.
    host.write("/mnt/data/.efs-sidecar/VERSION", version.replace("99", "1"))
    sidecar.wait("LocksReady", "True", "SlotHeld", 30)
    sidecar.wait("FeedReady", "True", "Watching", 30)
    sidecar.stop()
