"""locks: hand-over among ten waiters on three hosts, and calls and time of taking and giving back, beside flock(1)"""

import time
from statistics import median

from harness.errors import check
from harness.feedview import Ticks
from harness.host import ECS_OPTIONS
from harness.locks import SIGN_OF_LIFE, sidecar, start

HOSTS = 3
DEADLINE_S = 900
WAITERS, HELD_MS = 10, 50
ROUNDS_OURS, ROUNDS_FLOCK = 8, 2
PAIRS = 200
TIMES_FASTER, CALLS_MORE = 5, 4


def run(cluster):
    hosts = [cluster.host(n) for n in (1, 2, 3)]
    for host in hosts:
        host.mount(opts=ECS_OPTIONS.replace("nfsvers=4.1", "nfsvers=4.0"))
    sides = start(cluster, 3, mount=False)
    hand_over(cluster, hosts)
    for side in sides:
        side.stop(20)
    cost(cluster, hosts[0])


# -- hand-over --

def hand_over(cluster, hosts):
    ticks = Ticks(cluster)
    ours = [gap for n in range(ROUNDS_OURS) for gap in gaps(hosts, ["efsctl", "lock", f"contended{n}", "--"], ticks)]
    flock = [gap for n in range(ROUNDS_FLOCK) for gap in gaps(hosts, ["flock", f"/mnt/data/contended{n}"], ticks)]
    for name, found in ("efsctl lock", ours), ("flock(1)", flock):
        found.sort()
        cluster.log(f"bench: hand-over, {WAITERS} waiters on 3 hosts, held {HELD_MS} ms, {name}: median {median(found):.0f} ms, "
                    f"p99 {found[len(found) * 99 // 100]:.0f} ms of {len(found)}")
    faster = median(flock) / median(ours)
    cluster.log(f"bench: hand-over: {faster:.0f} times faster (at least {TIMES_FASTER})")
    check(faster >= TIMES_FASTER, f"only {faster:.1f} times faster than flock(1)")


def gaps(hosts, command, ticks):
    """From the last sign of each holder to the first of the next, in ms."""
    first = hosts[0].spawn(command + ["lockwork", "hold", "3000"])
    first.wait_output("^E ")
    waiters = [hosts[n % 3].spawn(command + ["lockwork", "hold", str(HELD_MS)]) for n in range(WAITERS)]
    for process in [first] + waiters:
        process.wait(240, check=True)
    signs = [SIGN_OF_LIFE.findall(p.stdout) for p in [first] + waiters]
    spans = sorted((int(lines[0][1]), int(lines[-1][1])) for lines in signs)
    return [ticks.ms(after[0] - before[1]) for before, after in zip(spans, spans[1:])]


# -- taking and giving back when nobody else wants it --

def cost(cluster, host):
    """On NFSv4.1, as on ECS."""
    host.umount()
    host.mount()
    host.run("touch /mnt/data/bare /mnt/data/whole")
    api = [f"{cluster.build}/bench/lockapi", "/run/efs-sidecar/api.sock", "cost"]
    bare = of_pair(cluster, host, "F_OFD_SETLK and unlock on an open file", ["lockwork", "pairs", "/mnt/data/bare"])
    of_pair(cluster, host, "flock(2) and unlock on an open file", ["lockwork", "flocks", "/mnt/data/whole"])
    calls = {}
    for words, switch in ("without announcements", "false"), ("with announcements", "true"):
        side = sidecar(host, f"--watch-enabled={switch}")
        side.wait("LocksReady", "True", "SlotHeld", 60)
        calls[switch] = of_pair(cluster, host, f"lock and release over the API, {words}", api)
        if switch == "true":
            for name, command in ("flock FILE true", ["flock", "/mnt/data/whole", "true"]), ("efsctl lock NAME -- true", ["efsctl", "lock", "x", "--", "true"]):
                took = [host.run(command).seconds * 1000 for _ in range(20)]
                cluster.log(f"bench: uncontended: {name}: {median(took):.1f} ms, the start of processes included")
        side.stop(20)
    cluster.log(f"bench: uncontended: {calls['false'] - bare:.2f} calls more than the bare pair (at most {CALLS_MORE}), "
                f"{calls['true'] - calls['false']:.2f} to announce it")
    check(calls["false"] - bare <= CALLS_MORE + 0.1, f"{calls['false'] - bare:.2f} calls more than a bare pair")


def of_pair(cluster, host, name, command):
    """Calls of a pair, without FREE_STATEID; what goes on anyway is taken off."""
    host.run(command + ["10"])  # what is only done once
    idle = rate(host, 5)
    before, began = host.mountstats(), time.monotonic()
    us = [int(line) for line in host.run(command + [str(PAIRS)], timeout=120).stdout.split()]
    time.sleep(2)  # for what is announced late
    found, seconds = (host.mountstats() - before).counts(), time.monotonic() - began
    calls = {op: round((n - idle.get(op, 0) * seconds) / PAIRS, 2) for op, n in found.items()}
    calls = {op: n for op, n in calls.items() if n > 0.02}
    cluster.log(f"bench: uncontended: {name}: median {median(us) / 1000:.2f} ms, calls {calls}")
    return sum(n for op, n in calls.items() if op != "FREE_STATEID")


def rate(host, seconds):
    before = host.mountstats()
    time.sleep(seconds)
    return {op: n / seconds for op, n in (host.mountstats() - before).counts().items()}
