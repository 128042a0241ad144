"""make demo-break shows the gate's answer in each case"""

import os
import runpy

from harness.errors import matches

ANSWERS = {"erofs": r"NOT READY \(NoClientWrite, exit 21\)", "uid": r"NOT READY \(PermissionDenied, exit 22\)",
           "hang": r"NOT READY \(MountHung, exit 30\)"}


def run(cluster):
    play = runpy.run_path(os.path.join(cluster.top, "demo/break.py"))["run"]
    for case, answer in ANSWERS.items():
        os.environ["DEMO_CASE"] = case
        output = os.environ["DEMO_OUTPUT"] = os.path.join(cluster.results_dir, case)
        play(cluster)
        with open(output, encoding="utf-8") as file:
            matches(f"the output of {case}", file.read(), answer)
        cluster.server.cont()
        cluster.host(1).umount()
