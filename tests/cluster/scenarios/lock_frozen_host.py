"""a host frozen past its fence: another one has the lock; after the thaw the command is ended at once, and the loss is called what it is"""

from harness.errors import check
from harness.feedview import Ticks
from harness.locks import FENCE_S, LEASE_S, Command, start

HOSTS = 2
DEADLINE_S = 150
THAWED_S = 2  # only the token protects until the guard has run


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    frozen, _ = start(cluster, 2)
    ticks = Ticks(cluster)
    holder = Command(a, "frozen", stubborn=True)
    token = holder.entered()
    waiter = Command(b, "frozen", ms=10)
    waiter.waits()
    a.stop()
    later = waiter.entered(LEASE_S + FENCE_S + 30)
    check(later > token, f"token {later} after {token}")
    thawed = ticks.read()[0]
    a.cont()
    holder.process.wait(20)
    ran_on_s = ticks.ms(holder.ticks(-1) - thawed) / 1000
    cluster.log(f"locks: the command ran on for {max(ran_on_s, 0) * 1000:.0f} ms after the thaw")
    check(ran_on_s < THAWED_S, f"the command ran on for {ran_on_s:.3f} s after the thaw")
    frozen.wait("LocksReady", "True", "SlotHeld", 60)
    log = frozen.process.stderr
    check('"reason":"LeaseLost"' in log and '"reason":"ClientIdentityShared"' not in log, log)
