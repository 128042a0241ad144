"""scenario cache_truth with 2,000 files: make chaos-truth"""

import os
from importlib.machinery import SourceFileLoader

HOSTS = 2
DEADLINE_S = 3600
SCENARIO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../scenarios/cache_truth.py")


def run(cluster):
    os.environ["TRUTH_FILES"] = "667"  # in each of three directories
    SourceFileLoader("cache_truth", SCENARIO).load_module().run(cluster)
