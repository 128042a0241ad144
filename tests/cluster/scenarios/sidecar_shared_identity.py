"""a namespace of the same host name takes a sidecar's slot: it says so, names the cure, and does not flap"""

from harness.errors import check, equal, matches
from harness.sidecar import Sidecar

DEADLINE_S = 120


def run(cluster):
    host = cluster.host(1)
    a, b = host.netns("a"), host.netns("b")
    a.mount()
    first = Sidecar(a, "/mnt/data", task="a")
    first.ready()
    b.mount()
    second = Sidecar(b, "/mnt/data", task="b")
    message = first.wait("LocksReady", "False", "ClientIdentityShared", 20)
    matches("its message", message, r"same NFS client.*nfs_client/identifier")
    equal("MountReady", first.conditions()["MountReady"][:2], ("True", "MountAnswers"))

    # It takes a slot again, but that is no reason to call it good.
    def turns():
        return [line for line in first.process.stderr.splitlines() if '"condition":"LocksReady"' in line]

    before = len(turns())
    for _ in range(20):
        equal("LocksReady", first.conditions()["LocksReady"][:2], ("False", "ClientIdentityShared"))
        a.run(["sleep", "0.5"])
    check(len(turns()) == before, f"LocksReady flapped: {turns()[before:]}")
    second.stop()
    first.stop()
