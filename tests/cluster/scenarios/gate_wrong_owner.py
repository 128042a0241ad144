"""the gate compares ids with the directory's owner, and new files' owner with the expected one"""

from harness import gate


def run(cluster):
    host = cluster.host(1)
    host.mount()
    cluster.server.run(["chown", "1000:1000", cluster.server.path("normal")])
    gate.refuses(host, "--as 2000:2000 /mnt/data", 22, "PermissionDenied",
                 "EACCES.*belongs to 1000:1000 with mode 0755, this process is 2000:2000.*chown")
    gate.passes(host, "--as 1000:1000 /mnt/data")

    host.mount("squash1000", "/mnt/point")
    gate.refuses(host, "--expect-owner 2000:2000 /mnt/point", 25, "WrongOwner",
                 "belong to 1000:1000, expected is 2000:2000.*posixUser")
