"""the gate that holds a lock finds out when another namespace of its host takes it"""

from harness import gate
from harness.errors import equal, matches

DEADLINE_S = 90


def run(cluster):
    host = cluster.host(1)
    a, b = host.netns("a"), host.netns("b")
    a.mount()
    holder = a.spawn("efs-init --run-dir /run/gate --lock-hold 20s /mnt/data")
    cluster.wait_until(lambda: a.run("ls -A /mnt/data").stdout, 5, "the probe makes its file")
    b.mount()
    gate.run(b, "/mnt/data")
    result = holder.wait(30)
    equal("exit code", result.rc, 42)
    matches("its answer", result.stderr.strip().splitlines()[-1],
            r"NOT READY \(ClientIdentityShared, exit 42\): a lock in /mnt/data was lost \(EIO\) while the mount answered"
            ".*nfs_client/identifier")
