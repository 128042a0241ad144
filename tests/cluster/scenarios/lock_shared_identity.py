"""two tasks on one kernel with one host name are one NFS client: the first loses its locks, its command is ended before the second one's runs"""

from harness.errors import check
from harness.locks import Command, sidecar

DEADLINE_S = 120


def run(cluster):
    host = cluster.host(1)
    one, two = host.netns("a"), host.netns("b")
    one.mount()
    first = sidecar(one)
    first.wait("LocksReady", "True", "SlotHeld", 60)
    holder = Command(one, "shared", stubborn=True)
    token = holder.entered()
    two.mount()  # to the server this is the first one, restarted
    second = sidecar(two)
    second.wait("LocksReady", "True", "SlotHeld", 60)
    taker = Command(two, "shared", ms=10)
    holder.process.wait(30)
    check("another mount presents itself as this NFS client" in holder.process.stderr, holder.process.stderr)
    first.wait("LocksReady", "False", "ClientIdentityShared", 30)
    # As long as both are there neither keeps anything for long.
    first.process.signal(9)
    one.umount()
    later = taker.entered(60)
    check(later > token, f"token {later} after {token}")
    check(taker.ticks(0) > holder.ticks(-1), "two commands at once")
