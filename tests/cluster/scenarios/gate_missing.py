"""the gate says which part of a missing path exists, and what is no directory"""

from harness import gate


def run(cluster):
    host = cluster.host(1)
    host.mount()
    host.write("/mnt/data/file", "")
    gate.refuses(host, "/mnt/data/app/in", 10, "PathMissing",
                 r"/mnt/data/app/in does not exist; what there is of it is /mnt/data\. .*on EFS \(/mnt/data is mounted\)")
    gate.refuses(host, "/mnt/nothing", 10, "PathMissing", "what there is of it is /mnt.*containerPath /mnt/nothing")
    gate.refuses(host, "/mnt/data/file", 11, "NotADirectory", "/mnt/data/file is not a directory")
