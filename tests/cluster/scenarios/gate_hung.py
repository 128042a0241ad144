"""the gate ends within a second of its deadline when the server hangs, and names the operation"""

import json

from harness import gate
from harness.errors import between, equal, matches

HOSTS = 2
DEADLINE_S = 90


def run(cluster):
    host, other = cluster.host(1), cluster.host(2)
    host.mount()
    host.mount(path="/mnt/second")
    cluster.server.stop()
    result = gate.refuses(host, "--deadline 3s /mnt/data /mnt/second", 30, "MountHung",
                          r'/mnt/data does not answer: "\w+" has been waiting for (2\.9|3\.\d) s.*2049')
    between("seconds that it took", result.seconds, 3, 4)
    cluster.server.cont()
    gate.passes(host, "/mnt/data", timeout=45)

    # In the midst of it, and with the link cut instead of the server stopped.
    other.mount()
    holder = other.spawn("efs-init --format json --run-dir /run/gate --deadline 1s --lock-hold 2s /mnt/data")
    cluster.wait_until(lambda: other.run("ls -A /mnt/data").stdout, 5, "the probe makes its file")
    other.link_down()
    result = holder.wait(15)
    equal("exit code", result.rc, 30)
    matches("its answer", result.stderr, r'MountHung, exit 30.*"read under lock" has been waiting for')
    equal("cause", json.loads(result.stdout)["cause"], "MountHung")
