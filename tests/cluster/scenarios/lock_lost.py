"""a server that restarts lets a lock be kept, one that forgets loses it: the command is ended before the next one runs; nothing is written by who lost it"""

from harness.errors import check
from harness.locks import FENCE_S, LEASE_S, Command, start

HOSTS = 2
DEADLINE_S = 180


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    sides = start(cluster, 2)

    # The grace period is as long as a lease: a holder whose promise ends sooner may have to give up, but says so.
    holder = Command(a, "kept", stubborn=True)
    first = holder.entered()
    waiter = Command(b, "kept", ms=10)
    waiter.waits()
    cluster.server.restart_nfsd()
    a.run(["sleep", str(LEASE_S + 4)], timeout=30)
    kept = holder.process.poll() is None
    cluster.log(f"locks: after a restart of the server the lock was {'kept' if kept else 'lost'}")
    if kept:
        check(not waiter.is_in(), "two commands at once")
        check("lost" not in holder.process.stderr and "time is up" not in holder.process.stderr, holder.process.stderr)
        holder.kill()
    else:
        check("lost" in holder.process.stderr or "proven" in holder.process.stderr or "time is up" in holder.process.stderr, holder.process.stderr)
    check(waiter.entered(40) > first, "the token did not increase")

    # A lock that the server has forgotten: the next proof fails.
    holder = Command(a, "forgotten", stubborn=True)
    first = holder.entered()
    cluster.server.restart_nfsd(forget=True)
    waiter = Command(b, "forgotten", ms=10)
    token = waiter.entered(LEASE_S + FENCE_S + 40)
    check(token > first, f"token {token} after {first}")
    check(waiter.ticks(0) > holder.ticks(-1), "two commands at once")
    holder.process.wait(20)
    check("the server gave the lock away" in holder.process.stderr, holder.process.stderr)
    for side, host in zip(sides, (a, b)):
        side.wait("LocksReady", "True", "SlotHeld", 60)
        again = Command(host, "forgotten", ms=10)
        later = again.entered(40)
        check(later > token, f"token {later} after {token}")
        token = later
        side.check_lives()
