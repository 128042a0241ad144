"""a member that is cut off and loses its slot: its late write does not reach the board, it joins anew, and what it saw meanwhile is not lost"""

from harness import board
from harness.errors import check, equal
from harness.sidecar import Sidecar, told

HOSTS = 2
DEADLINE_S = 120


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    first = Sidecar(a, "/mnt/data", task="same", options="--feed-poll=200ms")
    first.ready()
    slot = first.feed()["slot"]
    a.write("/mnt/data/before", "x")
    a.link_down()
    writer = a.spawn("echo late >/mnt/data/late; echo done")
    first.wait("MountReady", "False", "MountStalled", 20)
    a.run(["sleep", "8"], timeout=20)  # longer than the server's lease
    second = Sidecar(b, "/mnt/data", task="same", options="--feed-poll=200ms")
    second.ready(60)
    equal("the slot of the successor", second.feed()["slot"], slot)
    stream = second.changes()
    b.write("/mnt/data/of-b", "x")
    stream.wait_output('"of-b"', 15)
    cluster.wait_until(lambda: board.read(cluster.server)[slot].sequence > 0, 15, "the successor announces")
    owned = board.read(cluster.server)[slot]

    a.link_up()
    writer.wait(30)
    cluster.wait_until(lambda: first.feed()["slot"] not in (None, slot), 60, "the first has another slot")
    first.wait("FeedReady", "True", "Watching", 30)
    first.wait("LocksReady", "True", "SlotHeld", 60)
    now = board.read(cluster.server)[slot]
    equal("epoch of the slot", now.epoch, owned.epoch)
    check(now.sequence >= owned.sequence, f"the slot went back: {owned} {now}")
    check(now.epoch > 1, f"the successor has the epoch of the dead: {now}")
    cluster.wait_until(lambda: told(stream, op="resync", reason="fenced"), 30, "the resync of the first")
    fenced = told(stream, op="resync", reason="fenced")
    equal("resyncs", len(fenced), 1)
    stream.wait_output('"late"', 20)
    log = first.process.stderr
    check('"reason":"LeaseLost"' in log and '"reason":"ClientIdentityShared"' not in log, log)
    a.write("/mnt/data/healed", "x")
    stream.wait_output('"healed"', 15)
    second.stop()
    first.stop()
    equal("slots that were not left", [s for s in board.read(cluster.server).values() if s.state != board.LEFT], [])
