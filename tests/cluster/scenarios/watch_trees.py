"""fresh nested trees on NFS are reported whole, and arming 200 directories costs few calls each"""

import json

from harness.errors import between, check, equal

MAKE = """cd /mnt/data && for i in $(seq 50); do
    mkdir -p t$i/s1/s2 && touch t$i/f t$i/s1/f t$i/s1/s2/f
done; touch last"""
DIRS = 200


def run(cluster):
    host = cluster.host(1)
    host.mount()
    host.run(f"cd /mnt/data && mkdir old && cd old && mkdir $(seq {DIRS})")
    before = host.mountstats()
    watch = host.spawn("efs-watch /mnt/data")
    watch.wait_output('"ready"')
    calls = (host.mountstats() - before).rpcs()
    cluster.log(f"{calls} calls for {DIRS} directories")
    between("calls per directory", calls / DIRS, 0, 4)

    host.run(MAKE, timeout=30)
    watch.wait_output('"last"', timeout=20)

    def files():
        seen = [json.loads(line) for line in watch.stdout.splitlines() if '"op"' in line]
        check(not [c for c in seen if c["op"] == "resync"], "a resync")
        return {c["path"] for c in seen if c["path"].endswith("/f")}
    cluster.wait_until(lambda: len(files()) == 150, 10, f"150 files, {len(files())} so far")
    equal("files", len(files()), 150)

    # A quiet watcher costs nothing. That the kernel renews its lease is not the watcher's doing.
    before = host.mountstats()
    host.run("sleep 5")
    calls = (host.mountstats() - before).counts()
    calls.pop("SEQUENCE", None)
    equal("calls in 5 quiet seconds", calls, {})
