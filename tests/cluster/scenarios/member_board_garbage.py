"""garbage on the board, in the slot that a task wants and while tasks run: nobody stumbles, and changes go on being told"""

from harness import board
from harness.errors import check, equal
from harness.sidecar import Sidecar, told

HOSTS = 2
DEADLINE_S = 90


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    first = Sidecar(a, "/mnt/data", task="first")
    first.ready()
    slot = first.feed()["slot"]
    first.stop()
    board.write(cluster.server, slot, b"\xff" * board.SLOT_BYTES)
    for n in range(200, 210):
        board.write(cluster.server, n, b"ES\x01\x01" + bytes(range(60)))

    first = Sidecar(a, "/mnt/data", task="first", options="--feed-poll=200ms")
    second = Sidecar(b, "/mnt/data", task="second", options="--feed-poll=200ms")
    first.ready()
    second.ready()
    equal("slot", first.feed()["slot"], slot)
    check(first.feed()["epoch"] >= 2, f"an epoch was used twice: {first.feed()}")
    stream = second.changes()
    a.write("/mnt/data/one", "x")
    stream.wait_output('"one"', 15)
    for n in range(200, 210):
        board.write(cluster.server, n, bytes(63 - i for i in range(64)))
    a.write("/mnt/data/two", "x")
    stream.wait_output('"two"', 15)
    equal("who saw it", [c["source"] for c in told(stream, path="two")][:1], ["peer"])
    for sidecar in (first, second):
        sidecar.check_lives()
        equal("restarts", sidecar.mount_status()["watch"]["restarts"], 0)
        sidecar.stop()
