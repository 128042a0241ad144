"""SIGTERM while the server hangs: the sidecar is gone two seconds before the stop timeout, and its watcher with it"""

import time

from harness.errors import between, equal
from harness.sidecar import Sidecar

DEADLINE_S = 90


def run(cluster):
    host = cluster.host(1)
    host.mount()
    sidecar = Sidecar(host, "/mnt/data", options="--stop-timeout=10s --canary-interval=1s")
    sidecar.ready()
    host.run(["sleep", "2"])  # canaries come and go
    cluster.server.stop()
    sidecar.wait("MountReady", "False", "MountStalled", 20)
    started = time.monotonic()
    sidecar.process.signal(15)
    between("seconds of an answer while it stops", sidecar.get("/healthz").seconds, 0, 0.5)
    equal("exit code", sidecar.process.wait(15).rc, 0)
    between("seconds until it was gone", time.monotonic() - started, 6, 8.5)
    equal("efs-watch", host.run("pgrep -x efs-watch", check=False).stdout, "")

    # A second signal: in a hurry.
    cluster.server.cont()
    cluster.wait_until(lambda: host.run("ls /mnt/data", check=False).rc == 0, 20, "the mount answers")
    sidecar = Sidecar(host, "/mnt/data", options="--stop-timeout=60s")
    sidecar.ready()
    cluster.server.stop()
    sidecar.wait("MountReady", "False", "MountStalled", 20)
    started = time.monotonic()
    sidecar.process.signal(15)
    sidecar.get("/healthz")  # it has heard the first
    sidecar.process.signal(15)
    equal("exit code", sidecar.process.wait(15).rc, 0)
    between("seconds until it was gone", time.monotonic() - started, 0, 4)
