"""an outage in which a peer takes the slot: LeaseLost, then a new slot; the peer is not disturbed"""

import json

from harness.errors import check, equal
from harness.sidecar import Sidecar

HOSTS = 2
DEADLINE_S = 120


def members(host):
    names = host.run("ls /mnt/data/.efs-sidecar/members").stdout.split()
    return {name: json.loads(host.read(f"/mnt/data/.efs-sidecar/members/{name}")) for name in names}


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    # The same name, so that both look for the same slot first.
    first = Sidecar(a, "/mnt/data", task="same")
    first.ready()
    slot = members(b)
    equal("members", len(slot), 1)
    a.link_down()
    first.wait("MountReady", "False", "MountStalled", 20)
    a.run(["sleep", "8"], timeout=20)  # longer than the server's lease, which the next one makes it remember
    second = Sidecar(b, "/mnt/data", task="same")
    second.wait("LocksReady", "True", "SlotHeld", 40)
    equal("members", members(b).keys(), slot.keys())
    a.link_up()
    first.wait("LocksReady", "True", "SlotHeld", 40)
    lost = [line for line in first.process.stderr.splitlines() if '"reason":"LeaseLost"' in line]
    check(len(lost) == 1, f"LeaseLost was not told once: {lost}")
    equal("LocksReady of the peer", second.conditions()["LocksReady"][:2], ("True", "SlotHeld"))
    check(len(members(b)) >= 2, f"members: {members(b)}")
    second.stop()
    first.stop()
    equal("members", members(b), {})
