"""SIGKILL of the sidecar at each step of claiming, finishing and giving back: the next one goes on, every file is done, nothing is left behind"""

from harness.claims import Places, Worker, fill, sidecar
from harness.errors import check, equal

HOSTS = 2
DEADLINE_S = 300

# What the command does the first time; "": it succeeds.
FAILS, HANGS = "[ $EFS_CLAIM_ATTEMPTS -gt 0 ] || exit 1", "[ $EFS_CLAIM_ATTEMPTS -gt 0 ] || sleep 300"


class Case:
    """A task of its own, its queue with one file, and where its sidecar is killed."""

    def __init__(self, host, step, command=":", second=None):
        self.host, self.step, self.command, self.second = host, step, command, second
        self.name = "t" + step.replace(".", "")
        self.side = sidecar(host, self.name, "--watch-enabled=false", kill_at=step if not second else None)

    def begin(self):
        self.side.wait("LocksReady", "True", "SlotHeld", 90)
        if self.step == "claim.6":
            self.host.run(f"mkdir -p /mnt/data/{self.name}/.retry/1.0a && echo x >/mnt/data/{self.name}/.retry/1.0a/x")
        else:
            fill(self.host, self.name, ["x"])
        self.worker = Worker(self.host, self.name, self.name, "--wait=20s", self.command)

    def dies(self, cluster):
        if self.second:
            cluster.wait_until(self.worker.began, 60, f"{self.name} claims")
            self.side.process.signal(9)
        cluster.wait_until(lambda: self.side.process.poll() is not None, 90, f"{self.name} to die at {self.step}")
        self.side = sidecar(self.host, self.name, "--watch-enabled=false", kill_at=self.step if self.second else None)

    def dies_again(self, cluster):
        if not self.second:
            return
        cluster.wait_until(lambda: self.side.process.poll() is not None, 90, f"{self.name} to die at {self.step}")
        self.side = sidecar(self.host, self.name, "--watch-enabled=false")

    def check(self, cluster):
        cluster.wait_until(lambda: self.worker.ended(), 90, f"{self.name} to be done: {self.worker.lines()}")
        places = Places(cluster, self.name)
        cluster.log(f"{self.step}: {self.worker.lines()}")
        check(not places.dead and not places.queued and not places.returned, f"{self.step}: {places}")
        check(self.side.process.poll() is None, f"{self.step}: {self.side.process.stderr}")


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    for host in a, b:
        host.mount()
    steps = [("claim.1",), ("claim.2",), ("claim.3",), ("claim.4",), ("claim.5",), ("claim.6",), ("done.1",), ("done.2",),
             ("return.1", FAILS), ("return.2", FAILS), ("return.3", FAILS), ("return.4", HANGS, True), ("return.5", HANGS, True),
             ("return.6", HANGS, True)]
    cases = [Case((a, b)[i % 2], *step) for i, step in enumerate(steps)]
    for each in cases:
        each.begin()
    for each in cases:
        each.dies(cluster)
    for each in cases:
        each.dies_again(cluster)
    for each in cases:
        each.check(cluster)
    # what is left of an earlier life goes after its fence
    owners = f"cd {cluster.server.path()}/tasks && ls -d */.claims/* 2>/dev/null | cut -d/ -f1 | sort | uniq -d"
    cluster.wait_until(lambda: not cluster.server.run(owners).stdout, 90, "earlier lives to be cleared up")
    for each in cases:
        each.side.process.signal(15)
    for each in cases:
        equal(f"exit code of the last sidecar of {each.name}", each.side.process.wait(60).rc, 0)
    left = cluster.server.run(f"cd {cluster.server.path()}/tasks && find . -path '*/.claims/*'").stdout
    equal("directories of claims in the end", left, "")
