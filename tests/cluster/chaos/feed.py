"""storms on two hosts at once, faults every few seconds, checked after every 5,000 operations: make chaos-feed"""

import os
import random
import time

from harness.feedchaos import FAULTS, Chaos

HOSTS = 2
DEADLINE_S = 86400
ROUND, RATE, FAULTS_PER_ROUND = 5000, 100, 8


def run(cluster):
    seeds, operations = int(os.environ.get("SEEDS") or 1), int(os.environ.get("OPS") or 200000)
    first = int(os.environ.get("SEED") or time.time())
    with open(os.path.join(cluster.results_dir, "report"), "w", encoding="utf-8", buffering=1) as report:
        for seed in range(first, first + seeds):
            storm_of(cluster, seed, operations, report)
            if seed < first + seeds - 1:
                cluster.reset()


def storm_of(cluster, seed, operations, report):
    choice = random.Random(seed)
    chaos = Chaos(cluster, hosts=2, seed=seed)
    chaos.start()
    while chaos.operations < operations:
        chaos.storm(min(ROUND, operations - chaos.operations), RATE, choice.choices(list(FAULTS), k=FAULTS_PER_ROUND))
        chaos.check()
        report.write(chaos.report() + "\n")
