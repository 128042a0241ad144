"""with any safeguard of locks left out, the checker reports the violation; with all of them it reports nothing"""

from harness.errors import Failure, check
from harness.lockchaos import Chaos

HOSTS = 3
DEADLINE_S = 400


def fence_wait(chaos):
    """A sidecar dies, its command runs on until its time is up."""
    chaos.fault("kill_sidecar", chaos.members[0])


def proof(chaos):
    """Nobody can know any more whether the lock is still there."""
    chaos.fault("cut_long", chaos.members[0])


def token_increase(chaos):
    chaos.fault("kill_command", chaos.members[0])


def keep_after_close(chaos):
    """efsctl dies, its command runs on until its time is up."""
    chaos.fault("kill_efsctl", chaos.members[0])


CASES = {fence_wait: "two commands at once", proof: "past the end of its lock", token_increase: "tokens do not increase",
         keep_after_close: "two commands at once"}


def verdict(cluster, case, omit):
    """What the checker says."""
    chaos = Chaos(cluster, hosts=2, omit=omit)
    chaos.stubborn = 1
    chaos.start()
    try:
        case(chaos)
        chaos.faults([])
        chaos.finish(1, 60)
        said = chaos.verdict()
    except Failure as failure:
        said = [str(failure)]
    cluster.log(f"{case.__name__}, omitting {omit}: {'; '.join(said[:3]) or 'nothing to report'}")
    cluster.reset()
    return said


def run(cluster):
    wrong = []
    for case, words in CASES.items():
        said = verdict(cluster, case, case.__name__)
        if not any(words in line for line in said):
            wrong.append(f"without {case.__name__} the checker found no \"{words}\", only {said}")
        if said := verdict(cluster, case, None):
            wrong.append(f"{case.__name__}, nothing left out: {said}")
    check(not wrong, "; ".join(wrong))
