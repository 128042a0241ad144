"""A declared foreign writer, a host without a sidecar: one scan for all finds what it makes, changes in place and removes"""

import time

from harness import feed
from harness.errors import check, equal

HOSTS = 3
DEADLINE_S = 150
PERIOD_S = 4
GRACE_S = 3  # a poll of the board, and 2 s for a member's own word
OPTIONS = f"--scan-interval={PERIOD_S}s --scan-rate=500"


def scan_of(sidecar):
    return sidecar.feed()["scan"]


def elected(sidecars):
    return [s for s in sidecars if scan_of(s)["state"] in ("running", "idle")]


def run(cluster):
    foreign = cluster.host(3)
    foreign.mount()
    foreign.run("cd /mnt/data && mkdir -p old/deep && for i in $(seq 20); do echo before >old/deep/$i; done")
    sidecars = feed.start(cluster, 2, OPTIONS)
    cluster.wait_until(lambda: elected(sidecars), 20, "a scanner")
    scanner = elected(sidecars)[0]
    cluster.wait_until(lambda: scan_of(scanner)["entries"] > 20 and scan_of(scanner)["age_ms"] is not None, 30, "the first whole scan")
    equal("scanners", len(elected(sidecars)), 1)
    readers = [feed.read(sidecar) for sidecar in sidecars]

    began = time.monotonic()
    foreign.run("cd /mnt/data && mkdir new && echo made >new/made && echo later >old/deep/7 && rm old/deep/8 && "
                "echo tmp >.tmp && mv .tmp old/deep/9")
    for reader in readers:
        for wanted in ({"op": "create", "path": "new"}, {"op": "create", "path": "new/made"}, {"op": "modify", "path": "old/deep/7"},
                       {"op": "delete", "path": "old/deep/8"}, {"op": "modify", "path": "old/deep/9"}):
            reader.wait(timeout=3 * PERIOD_S + GRACE_S + 20, source="scan", **wanted)
    took = time.monotonic() - began
    cluster.log(f"all five found at both hosts in {took:.1f} s; period {PERIOD_S} s and {GRACE_S} s of grace")
    for reader in readers:
        equal("resyncs", reader.resyncs(), [])
        check(not reader.find(path="old/deep/6"), "what did not change was told")
    # What is found is also watched: a change of a member in the foreign directory comes as an event.
    other = next(s for s in sidecars if s is not scanner)
    other.host.write("/mnt/data/new/own", "x")
    readers[sidecars.index(other)].wait(op="create", path="new/own", source="local")
    readers[sidecars.index(scanner)].wait(op="create", path="new/own", source="peer")

    # The scanner leaves: the other takes over, and says that it cannot know what came between.
    scanner.stop(15)
    heir = readers[sidecars.index(other)]
    heir.wait(timeout=60, op="resync", reason="scan")
    foreign.run("rm /mnt/data/new/made")
    heir.wait(timeout=3 * PERIOD_S + GRACE_S + 20, op="delete", path="new/made", source="scan")
    other.stop(15)
