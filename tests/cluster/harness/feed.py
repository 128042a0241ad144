"""What the feed_ scenarios share: sidecars on several hosts that see each other's changes."""

import json

from .errors import Failure
from .sidecar import Sidecar

POLL = "--feed-poll=200ms --feed-poll-idle=500ms --watch-batch=50ms"

INTERVALS = "--mount-probe-interval=2s --mount-stall-after=5s --lease-proof-interval=2s --metrics-interval=1m --canary-interval=1m"


class Stream:
    """Lines of changes that a process prints."""

    def __init__(self, host, command):
        self.host = host
        self.process = host.spawn(command)
        self.process.wait_output('"ready"', 20)

    def changes(self):
        lines = self.process.stdout.splitlines()
        return [c for c in (json.loads(line) for line in lines if line.endswith("}")) if "op" in c]

    def find(self, **wanted):
        return [c for c in self.changes() if all(c.get(k) == v for k, v in wanted.items())]

    def wait(self, timeout=15, **wanted):
        """The first change with these fields."""
        try:
            return self.host.cluster.wait_until(lambda: self.find(**wanted), timeout, f"a change {wanted}")[0]
        except Exception as error:
            told = "\n".join(str(c) for c in self.changes()[-40:])
            raise Failure(f"{error}; it was told\n{told}") from error

    def resyncs(self):
        return self.find(op="resync")


def read(sidecar, query=""):
    """A consumer of a sidecar's feed, from now on."""
    return Stream(sidecar.host,
                  f"exec curl -sN --unix-socket {sidecar.run_dir}/api.sock 'http://sidecar/v1/changes?{query}'")


def listen(host, options=""):
    """efs-watch by hand."""
    return Stream(host, f"exec efs-watch {POLL} {options} /mnt/data")


def start(cluster, hosts, options=""):
    """A sidecar on each of so many hosts, ready, and each knows the others."""
    sidecars = []
    for number in range(1, hosts + 1):
        host = cluster.host(number)
        host.mount()
        sidecars.append(Sidecar(host, "/mnt/data", task=f"task{number}", options=f"{POLL} {options}", intervals=INTERVALS))
    for sidecar in sidecars:
        sidecar.ready(40)
    return sidecars
