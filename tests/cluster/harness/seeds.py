"""The long forms of the storms: one after the other for SEEDS seeds from SEED on, OPS operations each, a line each into the report."""

import os
import time


def each_seed(cluster, operations, one):
    """one(seed, operations, report) for each; operations is how many when OPS does not say."""
    seeds, operations = int(os.environ.get("SEEDS") or 1), int(os.environ.get("OPS") or operations)
    first = int(os.environ.get("SEED") or time.time())
    with open(os.path.join(cluster.results_dir, "report"), "w", encoding="utf-8", buffering=1) as report:
        for seed in range(first, first + seeds):
            one(seed, operations, report)
            if seed < first + seeds - 1:
                cluster.reset()
