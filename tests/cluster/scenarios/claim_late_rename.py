"""a claim whose rename is stuck in a cut link, and arrives after others gave back what its task had: the file stays in the queue; not so without removing the directory of claims"""

from harness.claims import Places, Worker, fill, sidecar
from harness.errors import check, equal
from harness.locks import FENCE_S, LEASE_S

HOSTS = 2
DEADLINE_S = 400


def late_rename(cluster, omit=None):
    """Where the second file is after the heal, and what another task worked on then."""
    a, b = cluster.host(1), cluster.host(2)
    for host in a, b:
        host.mount()
    fill(a, "in", ["one", "two"])
    side_a, side_b = sidecar(a, "a", omit=omit), sidecar(b, "b", omit=omit)
    for side in side_a, side_b:
        side.wait("LocksReady", "True", "SlotHeld", 60)
    # a knows of both files when it works on the first: the claim of the second needs nothing but the rename
    first = Worker(a, "a", "in", command="sleep 300")
    cluster.wait_until(first.began, 30, "the first claim")
    renames = a.mountstats().ops["RENAME"].ops
    a.link_down()
    second = Worker(a, "a", "in")
    a.run(["sleep", "2"])
    check(not second.began(), "a file was claimed through a cut link")
    second.process.signal(9)  # or it would claim the file again, and rightly so, when the link heals
    # b gives back what a had; it takes "one" only, so "two" is there when the rename arrives
    other = Worker(b, "b", "in", "--match=one --wait=5m --once")
    cluster.wait_until(other.ended, LEASE_S + FENCE_S + 150, "what a had is given back")
    equal("what b had", other.began(), [("one", "1")])
    check(first.process.poll() is not None, "a still works on it")
    a.link_up()
    cluster.wait_until(lambda: a.mountstats().ops["RENAME"].ops > renames, 60, "the late rename to be answered")
    places = Places(cluster, "in")
    two = [place for place in ("queued", "returned", "claimed") if "two" in getattr(places, place)]
    return two, b


def run(cluster):
    two, b = late_rename(cluster)
    equal("where the file of the late rename is", two, ["queued"])
    last = Worker(b, "b", "in")
    equal("exit code", last.process.wait(60).rc, 0)
    check(last.began()[-1] == ("two", "0"), f"{last.lines()}")
    cluster.reset()
    two, _ = late_rename(cluster, "claim_dir_removal")
    # where it is by now: somebody may have given it back since
    check(two in (["claimed"], ["returned"]), f"the same while the directory of claims is still there: {two}")
