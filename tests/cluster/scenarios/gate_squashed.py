"""the gate names an identity that the server replaces and that cannot write, and who owns new files"""

from harness import gate
from harness.errors import matches


def run(cluster):
    host = cluster.host(1)
    host.mount("squash_nowrite")
    cluster.server.run(["chown", "2000:2000", cluster.server.path("squash_nowrite")])
    gate.refuses(host, "--as 2000:2000 /mnt/data", 24, "SquashedIdentity",
                 "EACCES.*belongs to 2000:2000 with mode 0755.*posixUser of the access point to 2000:2000")

    host.mount("squash1000", "/mnt/point")
    result = gate.passes(host, "--as 4000:4000 /mnt/point")
    matches("the owner check", result.lines, "ok +owner +new files belong to 1000:1000, this process is 4000:4000")
    gate.passes(host, "--expect-owner 1000:1000 /mnt/point")
