"""two hosts write and read each other's files through the server"""

from harness import errors

HOSTS = 2


def run(cluster):
    hosts = [cluster.host(1), cluster.host(2)]
    for host in hosts:
        host.mount()
        host.write(f"/mnt/data/from-{host.name}", f"I am {host.run(['hostname']).stdout}")
    errors.equal("what task2 reads", hosts[1].read("/mnt/data/from-task1"), "I am task1\n")
    errors.equal("what task1 reads", hosts[0].read("/mnt/data/from-task2"), "I am task2\n")

    before = hosts[0].mountstats()
    hosts[0].run(["touch", "/mnt/data/new"])
    calls = (hosts[0].mountstats() - before).counts()
    errors.equal("OPENs of one touch", calls.get("OPEN"), 1)
    options = hosts[0].mountinfo()
    errors.matches("mountinfo", options, r" - nfs4 fs-[0-9a-f]+\.efs\.[^ ]+:/normal rw,vers=4\.1,rsize=1048576,")
