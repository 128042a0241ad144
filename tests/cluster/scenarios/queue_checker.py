"""with any safeguard of publish and claims left out, the checker reports the violation"""

from harness.chaos import check_checker
from harness.queuechaos import UPLOADS, Chaos

HOSTS = 2
DEADLINE_S = 600
LONG = True
ENDLESS = "v-endless"


def reap_fence(chaos):
    """A sidecar dies and comes back; what its claimer runs goes on until its time is up."""
    taken_over(chaos, "kill_sidecar")


def keep_after_close(chaos):
    """A claimer dies, what it runs goes on until its time is up."""
    taken_over(chaos, "kill_efsctl")


def claim_dir_removal(chaos):
    taken_over(chaos, "kill_sidecar")


def slot_proof(chaos):
    """Nobody can know any more whether what was claimed is still its own."""
    a, _ = chaos.members
    begin(chaos, a)
    chaos.fault("cut_long", a)


def no_replace_check(chaos):
    """Two publish under one name, one after the other, each under the lock."""
    for member in chaos.members:
        one(member, "q-same", "efsctl lock name --")


def second_name_check(chaos):
    """A sidecar dies when it has put the file in its place and not yet removed the old name: the app publishes it once more."""
    a, b = chaos.members
    b.processor().supervise()
    before, env, chaos.env = a.sidecar, chaos.env, dict(chaos.env or {}, EFS_SIDECAR_KILL_AT="publish.8")
    a.signal_sidecar("KILL")
    chaos.until(lambda: a.sidecar is not before, 10, "it is started again")
    chaos.env = env
    chaos.until(a.gives_out_locks, 60, "the one that will die at that step gives out locks")
    app = a.host.spawn(["queuework", "one", "s-again", a.dir, UPLOADS])
    chaos.until(lambda: runs(chaos, "s-again"), 60, "it is being processed")
    b.signal_all("STOP", "queuework-run")
    chaos.until(lambda: app.poll() is not None, 60, "the app has published it once more, or was told that it need not")
    chaos.pause(2)
    b.signal_all("CONT", "queuework-run")


def taken_over(chaos, fault):
    a, b = chaos.members
    begin(chaos, a)
    chaos.fault(fault, a)
    b.processor().supervise()
    chaos.until(lambda: chaos.history.done[ENDLESS], 60, "the other task has processed it")


def begin(chaos, member):
    """It is being processed there, by the only claimer."""
    one(member, ENDLESS)
    member.processor().supervise()
    chaos.until(lambda: runs(chaos, ENDLESS), 30, f"{ENDLESS} is being processed")


def runs(chaos, name):
    return any(run.name == name for run in chaos.history.history.runs.values())


def one(member, name, under=""):
    return member.host.run(f"{under} queuework one {name} {member.dir} {UPLOADS}", timeout=60, check=False)


CASES = {reap_fence: "two commands at once", keep_after_close: "two commands at once", claim_dir_removal: "/.claims: ",
         second_name_check: "two commands at once", slot_proof: "past the end of its lock", no_replace_check: "was published 2 times"}


def prepare(cluster, omit):
    chaos = Chaos(cluster, hosts=2, omit=omit)
    chaos.start(working=False)
    chaos.serving = False
    return chaos


def finish(chaos):
    chaos.serving = True
    chaos.settle(20)


def run(cluster):
    check_checker(cluster, CASES, lambda omit: prepare(cluster, omit), finish, sound=False)
