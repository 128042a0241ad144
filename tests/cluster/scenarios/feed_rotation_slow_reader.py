"""segments are rotated while a reader sleeps: it goes on where it was, or, too far behind, resyncs once"""

import time

from harness import feed
from harness.errors import check, equal

HOSTS = 2
DEADLINE_S = 240

# About 100 bytes a record: 700 to a segment.
SMALL = "--feed-segment=64KiB --feed-segments=3"


def make(host, name, count):
    host.run(f"mkdir /mnt/data/{name} && cd /mnt/data/{name} && i=0; while [ $i -lt {count} ]; do : >file-with-a-long-name-$i; i=$((i+1)); done",
             timeout=120)


def segments(host):
    return host.run("ls /mnt/data/.efs-sidecar/feed/*/").stdout


def run(cluster):
    writer, = feed.start(cluster, 1, SMALL)
    b = cluster.host(2)
    b.mount()
    reader = feed.listen(b)

    # Rotated once, and still there: nothing is lost.
    reader.process.signal(19)
    make(writer.host, "some", 900)
    time.sleep(2)
    reader.process.signal(18)
    reader.wait(path="some/file-with-a-long-name-899", timeout=60)
    told = {change["path"] for change in reader.changes()}
    equal("of 900 files told", len([path for path in told if path.startswith("some/")]), 900)
    equal("resyncs", reader.resyncs(), [])

    # Further than is kept.
    reader.process.signal(19)
    make(writer.host, "many", 4000)
    time.sleep(3)
    cluster.log(segments(writer.host))
    reader.process.signal(18)
    cluster.wait_until(lambda: len({c["path"] for c in reader.changes() if c.get("path", "").startswith("many/")}) == 4000, 90,
                       "all 4000 files, by records or by looking again")
    check(1 <= len(reader.resyncs()) <= 2, reader.resyncs())
    equal("reasons", {r["reason"] for r in reader.resyncs()}, {"journal_gap"})
    reader.process.kill()
    writer.stop(20)
