"""the server restarts, with its grace period: nothing is lost, and nobody resyncs"""

import time

from harness import feed
from harness.errors import equal

HOSTS = 2
DEADLINE_S = 180


def run(cluster):
    sidecars = feed.start(cluster, 2)
    writer, other = sidecars
    reader = feed.read(other)
    app = writer.host.spawn("i=0; while [ $i -lt 100 ]; do echo $i >/mnt/data/f$i; i=$((i+1)); sleep 0.2; done; echo done")
    time.sleep(3)
    cluster.server.restart_nfsd()
    app.wait_output("done", 90)
    for i in range(100):
        reader.wait(op="create", path=f"f{i}", source="peer", timeout=60)
    equal("resyncs", reader.resyncs(), [])
    other.host.write("/mnt/data/and-back", "x")
    for sidecar in sidecars:
        sidecar.ready(60)
    feed.read(writer, "since=0.0")
    for sidecar in sidecars:
        sidecar.stop(20)
