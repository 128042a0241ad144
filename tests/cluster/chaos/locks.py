"""locks on three hosts, faults one after the other, all checked after each round: make chaos-locks"""

import random

from harness.lockchaos import FAULTS, Chaos
from harness.seeds import each_seed

HOSTS = 3
DEADLINE_S = 86400
ROUND, FAULTS_PER_ROUND = 500, 8


def run(cluster):
    each_seed(cluster, 10000, lambda *storm: storm_of(cluster, *storm))


def storm_of(cluster, seed, granted, report):
    choice = random.Random(seed)
    chaos = Chaos(cluster, seed=seed)
    chaos.start()
    while chaos.granted() < granted:
        chaos.faults(choice.choices(list(FAULTS), k=FAULTS_PER_ROUND))
        chaos.finish(min(granted, chaos.granted() + ROUND))
        chaos.check()
        report.write(chaos.report() + "\n")
