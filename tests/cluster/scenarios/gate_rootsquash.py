"""the gate says when root is not root to the server"""

from harness import gate
from harness.errors import matches


def run(cluster):
    host = cluster.host(1)
    host.mount("rootsquash")
    gate.refuses(host, "/mnt/data", 23, "RootSquashed", "EACCES.*although this process is root.*ClientRootAccess")

    cluster.server.run(["chmod", "0777", cluster.server.path("rootsquash")])
    host.run("sleep 0.1")
    result = gate.passes(host, "/mnt/data")
    matches("the owner check", result.lines, "warn +owner +new files belong to nobody")
