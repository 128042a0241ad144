"""a host dies, and so does a sidecar whose host lives: the janitor tells the others once for each, and gives their slots back; a stopped one is left alone"""

import json

from harness import board
from harness.errors import check, equal
from harness.sidecar import Sidecar, told

HOSTS = 3
DEADLINE_S = 240


def run(cluster):
    hosts = [cluster.host(n) for n in (1, 2, 3)]
    sidecars = []
    for n, host in enumerate(hosts):
        host.mount()
        sidecars.append(Sidecar(host, "/mnt/data", task=f"task-{n}", options="--lease-fence=10s --lock-proof-interval=3s"))
        sidecars[-1].ready()
    keeper, dies, stops = sidecars
    slots = [sidecar.feed()["slot"] for sidecar in sidecars]
    stream = keeper.changes()
    for n, host in enumerate(hosts):
        host.write(f"/mnt/data/from-{n}", "x")
        stream.wait_output(f'"from-{n}"', 20)
    stopped = stops.host.run("pgrep -x efs-watch; pgrep -x efs-sidecar").stdout.split()
    stops.host.run(["kill", "-STOP", *stopped])
    dies.host.kill()

    def is_buried():
        return board.read(cluster.server)[slots[1]].state == board.LEFT

    cluster.wait_until(is_buried, 150, "the slot of the dead host is given back")
    stream.wait_output('"peer_died"', 10)
    resyncs = told(stream, op="resync")
    equal("resyncs", [(r["path"], r["reason"], r["observer"]) for r in resyncs], [("", "peer_died", "task-1")])
    members = hosts[0].run("cat /mnt/data/.efs-sidecar/members/*.json").stdout
    check("task-1" not in members and "task-0" in members and "task-2" in members, members)
    equal("the slot of the one that is stopped", board.read(cluster.server)[slots[2]].state, board.JOINED)

    # It goes on where it was: nothing was taken from it.
    hosts[2].write("/mnt/data/while-stopped", "x")
    stops.host.run(["kill", "-CONT", *stopped])
    stream.wait_output('"while-stopped"', 20)
    equal("its slot and epoch", (stops.feed()["slot"], stops.feed()["epoch"]), (slots[2], 1))
    equal("resyncs", len(told(stream, op="resync")), 1)
    logged = [json.loads(line)["msg"] for line in keeper.process.stderr.splitlines() if "ended without leaving" in line]
    logged += [json.loads(line)["msg"] for line in stops.process.stderr.splitlines() if "ended without leaving" in line]
    check(len(logged) == 1 and "task-1" in logged[0], logged)
    stops.stop()
    keeper.stop()
