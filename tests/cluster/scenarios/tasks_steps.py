"""the member that clears up is killed at each step: the next one goes on from there, and nothing is lost; a dry run changes nothing; a
directory that a sidecar made is known to the others; who comes back in time finds his own"""

from harness import server
from harness.errors import check, equal
from harness.locks import SETTINGS
from harness.sidecar import Sidecar

HOSTS = 2
DEADLINE_S = 300
STEPS = 1, 2, 3, 4, 5
ROUND_S = 150  # the first round of a janitor, a fence, and patience


class Place:
    """A mount of its own for each step, so that all steps are taken at once."""

    def __init__(self, cluster, name, options, env=None):
        self.cluster, self.name, self.options, self.env = cluster, name, options, env
        self.path = f"/mnt/{name}"
        self.host = cluster.host(1)
        self.host.mount(path=self.path, source=f"{server.NAME}:/normal/{name}")

    def start(self, task, program="efs-sidecar", env=None):
        sidecar = Sidecar(self.host, f"{self.path}:rw", task=task, options=f"{SETTINGS} {self.options}", env=env, program=program,
                          run_dir=f"/run/{self.name}-{task}")
        sidecar.wait("TaskDirectoryReady", "True", "Made", 90)
        return sidecar

    def leave_orphan(self):
        sidecar = self.start("gone")
        self.host.run(f"mkdir -p {self.path}/tasks/gone/sub && echo x >{self.path}/tasks/gone/sub/data")
        sidecar.stop(20)

    def files(self):
        return sorted(self.cluster.server.run(f"cd {self.cluster.server.path()}/{self.name} && find . -name data -o -name .orphans")
                      .stdout.split())

    def is_adopted(self):
        files = self.files()
        return len(files) == 1 and files[0].startswith("./tasks/reaper/adopted/gone.") and files[0].endswith("/sub/data")


def announced(cluster):
    """A directory that a sidecar made is told to the others, and one that comes back finds it again."""
    hosts = [cluster.host(n) for n in (1, 2)]
    for host in hosts:
        host.mount()
    watcher = Sidecar(hosts[0], "/mnt/data", task="one", options=SETTINGS)
    watcher.ready(60)
    stream = watcher.changes()
    other = Sidecar(hosts[1], "/mnt/data", task="two", options=SETTINGS)
    stream.wait_output('"tasks/two"', 60)
    other.wait("TaskDirectoryReady", "True", "Made", 60)
    hosts[1].write("/mnt/data/tasks/two/mine", "x")
    stream.wait_output('"tasks/two/mine"', 60)
    other.process.signal(9)
    other.process.wait(10)
    equal("whose", watcher.get("/v1/tasks").body["tasks"][1]["state"], "orphaned")
    other = Sidecar(hosts[1], "/mnt/data", task="two", options=SETTINGS)
    other.wait("TaskDirectoryReady", "True", "Made", 60)
    cluster.wait_until(lambda: [t["state"] for t in watcher.get("/v1/tasks").body["tasks"]] == ["alive", "alive"], 60,
                       "it has its directory again")
    hosts[1].read("/mnt/data/tasks/two/mine")
    watcher.stop(20)
    other.stop(20)


def run(cluster):
    hooks = f"{cluster.build}-hooks/efs-sidecar"
    names = [f"step{n}" for n in STEPS] + ["dry"]
    cluster.server.run(f"cd {cluster.server.path()} && mkdir {' '.join(names)}")
    steps = {n: Place(cluster, f"step{n}", "--orphans-policy=adopt") for n in STEPS}
    dry = Place(cluster, "dry", "--orphans-policy=delete --orphans-retention=0s --orphans-dry-run")
    for place in [*steps.values(), dry]:
        place.leave_orphan()
    before = dry.files()
    killed = {n: place.start("reaper", hooks, {"EFS_SIDECAR_KILL_AT": f"reap.{n}"}) for n, place in steps.items()}
    dry_sidecar = dry.start("reaper")
    announced(cluster)
    for n, sidecar in killed.items():
        equal(f"how it ends at step {n}", sidecar.process.wait(ROUND_S).rc, -9)
    cluster.log("left by the killed: " + "; ".join(f"{n}: {' '.join(place.files())}" for n, place in steps.items()))
    check("./tasks/.orphans" in steps[3].files() and steps[1].files() == ["./tasks/gone/sub/data"], "it was not stopped where it should")
    successors = [place.start("reaper") for place in steps.values()]
    for n, place in steps.items():
        cluster.wait_until(place.is_adopted, ROUND_S, f"step {n}: what was begun is finished", every=1)
    cluster.wait_until(lambda: "(orphans.dry_run)" in dry_sidecar.process.stderr, ROUND_S, "the dry run says what it would do")
    equal("after a dry run", dry.files(), before)
    for sidecar in [*successors, dry_sidecar]:
        sidecar.stop(20)
