"""a host dies: nothing happens to its write directories before its fence, also while the server restarts; then what it had claimed goes
back, and each directory is kept, adopted, archived or deleted, by one of two candidates; the living keep theirs"""

import json
import time

from harness import server
from harness.errors import check, equal
from harness.locks import FENCE_S, LEASE_S, SETTINGS
from harness.sidecar import Sidecar

HOSTS = 3
DEADLINE_S = 300
POLICIES = "keep", "adopt", "archive", "delete"
OPTIONS = (f"{SETTINGS} --orphans-policy={','.join(f'/mnt/{p}={p}' for p in POLICIES)} --orphans-archive=old "
           "--orphans-retention=5s --claim-max-attempts=2")
NOTICED_S = LEASE_S + 60 + 60  # the lease of the dead, a round of the janitor, and as much again on a busy machine
UNTOUCHED = ["tasks/dies/.stage/half", "tasks/dies/data"]


def start(host, task):
    for policy in POLICIES:
        host.mount(path=f"/mnt/{policy}", source=f"{server.NAME}:/normal/{policy}")
    return Sidecar(host, " ".join(f"/mnt/{p}:rw" for p in POLICIES), task=task, options=OPTIONS)


def tree(cluster, policy):
    lines = cluster.server.run(f"cd {cluster.server.path()}/{policy} && find tasks old in -type f 2>/dev/null || true").stdout.split()
    return sorted(line for line in lines if not line.endswith("/.owner"))


def states(sidecar, policy):
    body = sidecar.get(f"/v1/tasks?mount=/mnt/{policy}").body
    return {task["name"]: task["state"] for task in body["tasks"]}


def logged(sidecar, text):
    return [json.loads(line)["msg"] for line in sidecar.process.stderr.splitlines() if text in line]


def begin(cluster):
    """Three tasks on four mounts; the second has a file, one that it publishes, and a claim."""
    hosts = [cluster.host(n) for n in (1, 2, 3)]
    cluster.server.run(f"cd {cluster.server.path()} && mkdir {' '.join(POLICIES)} keep/in && echo x >keep/in/a.jpg")
    sidecars = [start(host, task) for host, task in zip(hosts, ("first", "dies", "last"))]
    for sidecar in sidecars:
        sidecar.ready(60)
        for policy in POLICIES:
            sidecar.wait("TaskDirectoryReady", "True", "Made", 60, f"/mnt/{policy}")
    for policy in POLICIES:
        hosts[1].run(f"cd /mnt/{policy}/tasks/dies && mkdir .stage && echo x >data && echo x >.stage/half && "
                     f"cd ../first && echo y >data && sync -f .", timeout=30)
    claim = hosts[1].spawn("exec efsctl claim --mount=/mnt/keep in -- sh -c 'echo has {}; sleep 600'")
    claim.wait_output("^has ", 60)
    return sidecars


def until_touched(cluster, policies):
    """What was touched so far, of what the dead had."""
    return [p for p in policies if not set(UNTOUCHED) <= set(tree(cluster, p))]


def run(cluster):
    first, dies, last = begin(cluster)
    equal("before", states(first, "adopt"), {"first": "alive", "dies": "alive", "last": "alive"})
    claimed = [line for line in tree(cluster, "keep") if "/.claims/" in line and line.endswith("/a.jpg")]
    check(len(claimed) == 1, tree(cluster, "keep"))
    streams = {s: s.changes("?mount=/mnt/adopt") for s in (first, last)}

    dies.host.kill()
    killed_at = time.monotonic()
    cluster.server.restart_nfsd()  # and with that a time of grace: locks are reclaimed, or not
    cluster.wait_until(lambda: until_touched(cluster, POLICIES), NOTICED_S + FENCE_S, "something is cleared up", every=0.5)
    since = time.monotonic() - killed_at
    check(since >= FENCE_S, f"cleared up {since:.1f} s after the death, the fence is {FENCE_S} s")

    ended = {
        "keep": lambda t: "tasks/dies/data" in t and not any(".stage" in f for f in t),
        "adopt": lambda t: any("/adopted/dies." in f and f.endswith("/data") for f in t) and "tasks/dies/data" not in t,
        "archive": lambda t: any(f.startswith("old/dies.") and f.endswith("/data") for f in t) and "tasks/dies/data" not in t,
        "delete": lambda t: not any("dies" in f for f in t),
    }
    for policy, is_so in ended.items():
        cluster.wait_until(lambda: is_so(tree(cluster, policy)), NOTICED_S + FENCE_S, f"{policy}: as the policy says", every=1)
        check("tasks/first/data" in tree(cluster, policy), tree(cluster, policy))
    cluster.wait_until(lambda: any(f.startswith("in/.retry/1.") and f.endswith("/a.jpg") for f in tree(cluster, "keep")), 60,
                       "what was claimed is given back")

    for sidecar, stream in streams.items():
        stream.wait_output('"tasks/(first|last)/adopted/dies[^"]*/data"', 60)
        sidecar.check_lives()
    equal("kept", states(last, "keep"), {"first": "alive", "dies": "orphaned", "last": "alive"})
    for text in "(adopted)", "(archived)", "is removed", "can be claimed again":
        said = logged(first, text) + logged(last, text)
        equal(f"who says {text}", len(said), 1)
    shown = last.host.run("efsctl tasks --mount=/mnt/keep").stdout
    check("dies" in shown and "orphaned" in shown and "orphans: keep" in shown, shown)
    orphans = [s.host.run(f"curl -s --unix-socket {s.run_dir}/api.sock http://x/metrics | grep -i '^efs.*orphaned.*keep'", check=False)
               .stdout.split()[-1:] for s in (first, last)]
    equal("who counts orphans", sorted(orphans), [[], ["1"]])
    first.stop(10)
    last.stop(10)
