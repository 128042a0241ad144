"""an application writes and does not close: a peer is told, and reads the bytes"""

import time

from harness import feed
from harness.errors import check, equal

HOSTS = 2
DEADLINE_S = 120


def run(cluster):
    writer, other = feed.start(cluster, 2)
    a, b = writer.host, other.host
    reader = feed.read(other)
    app = a.spawn("exec 3>/mnt/data/log; echo open; while read line; do echo $line >&3; done", )
    app.wait_output("open")
    reader.wait(op="create", path="log", source="peer")
    slowest = 0
    # Each write comes from a process of its own through the same open file, which stays open.
    app.kill()
    app = a.spawn("exec 3>/mnt/data/log; for i in 1 2 3 4 5; do echo line $i >&3; echo wrote $i; sleep 2; done; exec sleep 60 3>&3")
    for i in range(1, 6):
        app.wait_output(f"wrote {i}")
        start = time.monotonic()
        reader.wait(path="log", source="peer", size=7 * i, timeout=10)
        slowest = max(slowest, time.monotonic() - start)
        equal("what a peer reads", b.read("/mnt/data/log").splitlines()[-1], f"line {i}")
    cluster.log(f"the slowest of 5 was told after {slowest:.2f} s; plain NFS: 30 s")
    check(slowest < 5, f"told after {slowest:.2f} s")
    equal("resyncs", reader.resyncs(), [])
    app.kill()
    for sidecar in writer, other:
        sidecar.stop(10)
