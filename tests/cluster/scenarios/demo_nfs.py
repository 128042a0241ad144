"""make demo-nfs shows what it promises"""

import os
import runpy

from harness.errors import matches

HOSTS = 2
DEADLINE_S = 120


def run(cluster):
    output = os.environ["DEMO_OUTPUT"] = os.path.join(cluster.results_dir, "output")
    runpy.run_path(os.path.join(cluster.top, "demo/nfs.py"))["run"](cluster)
    with open(output, encoding="utf-8") as file:
        shown = file.read()
    for pattern in ("^  efs-init: ready after", r"create +/mnt/data/tasks/task1/report\.csv  9 B  by task1$", "^  a report$",
                    "healthy: the sidecar answers; a mount has not been ready", "MountReady +False .*MountStalled",
                    "MountReady +True .*MountAnswers"):
        matches("the output", shown, pattern)
