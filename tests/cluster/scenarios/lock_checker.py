"""with any safeguard of locks left out, the checker reports the violation; with all of them it reports nothing"""

from harness.chaos import check_checker
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


def begin(cluster, omit):
    chaos = Chaos(cluster, hosts=2, omit=omit)
    chaos.stubborn = 1
    chaos.start()
    return chaos


def run(cluster):
    check_checker(cluster, CASES, lambda omit: begin(cluster, omit), lambda chaos: chaos.finish(1, 60))
