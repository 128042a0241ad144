"""storms on two hosts at once, faults every few seconds, checked after every 5,000 operations: make chaos-feed"""

import random

from harness.feedchaos import FAULTS, Chaos
from harness.seeds import each_seed

HOSTS = 2
DEADLINE_S = 86400
ROUND, RATE, FAULTS_PER_ROUND = 5000, 100, 8


def run(cluster):
    each_seed(cluster, 200000, lambda *storm: storm_of(cluster, *storm))


def storm_of(cluster, seed, operations, report):
    choice = random.Random(seed)
    chaos = Chaos(cluster, hosts=2, seed=seed)
    chaos.start()
    while chaos.operations < operations:
        chaos.storm(min(ROUND, operations - chaos.operations), RATE, choice.choices(list(FAULTS), k=FAULTS_PER_ROUND))
        chaos.check()
        report.write(chaos.report() + "\n")
