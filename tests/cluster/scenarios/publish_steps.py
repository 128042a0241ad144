"""SIGKILL of the sidecar at each step of a publish: the place has the old file or the new one, whole; the next try ends as if nothing had been"""

from harness.errors import Failure, check, equal
from harness.locks import FENCE_S
from harness.sidecar import Sidecar

HOSTS = 1
DEADLINE_S = 240
STEPS = range(1, 10)
NEW = "new" * 1000


def start(host, task, program="efs-sidecar", env=None):
    options = f"--watch-enabled=false --lease-fence={FENCE_S}s --lock-proof-interval=2s --metrics-sinks=none"
    return Sidecar(host, "/mnt/data", task=task, run_dir=f"/run/{task}", options=options, program=program, env=env)


class Case:
    """A task whose sidecar dies at one step, in one way to publish."""

    def __init__(self, cluster, host, step, way):
        self.cluster, self.host, self.step, self.way = cluster, host, step, way
        self.task, self.place = f"{way}{step}", f"place/{way}{step}"
        self.side = start(host, self.task, f"{cluster.build}-hooks/efs-sidecar", {"EFS_SIDECAR_KILL_AT": f"publish.{step}"})

    def command(self):
        options = {"replace": "--replace", "link": "", "fenced": f"--replace --lock={self.task}"}[self.way]
        publish = f"efsctl --run-dir=/run/{self.task} publish {options} /mnt/data/tasks/{self.task}/file {self.place}"
        return f"efsctl --run-dir=/run/{self.task} lock {self.task} -- {publish}" if self.way == "fenced" else publish

    def path(self, name):
        return f"{self.cluster.server.path()}/{name}"

    def content(self, name):
        found = self.cluster.server.run(["cat", self.path(name)], check=False)
        return found.stdout if found.rc == 0 else None

    def begin(self):
        self.host.write(f"/mnt/data/tasks/{self.task}/file", NEW)
        if self.way != "link":
            self.host.write(f"/mnt/data/{self.place}", "old")
        self.process = self.host.spawn(self.command())

    def died(self):
        self.cluster.wait_until(lambda: self.side.process.poll() is not None, 40, f"the end of {self.task}'s sidecar")
        self.process.wait(60)
        now, source = self.content(self.place), self.content(f"tasks/{self.task}/file")
        old = None if self.way == "link" else "old"
        check(now in (old, NEW), f"{self.task}: after the kill the place has {now!r}")
        check(NEW in (now, source), f"{self.task}: the file is lost: {now!r}, {source!r}")
        self.published, self.has_source = now == NEW, source is not None

    def restart(self):
        self.host.run(["rm", f"/run/{self.task}/api.sock"])
        self.side = start(self.host, self.task)

    def again(self):
        self.side.wait("LocksReady", "True", "SlotHeld", 60)
        self.process = self.host.spawn(f"{self.command()}; echo exit $?") if self.has_source else None

    def ended(self):
        if self.process:
            code = self.process.wait_output(r"^exit (\d+)$", 90)[1]
            if code != "0":
                raise Failure(f"{self.task}: the next try ended with {code}: {self.process.output}")
        equal(f"{self.task}: the place", self.content(self.place), NEW)
        equal(f"{self.task}: the old place", self.content(f"tasks/{self.task}/file"), None)
        left = self.cluster.server.run(f"ls -A {self.path('.efs-stage')}/{self.task}", check=False).stdout.split()
        equal(f"{self.task}: the stage", left if self.process else [], [])


def run(cluster):
    host = cluster.host(1)
    host.mount()
    host.run("mkdir /mnt/data/place")
    for way in ("replace", "link", "fenced"):
        steps = [step for step in STEPS if way == "fenced" or step not in (5, 6)]
        cases = [Case(cluster, host, step, way) for step in steps]
        for case in cases:
            case.side.wait("LocksReady", "True", "SlotHeld", 60)
            cluster.wait_until(lambda case=case: case.side.mount_status()["task_dir"], 30, "the task's directory")
            case.begin()
        for case in cases:
            case.died()
        published = [case.step for case in cases if case.published]
        equal(f"{way}: the steps at which it had its place", published, [8, 9])
        for case in cases:
            case.restart()
        for case in cases:
            case.again()
        for case in cases:
            case.ended()
        for case in cases:
            case.side.process.signal(9)
