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
    sidecars = feed.start(cluster, 2, SMALL)
    writer, other = sidecars
    reader = feed.Reader(other)
    watch = other.host.run(["pgrep", "-x", "efs-watch"]).stdout.split()[0]

    # Both, because the sidecar would start another one instead of one that sleeps.
    def sleep_both():
        other.host.run(["kill", "-STOP", str(other.process.pid), watch])

    def wake_both():
        other.host.run(["kill", "-CONT", watch])
        time.sleep(1)
        other.host.run(["kill", "-CONT", str(other.process.pid)])

    # Rotated once, and still there: nothing is lost.
    sleep_both()
    make(writer.host, "some", 900)
    time.sleep(2)
    wake_both()
    reader.wait(path="some/file-with-a-long-name-899", timeout=60)
    told = {change["path"] for change in reader.changes()}
    equal("of 900 files told", len([path for path in told if path.startswith("some/")]), 900)
    equal("resyncs", reader.resyncs(), [])

    # Further than is kept.
    sleep_both()
    make(writer.host, "many", 4000)
    time.sleep(3)
    cluster.log(segments(writer.host))
    wake_both()
    cluster.wait_until(lambda: len({c["path"] for c in reader.changes() if c.get("path", "").startswith("many/")}) == 4000, 90,
                       "all 4000 files, by records or by looking again")
    check(1 <= len(reader.resyncs()) <= 2, reader.resyncs())
    equal("reasons", {r["reason"] for r in reader.resyncs()}, {"journal_gap"})
    for sidecar in sidecars:
        sidecar.stop(20)
