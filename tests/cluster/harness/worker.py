"""Runs inside the sandbox, as its pid 1: boots the cluster, then runs the scenarios that the supervisor names.

One JSON object a line: {"path", "results"} comes in, its outcome goes out. When the line in ends, or this process is
killed, the kernel ends everything in the sandbox.
"""

import code
import json
import os
import signal
import sys

from .cluster import Cluster
from .errors import Broken
from .scenario import Scenario, run_scenario


def main(top, build, results, hosts, boot_timeout, memory):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a scenario prints is not an answer
    try:
        cluster = Cluster(top, build, results, int(hosts), float(boot_timeout), memory)
        cluster.boot()
    except (Broken, OSError) as e:
        print(json.dumps({"broken": str(e)}), file=answers)
        return
    print(json.dumps({"booted": True}), file=answers)
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("prompt"):
            prompt(cluster)
            return
        outcome = run_scenario(cluster, Scenario(order["path"]), order["results"])
        print(json.dumps(outcome), file=answers)


def prompt(cluster):
    """For --keep: a Python prompt on the terminal."""
    with open("/dev/tty", "r+b", buffering=0) as tty:
        for fd in (0, 1, 2):
            os.dup2(tty.fileno(), fd)
    sys.stdin = os.fdopen(0, "r")
    cluster.log_file = open(os.devnull, "w", encoding="utf-8")
    names = {"cluster": cluster, "server": cluster.server, "host": cluster.host}
    code.interact("The cluster is up: cluster, server, host(n); for example print(host(1).run('mount').stdout). "
                  "End with ^D.", local=names, exitmsg="")


if __name__ == "__main__":
    main(*sys.argv[1:])
