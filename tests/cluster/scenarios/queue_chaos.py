"""2,000 uploads of three writers with every fault: each is processed, by one task at a time, whole, and nothing is left behind"""

import random

from harness.queuechaos import APP_FAULTS, FAULTS, Chaos

HOSTS = 3
DEADLINE_S = 600
SEED = 7
UPLOADS = 2000


def run(cluster):
    chaos = Chaos(cluster, seed=SEED)
    chaos.start()
    faults = list(FAULTS) + list(APP_FAULTS) * 2
    random.Random(SEED).shuffle(faults)
    chaos.faults(faults)
    chaos.finish(UPLOADS, 300)
    chaos.check()
    cluster.log("chaos: " + chaos.report())
