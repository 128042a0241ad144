"""with any safeguard of publish and claims left out, the checker reports the violation; with all of them it reports nothing"""

from harness.chaos import check_checker
from harness.locks import FENCE_S, LEASE_S
from harness.queuechaos import CONFIG, UPLOADS, Chaos

HOSTS = 2
DEADLINE_S = 600
SLOW_MS = 1500  # from a host to the server


def reap_fence(chaos):
    """A sidecar dies, what its claimer runs goes on until its time is up; nobody starts the sidecar again."""
    a, b = chaos.members
    a.supervised = False
    begin(chaos, a, "v-fence")
    chaos.fault("kill_sidecar", a)
    b.processor().supervise()
    chaos.until(lambda: chaos.history.done["v-fence"], 60, "the other task has processed it")
    a.supervised = True


def proof(chaos):
    """Nobody can know any more whether what it claimed is still its own."""
    a, _ = chaos.members
    begin(chaos, a, "v-proof")
    chaos.fault("cut_long", a)


def no_replace_check(chaos):
    """Two publish under one name, one after the other, each under the lock."""
    for member in chaos.members:
        one(member, "q-same", "efsctl lock name --")


def stage_cleanup(chaos):
    """A publish under a lock is cut off when its rename is on its way."""
    a, b = chaos.members
    late = a.host.spawn("exec efsctl lock --on-lost=ignore config -- sh -c "
                        f"'echo held; while [ ! -e /run/go ]; do sleep 0.1; done; exec queuework config {a.dir} {CONFIG}'")
    late.wait_output("^held", 30)
    a.host.delay_ms(SLOW_MS)
    a.host.run("touch /run/go")
    chaos.until(lambda: chaos.server.host.run(f"ls {chaos.server.host.path()}/.efs-stage/config", check=False).stdout, 90, "it is staged")
    chaos.pause(SLOW_MS / 3000)
    chaos.fault("cut_long", a)
    a.host.delay_ms(0)
    b.host.run(f"efsctl lock config -- queuework config {b.dir} {CONFIG}", timeout=LEASE_S + FENCE_S + 60)
    chaos.faults([])
    chaos.until(lambda: late.poll() is not None, 90, "the late one has ended")


def begin(chaos, member, name):
    """It is being processed there, by the only claimer."""
    one(member, name)
    member.processor().supervise()
    chaos.until(lambda: any(run.name == name for run in chaos.history.history.runs.values()), 30, f"{name} is being processed")


def one(member, name, under=""):
    return member.host.run(f"{under} queuework one {name} {member.dir} {UPLOADS}", timeout=60, check=False)


CASES = {reap_fence: "two commands at once", proof: "past the end of its lock", no_replace_check: "was published 2 times",
         stage_cleanup: "a stale token won"}


def prepare(cluster, omit):
    chaos = Chaos(cluster, hosts=2, omit=omit)
    chaos.start(working=False)
    chaos.serving = False
    return chaos


def finish(chaos):
    chaos.serving = True
    chaos.settle()


def run(cluster):
    check_checker(cluster, CASES, lambda omit: prepare(cluster, omit), finish)
