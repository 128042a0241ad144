"""the gate refuses a plain directory where EFS was expected, and says where EFS is"""

from harness import gate
from harness.errors import equal


def run(cluster):
    host = cluster.host(1)
    host.mount()
    host.run("mkdir -p /mnt/elsewhere")
    gate.refuses(host, "/mnt/elsewhere", 13, "NotMounted",
                 "plain directory on tmpfs.*NFS is mounted at /mnt/data.*mountPoints entry")
    equal("what the gate made there", host.run("ls -A /mnt/elsewhere").stdout, "")
