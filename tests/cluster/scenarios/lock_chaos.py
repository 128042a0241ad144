"""500 acquisitions on three hosts with every fault: never two commands under one lock, tokens only grow, all end in time"""

import random

from harness.errors import check
from harness.lockchaos import FAULTS, Chaos

HOSTS = 3
DEADLINE_S = 400
SEED = 6
GRANTED, UNCLEAN = 500, 20


def run(cluster):
    chaos = Chaos(cluster, seed=SEED)
    chaos.start()
    faults = list(FAULTS) + ["kill_sidecar"]
    random.Random(SEED).shuffle(faults)
    chaos.faults(faults)
    chaos.finish(GRANTED, 60)
    chaos.check()
    cluster.log("chaos: " + chaos.report())
    check(chaos.fence_waits() >= UNCLEAN, f"only {chaos.fence_waits()} unclean take-overs")
