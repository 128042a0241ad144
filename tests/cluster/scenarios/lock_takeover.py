"""how long until the next one has a lock, by how the last one ended, beside the floor of each; and the API answers with the link cut"""

import time

from harness.errors import between, check
from harness.feedview import Ticks
from harness.locks import FENCE_S, LEASE_S, POLL_MS, PROOF_S, VALID_S, Command, listed, sidecar, start

HOSTS = 3
DEADLINE_S = 200
BUSY_S = 4  # what a machine that does much else adds, at most


class Takeovers:
    def __init__(self, cluster):
        self.cluster, self.ticks = cluster, Ticks(cluster)

    def now(self):
        return self.ticks.read()[0]

    def seconds(self, ticks):
        return self.ticks.ms(ticks) / 1000

    def pair(self, holder_host, waiter_host, name, **how):
        holder = Command(holder_host, name, **how)
        holder.entered()
        waiter = Command(waiter_host, name, ms=10)
        waiter.waits()
        return holder, waiter

    def judge(self, what, start_ticks, holder, waiter, floor_s, least_s=None):
        """The waiter runs; from when the holder's end began. A lease that was half over, a proof that was old make it less."""
        waiter.entered(40)
        took = self.seconds(waiter.ticks(0) - start_ticks)
        self.cluster.log(f"takeover: {what}: {took:.2f} s (floor {floor_s:.2f} s)")
        gap = self.seconds(waiter.ticks(0) - holder.ticks(-1))
        check(gap > 0, f"{what}: the next one ran {-gap:.3f} s before the last sign of life of the one before")
        between(f"{what}: seconds until the next has it", took, (floor_s if least_s is None else least_s) - 0.1,
                floor_s + POLL_MS / 1000 + BUSY_S)


def run(cluster):
    a, b, c = (cluster.host(n) for n in (1, 2, 3))
    sides = start(cluster, 3)
    t = Takeovers(cluster)

    # The death of a host takes longest: the rest happens meanwhile.
    dead, after_death = t.pair(c, b, "death")
    died = t.now()
    c.kill()

    holder, waiter = t.pair(a, b, "release", ms=2500)
    holder.process.wait(20, check=True)
    t.judge("clean release", holder.ticks(-1), holder, waiter, 0)

    holder, waiter = t.pair(a, b, "term")
    began = t.now()
    holder.process.signal(15)
    t.judge("SIGTERM", began, holder, waiter, 0)

    holder, waiter = t.pair(a, b, "kill")
    began = t.now()
    holder.kill()
    t.judge("SIGKILL of the command", began, holder, waiter, 0)

    # Who lost its efsctl may go on until the last promise is over; the last proof may be some time ago.
    holder, waiter = t.pair(a, b, "efsctl", stubborn=True)
    began = t.now()
    holder.process.signal(9)
    t.judge("SIGKILL of efsctl", began, holder, waiter, FENCE_S - PROOF_S)
    check(t.seconds(holder.ticks(-1) - began) < VALID_S + 1, "the command outlived its time")

    holder, waiter = t.pair(a, b, "sidecar", stubborn=True)
    began = t.now()
    sides[0].process.signal(9)
    t.judge("SIGKILL of the sidecar", began, holder, waiter, FENCE_S)
    check(t.seconds(holder.ticks(-1) - began) < VALID_S + 1, "the command outlived its time")

    t.judge("death of the host", died, dead, after_death, LEASE_S + FENCE_S, FENCE_S)

    sides[0] = sidecar(a)
    sides[0].wait("LocksReady", "True", "SlotHeld", 60)
    holder, waiter = t.pair(a, b, "partition", stubborn=True)
    idle = max(listed(sides[0], "partition")[0] for _ in range(5))
    began = t.now()
    a.link_down()
    time.sleep(3)
    cut = max(listed(sides[0], "partition")[0] for _ in range(10))
    cluster.log(f"takeover: GET /v1/locks: {idle * 1000:.0f} ms at most before the link is cut, {cut * 1000:.0f} ms during it")
    check(cut < 0.1 + idle, f"GET /v1/locks took {cut:.3f} s with the link cut, {idle:.3f} s before")
    t.judge("partition", began, holder, waiter, LEASE_S + FENCE_S, FENCE_S)
    check(t.seconds(holder.ticks(-1) - began) < VALID_S + 1, "the command outlived its time")
    check("lost" in holder.process.stderr or "cannot be proven" in holder.process.stderr, holder.process.stderr)
    a.link_up()
