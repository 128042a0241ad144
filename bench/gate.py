"""the gate on a healthy mount: calls and time, beside a round trip"""

from statistics import median

from harness import gate
from harness.errors import between

RUNS = 10
CALLS_MAX, OWN_MAX_MS = 40, 150


def run(cluster):
    host = cluster.host(1)
    host.mount()
    gate.passes(host, "/mnt/data")  # what is only done once per mount
    took, calls, trips = [], [], []
    for _ in range(RUNS):
        before = host.mountstats()
        took.append(gate.passes(host, "/mnt/data").report["took_ms"])
        done = host.mountstats() - before
        calls.append(done.rpcs())
        trips.append(done.ops["GETATTR"].rtt_ms / done.ops["GETATTR"].ops)
    own = median(took) - median(calls) * median(trips)
    cluster.log(f"bench: {max(calls)} calls at most (budget {CALLS_MAX})")
    cluster.log(f"bench: {median(took)} ms, of which {median(calls):.0f} round trips of {median(trips):.2f} ms; own time {own:.0f} ms (budget {OWN_MAX_MS})")
    between("calls", max(calls), 8, CALLS_MAX)
    between("own time", own, -1000, OWN_MAX_MS)
