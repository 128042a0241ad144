"""a sidecar is killed and its host lives: what it was publishing stays for as long as its host may still act; a member that leaves out
that wait is noticed"""

import time

from harness import server
from harness.errors import check
from harness.sidecar import Sidecar

HOSTS = 1
DEADLINE_S = 180
LONG = True
FENCE_S = 40  # more than twice the time until a member clears up for the first time
OPTIONS = f"--lease-fence={FENCE_S}s --lock-proof-interval=3s"


def start(cluster, name, task, **how):
    sidecar = Sidecar(cluster.host(1), f"/mnt/{name}:rw", task=task, options=OPTIONS, run_dir=f"/run/{name}-{task}", **how)
    sidecar.wait("TaskDirectoryReady", "True", "Made", 60)
    return sidecar


def run(cluster):
    host, names = cluster.host(1), ("waits", "omits")
    cluster.server.run(f"cd {cluster.server.path()} && mkdir {' '.join(names)}")
    for name in names:
        host.mount(path=f"/mnt/{name}", source=f"{server.NAME}:/normal/{name}")
    omitting = {"program": f"{cluster.build}-hooks/efs-sidecar", "env": {"EFS_SIDECAR_OMIT": "reap_fence"}}
    dead = [start(cluster, name, "dies") for name in names]
    for name in names:
        host.run(f"mkdir /mnt/{name}/tasks/dies/.stage && echo x >/mnt/{name}/tasks/dies/.stage/half")
    keepers = [start(cluster, "waits", "keeps"), start(cluster, "omits", "keeps", **omitting)]
    for sidecar in dead:
        sidecar.process.signal(9)
        sidecar.process.wait(10)
    killed_at, gone = time.monotonic(), {}

    def look():
        for name in names:
            path = f"{cluster.server.path()}/{name}/tasks/dies/.stage/half"
            if name not in gone and cluster.server.run(["test", "-e", path], check=False).rc != 0:
                gone[name] = time.monotonic() - killed_at
        return len(gone) == 2

    cluster.wait_until(look, 3 * FENCE_S, "both are cleared up", every=0.5)
    cluster.log(f"cleared up after {gone}")
    check(gone["waits"] >= FENCE_S, f"cleared up after {gone['waits']:.1f} s, the fence is {FENCE_S} s")
    check(gone["omits"] < FENCE_S, f"without the wait it took {gone['omits']:.1f} s: this would not have noticed")
    for sidecar in keepers:
        sidecar.stop(20)
