"""the gate passes on ECS's mount options, with at most 40 calls, and leaves nothing behind"""

from harness import gate
from harness.errors import between, check, equal


def run(cluster):
    host = cluster.host(1)
    host.mount()
    before = host.mountstats()
    result = gate.passes(host, "/mnt/data=fs-0123456789abcdef0")
    calls = host.mountstats() - before
    cluster.log(f"{calls.rpcs()} calls: {calls.counts()}; took {result.report['took_ms']} ms")
    between("calls of the gate", calls.rpcs(), 8, 40)
    equal("verdicts", [v for v in gate.verdicts(result) if v[1] != "ok"], [])
    check({"write", "lock", "names", "owner"} <= {v[0] for v in gate.verdicts(result)}, "a check is missing")
    equal("what is left in the directory", host.run("ls -A /mnt/data").stdout, "")

    many = cluster.server.path() + "/many"
    cluster.server.run(f"mkdir {many}; cd {many}; for i in $(seq 5000); do : >name-$i; done", timeout=30)
    before = host.mountstats()
    gate.passes(host, "/mnt/data/many")
    calls = host.mountstats() - before
    cluster.log(f"{calls.rpcs()} calls in a directory of 5000 files: {calls.counts()}")
    between("calls in a directory of 5000 files", calls.rpcs(), 8, 40)

    host.mount(path="/mnt/config", opts="nfsvers=4.1,rsize=1048576,wsize=1048576,hard,noresvport,ro")
    gate.passes(host, "/mnt/data:rw /mnt/config:ro")
    gate.refuses(host, "/mnt/data=fs-0fedcba9876543210", 14, "WrongFileSystem", "fs-0123456789abcdef0 is mounted.*fs-0fedcba9876543210 was asked for")
