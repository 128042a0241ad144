"""what the gate says when a mount is wrong"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stage import say, show, step  # noqa: E402

HOSTS = 1
GATE = "efs-init --run-dir /run/gate"


def erofs(cluster, host):
    step("The task role lacks elasticfilesystem:ClientWrite: the mount succeeds, and says rw.")
    host.mount("readonly")
    show(host, "grep /mnt/data /proc/self/mounts | cut -c1-98")
    show(host, "touch /mnt/data/file")
    return f"{GATE} /mnt/data"


def uid(cluster, host):
    step("The app runs as 1000:1000, and the directory on the file system is root's.")
    host.mount("normal")
    show(host, "ls -ld /mnt/data")
    return f"{GATE} --as 1000:1000 /mnt/data"


def hang(cluster, host):
    step("The server stops answering after the mount. A plain ls would hang now, and could not be interrupted.")
    host.mount("normal")
    cluster.server.stop()
    return f"{GATE} --deadline 5s /mnt/data"


CASES = {"erofs": erofs, "uid": uid, "hang": hang}


def run(cluster):
    host = cluster.host(1)
    host.run("mkdir -p /run/gate")
    command = CASES[os.environ["DEMO_CASE"]](cluster, host)
    step("The gate:")
    result = show(host, command, timeout=30)
    say(f"\nIt ended after {result.seconds:.1f} s, with exit code {result.rc}; the app's container would not have been started.")
