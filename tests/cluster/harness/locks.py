"""What the lock_ scenarios share: sidecars with a short fence, and commands under locks."""

import re

from . import feed
from .sidecar import Sidecar

FENCE_S, MARGIN_S, LEASE_S, PROOF_S = 10, 2, 10, 2
VALID_S = FENCE_S - MARGIN_S
POLL_MS = 250  # a waiter asks at least as often
SETTINGS = f"--lease-fence={FENCE_S}s --lock-proof-interval={PROOF_S}s {feed.POLL}"

# kind, ticks, CLOCK_BOOTTIME in us, ticks, name, token, pid
SIGN_OF_LIFE = re.compile(r"^([EBL]) (\d+) (\d+) (\d+) (\S+) (\S+) (\d+)$", re.M)


def start(cluster, hosts, options="", mount=True):
    """A sidecar on each of so many hosts, with a slot. mount=False: they have their mounts."""
    sidecars = []
    for number in range(1, hosts + 1):
        host = cluster.host(number)
        if mount:
            host.mount()
        sidecars.append(sidecar(host, options))
    for each in sidecars:
        each.wait("LocksReady", "True", "SlotHeld", 60)
    return sidecars


def sidecar(host, options="", **how):
    return Sidecar(host, "/mnt/data", task=host.name.replace("/", "-"), options=f"{SETTINGS} {options}", intervals=feed.INTERVALS, **how)


class Command:
    """`efsctl lock NAME -- lockwork hold`: granted or waiting."""

    def __init__(self, host, name, ms=60000, options="", stubborn=False, family=False):
        """stubborn: it does not heed SIGTERM. family: efsctl's command is its parent."""
        self.host, self.name = host, name
        hold = f"lockwork hold {ms}{' stubborn' if stubborn else ''}"
        self.process = host.spawn(f"exec efsctl lock {options} {name} -- " + (f"sh -c '{hold} & wait'" if family else hold))

    def entered(self, timeout=20):
        """Waits until it runs; its token."""
        found = self.process.wait_output(r"^E \d+ \d+ \d+ \S+ (\d+)\.(\d+) (\d+)$", timeout)
        self.pid = int(found[3])
        return int(found[1]), int(found[2])

    def waits(self):
        """Until it has been told to wait."""
        self.process.wait_output("^efsctl: waiting for lock", 10)

    def is_in(self):
        return self.process.stdout.startswith("E ")

    def ticks(self, which):
        """Of the first (0) or last (-1) sign of life, by the counter that all machines share."""
        return int(self.process.stdout.strip().splitlines()[which].split()[1])

    def kill(self, name="KILL"):
        self.host.run(["kill", f"-{name}", str(self.pid)])


def listed(side, name):
    """(seconds, entry) of GET /v1/locks."""
    answer = side.get("/v1/locks")
    return answer.seconds, next((lock for lock in answer.body["locks"] if lock["name"] == name), None)
