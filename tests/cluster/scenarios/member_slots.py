"""two starters for one slot get different ones and are told; a slot that was left is used again, as a new epoch and without a resync"""

from harness import board
from harness.errors import check, equal
from harness.sidecar import Sidecar, told

HOSTS = 2
DEADLINE_S = 90


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    both = [Sidecar(host, "/mnt/data", task="same") for host in (a, b)]
    for sidecar in both:
        sidecar.ready()
    slots = [sidecar.feed()["slot"] for sidecar in both]
    check(slots[0] != slots[1], f"both have slot {slots[0]}")
    messages = [sidecar.conditions()["LocksReady"][2] for sidecar in both]
    cluster.log(f"slots {slots}: {messages}")
    for slot in slots:
        equal(f"slot {slot}", board.read(cluster.server)[slot][:2], (board.JOINED, 1))

    first, second = (both[0], both[1]) if (slots[0] + 1) % 256 == slots[1] else (both[1], both[0])
    slot = first.feed()["slot"]
    first.stop()
    equal("the slot that was left", board.read(cluster.server)[slot][:2], (board.LEFT, 1))
    stream = second.changes()
    again = Sidecar(first.host, "/mnt/data", task="same")
    again.ready()
    equal("slot and epoch", (again.feed()["slot"], again.feed()["epoch"]), (slot, 2))
    again.host.write("/mnt/data/after", "x")
    stream.wait_output('"after"', 15)
    equal("resyncs", told(stream, op="resync"), [])
    equal("who saw it", [c["source"] for c in told(stream, path="after")][:1], ["peer"])
    again.stop()

    # Started anew while the other one, with its name, is there: the first choice is not free.
    third = Sidecar(first.host, "/mnt/data", task="same", options="--state-dir=.efs-sidecar")
    third.ready()
    equal("slot", third.feed()["slot"], slot)
    fourth = Sidecar(first.host, "/mnt/data", task="same", run_dir="/run/other")
    message = fourth.wait("LocksReady", "True", "SlotHeld", 15)
    check("another task named same" in message, message)
    for sidecar in (fourth, third, second):
        sidecar.stop()
    equal("members", first.host.run("ls /mnt/data/.efs-sidecar/members").stdout, "")
