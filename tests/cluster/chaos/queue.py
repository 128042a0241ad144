"""uploads, publish and claims on three hosts, faults one after the other, all checked after each round: make chaos-queue"""

import random

from harness.queuechaos import APP_FAULTS, FAULTS, Chaos
from harness.seeds import each_seed

HOSTS = 3
DEADLINE_S = 86400
ROUND, FAULTS_PER_ROUND, APP_FAULTS_PER_ROUND = 2000, 8, 6


def run(cluster):
    each_seed(cluster, 100000, lambda *storm: storm_of(cluster, *storm))


def storm_of(cluster, seed, uploads, report):
    choice = random.Random(seed)
    chaos = Chaos(cluster, seed=seed)
    chaos.start()
    while chaos.uploaded() < uploads:
        chaos.working = True
        faults = choice.choices(list(FAULTS), k=FAULTS_PER_ROUND) + choice.choices(APP_FAULTS, k=APP_FAULTS_PER_ROUND)
        choice.shuffle(faults)
        chaos.faults(faults)
        chaos.finish(min(uploads, chaos.uploaded() + ROUND))
        chaos.check()
        report.write(chaos.report() + "\n")
