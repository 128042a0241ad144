"""locks on three hosts, faults one after the other, all checked after each round: make chaos-locks"""

import os
import random
import time

from harness.lockchaos import FAULTS, Chaos

HOSTS = 3
DEADLINE_S = 86400
ROUND, FAULTS_PER_ROUND = 500, 8


def run(cluster):
    seeds, granted = int(os.environ.get("SEEDS") or 1), int(os.environ.get("OPS") or 10000)
    first = int(os.environ.get("SEED") or time.time())
    with open(os.path.join(cluster.results_dir, "report"), "w", encoding="utf-8", buffering=1) as report:
        for seed in range(first, first + seeds):
            storm_of(cluster, seed, granted, report)
            if seed < first + seeds - 1:
                cluster.reset()


def storm_of(cluster, seed, granted, report):
    choice = random.Random(seed)
    chaos = Chaos(cluster, seed=seed)
    chaos.start()
    while chaos.granted() < granted:
        chaos.faults(choice.choices(list(FAULTS), k=FAULTS_PER_ROUND))
        chaos.finish(min(granted, chaos.granted() + ROUND))
        chaos.check()
        report.write(chaos.report() + "\n")
