"""a failed check fails its scenario, with the log"""

from harness.errors import equal


def run(cluster):
    cluster.host(1).run("echo said before; echo complained >&2")
    equal("one", 1, 2)
