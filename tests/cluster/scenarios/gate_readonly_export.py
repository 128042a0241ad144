"""the gate tells a server that refuses writes from a mount that is read-only"""

from harness import gate
from harness.errors import matches


def run(cluster):
    host = cluster.host(1)
    host.mount("readonly")
    matches("mountinfo", host.mountinfo(), " rw,.* - nfs4 [^ ]+ rw,")
    gate.refuses(host, "/mnt/data", 21, "NoClientWrite", "EROFS.*although the mount is read-write.*ClientWrite")
    gate.passes(host, "/mnt/data:ro")
