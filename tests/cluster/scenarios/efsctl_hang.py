"""a stopped server: efsctl answers at once, its stream goes on, and health fails only when asked, in time"""

import time

from harness.errors import between, equal, matches
from harness.sidecar import Sidecar

FOR_S = 4


def run(cluster):
    host = cluster.host(1)
    host.mount()
    sidecar = Sidecar(host, "/mnt/data")
    sidecar.ready()
    watch = host.spawn("efsctl watch --text /mnt/data/in")
    watch.wait_output("ready +/mnt/data")
    host.run("mkdir /mnt/data/in")
    watch.wait_output(r"create +/mnt/data/in/")

    cluster.server.stop()
    sidecar.wait("MountReady", "False", "MountStalled", 15)
    stalled = time.monotonic()
    result = host.run("efsctl health")
    matches("health", result.stdout, r"^healthy: the sidecar answers; a mount has not been ready for")
    between("seconds that it took", result.seconds, 0, 1)
    result = host.run("efsctl status")
    matches("status", result.stdout, r"MountReady +False .*MountStalled\n    /mnt/data: .*(\n|.)*answers +not since \d+s")
    between("seconds that it took", result.seconds, 0, 1)
    asked = f"efsctl health --fail-on=mount --for={FOR_S}s"
    equal("exit code before its time", host.run(asked, check=False).rc, 0)
    cluster.wait_until(lambda: host.run(asked, check=False).rc == 1, 2 * FOR_S, "health fails")
    between("seconds until health failed", time.monotonic() - stalled, FOR_S - 0.5, FOR_S * 1.5 + 1)
    matches("its words", host.run(asked, check=False).stdout, r"^unhealthy: a mount has not been ready for \d+s, this task's limit is [456]s$")

    cluster.server.cont()
    cluster.wait_until(lambda: host.run(asked, check=False).rc == 0, 20, "health is well again")
    host.write("/mnt/data/in/after", "the hang")
    watch.wait_output(r"create +/mnt/data/in/after", 20)

    sidecar.stop()
    result = watch.wait(10)
    equal("exit code of efsctl watch", result.rc, 69)
    matches("its words", result.stderr, "ended the stream\nefsctl: go on from there with --since=")
