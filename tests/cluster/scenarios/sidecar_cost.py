"""an idle sidecar with the default intervals: the calls that it makes, and nothing else"""

import json

from harness.errors import between, check
from harness.sidecar import Sidecar

DEADLINE_S = 60
IDLE_S = 20


def run(cluster):
    host = cluster.host(1)
    host.mount()
    host.run("for i in $(seq 100); do mkdir /mnt/data/$i; done")
    sidecar = Sidecar(host, "/mnt/data", intervals="", options="--feed-idle-after=0s")
    sidecar.ready()
    host.run(["sleep", "27"], timeout=40)  # the janitor was here, and comes again a minute later
    before = host.mountstats()
    host.run(["sleep", str(IDLE_S)], timeout=IDLE_S + 10)
    calls = (host.mountstats() - before).counts()
    calls = {name: n for name, n in calls.items() if n}
    cluster.log(f"in {IDLE_S} s: {json.dumps(calls)}")
    # Every 5 s a look at the board (GETATTR), which serves as the probe too; every 180 s a proof (GETATTR and READ); the client
    # renews its lease by itself.
    check(set(calls) <= {"GETATTR", "READ", "SEQUENCE", "RENEW"}, calls)
    between("READs", calls.get("READ", 0), 0, 1)
    between("GETATTRs", calls.get("GETATTR", 0), IDLE_S / 5 - 1, IDLE_S / 5 + 2)
    check(sidecar.mount_status()["probe_ms"] is not None, "no poll served as a probe")
    sidecar.stop()
