"""what an idle task-mount asks of its server: the gate once, the sidecar's start, then a while of nothing"""

import os

from harness import gate
from harness.sidecar import Sidecar

DEADLINE_S = 900


def run(cluster):
    seconds, directories = int(os.environ["IDLE_SECONDS"]), int(os.environ["IDLE_DIRECTORIES"])
    host, root = cluster.host(1), cluster.server.path("normal")
    cluster.server.run(f"cd {root} && for i in $(seq 0 {directories // 100 - 1}); do mkdir -p $(seq -f $i/%.0f 100); done", timeout=60)
    host.mount()
    before = host.mountstats()
    gate.passes(host, "/mnt/data")
    gated = host.mountstats()
    sidecar = Sidecar(host, "/mnt/data", intervals="")  # the defaults
    sidecar.ready(timeout=60)
    started = host.mountstats()
    # Leave the start behind: what it wrote is still being closed and looked at.
    host.run("sleep 75", timeout=90)  # the feed looks seldom from feed.idle_after on
    table = host.run(f"{cluster.build}/bench/mountcost /mnt/data {seconds}", timeout=seconds + 60).stdout
    status = sidecar.mount_status()
    sidecar.stop()
    with open(os.path.join(cluster.results_dir, "table"), "w", encoding="utf-8") as out:
        out.write(f"on NFS, {status['watch']['dirs']} directories watched\n"
                  f"efs-init: {(gated - before).rpcs()} calls {(gated - before).counts()}\n"
                  f"the sidecar's start: {(started - gated).rpcs()} calls {(started - gated).counts()}\n"
                  f"then {seconds} s:\n" + table)
