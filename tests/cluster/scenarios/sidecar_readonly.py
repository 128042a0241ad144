"""mounts that cannot be written: refused when they should be, fine when they are used as :ro"""

from harness.errors import equal, matches
from harness.host import ECS_OPTIONS
from harness.sidecar import Sidecar

DEADLINE_S = 90


def run(cluster):
    host = cluster.host(1)
    host.mount("readonly", "/mnt/export")
    host.mount("normal", "/mnt/ro", opts=ECS_OPTIONS + ",ro")

    # Wanted rw: the server refuses one, the mount the other.
    sidecar = Sidecar(host, "/mnt/export /mnt/ro")
    message = sidecar.wait("MountReady", "False", "ReadOnly", 15, "/mnt/export")
    matches("its message", message, "ClientWrite")
    message = sidecar.wait("MountReady", "False", "ReadOnly", 15, "/mnt/ro")
    matches("its message", message, "Remove readOnly from mountPoints")
    equal("task_dir", sidecar.mount_status("/mnt/export")["task_dir"], None)
    sidecar.stop()

    # Used as they are: fine, the feed is the local one, and locks are said to be impossible.
    sidecar = Sidecar(host, "/mnt/export:ro /mnt/ro:ro")
    sidecar.wait("MountReady", "True", "MountAnswers", 15)
    sidecar.wait("FeedReady", "True", "Watching", 15)
    for path in "/mnt/export", "/mnt/ro":
        equal("LocksReady", sidecar.conditions(path)["LocksReady"][:2], ("False", "ReadOnlyMount"))
        equal("read_only", sidecar.mount_status(path)["read_only"], True)
    equal("what is left on the share", host.run("ls -A /mnt/export").stdout, "")
    sidecar.stop()
