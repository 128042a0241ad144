"""efsctl, sidecar or host of who works on a file is killed: another task has the file after the fence, and nobody works on it any more by then"""

from harness.claims import fill, sidecar
from harness.errors import check
from harness.feedview import Ticks
from harness.locks import FENCE_S, LEASE_S, PROOF_S

HOSTS = 3
DEADLINE_S = 240
BUSY_S = 30  # rounds of janitor and reaper, a look at the queue, and what a busy machine adds
ROUND_S = 60


def work(host, task, queue, ms):
    """`efsctl claim`: its command gives signs of life for so long, and does not heed SIGTERM."""
    hold = f"exec lockwork hold {ms} stubborn"
    return host.spawn(["efsctl", f"--run-dir=/run/{task}", "claim", queue, "--once", "--wait=10m", "--", "sh", "-c", hold, "sh"],
                      env={"EFS_LOCK_NAME": queue, "EFS_LOCK_TOKEN": "1.1"})


def sign(process, which):
    """Ticks of the first (0) or last (-1) sign of life."""
    return int([line for line in process.stdout.splitlines() if line[:2] in ("E ", "B ")][which].split()[1])


def run(cluster):
    ticks = Ticks(cluster)
    hosts = [cluster.host(n) for n in (1, 2, 3)]
    for host in hosts:
        host.mount()
    observer = sidecar(hosts[0], "observer")
    sides = {"efsctl": sidecar(hosts[0], "efsctl"), "sidecar": sidecar(hosts[1], "sidecar"), "host": sidecar(hosts[2], "host")}
    holders, waiters, began = {}, {}, {}
    for side in observer, *sides.values():
        side.wait("LocksReady", "True", "SlotHeld", 60)
    for victim, side in sides.items():
        fill(hosts[0], victim, ["file"])
        holders[victim] = work(side.host, victim, victim, 300000)
        holders[victim].wait_output("^E ", 30)
        waiters[victim] = work(hosts[0], "observer", victim, 10)
    for victim, side in sides.items():
        began[victim] = ticks.read()[0]
        {"efsctl": holders["efsctl"].signal, "sidecar": side.process.signal, "host": lambda _: hosts[2].kill()}[victim](9)
    floors = {"efsctl": FENCE_S - PROOF_S, "sidecar": FENCE_S, "host": FENCE_S}
    for victim, floor_s in floors.items():
        waiters[victim].wait_output("^E ", LEASE_S + FENCE_S + 3 * ROUND_S)
        took_s = ticks.ms(sign(waiters[victim], 0) - began[victim]) / 1000
        gap_s = ticks.ms(sign(waiters[victim], 0) - sign(holders[victim], -1)) / 1000
        cluster.log(f"takeover: {victim} killed: the file is worked on again after {took_s:.1f} s, {gap_s:.1f} s after the last sign of life")
        check(gap_s > 0, f"{victim}: two worked on the file at once, for {-gap_s:.3f} s")
        check(took_s >= floor_s - 0.1, f"{victim}: taken over after {took_s:.2f} s, before its time was up")
        check(took_s <= LEASE_S + FENCE_S + 2 * ROUND_S + BUSY_S, f"{victim}: taken over only after {took_s:.0f} s")
        waiters[victim].wait(60, check=True)
