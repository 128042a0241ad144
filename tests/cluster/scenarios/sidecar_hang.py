"""a stopped server: the sidecar answers within 100 ms all the time, says what is wrong, loses no interval, and recovers"""

import time

from harness.errors import between, check, equal, matches
from harness.sidecar import Sidecar

DEADLINE_S = 120
HANG_S = 25


def run(cluster):
    host = cluster.host(1)
    host.mount()
    sidecar = Sidecar(host, "/mnt/data")
    sidecar.ready()
    pid = sidecar.get("/healthz").body["pid"]

    stopped = time.monotonic()
    cluster.server.stop()
    slowest, turned = 0, None
    while time.monotonic() - stopped < HANG_S:
        answer = sidecar.get("/healthz")
        slowest = max(slowest, answer.seconds)
        if not turned and answer.body["conditions"]["MountReady"] == "False":
            turned = time.monotonic() - stopped
        time.sleep(0.2)
    cluster.log(f"slowest answer {slowest * 1000:.1f} ms, MountReady False after {turned} s")
    between("seconds of the slowest answer", slowest, 0, 0.1)
    check(turned, "MountReady never turned False")
    between("seconds until MountReady was False", turned, 5, 2 + 5 + 2)
    status, reason, message = sidecar.conditions()["MountReady"]
    equal("MountReady", (status, reason), ("False", "MountStalled"))
    matches("its message", message, r"/mnt/data: .* has not come back for \d+ s \(mount.stall_after is 5 s\)")
    equal("LocksReady", sidecar.conditions()["LocksReady"][:2], ("Unknown", "ProofOverdue"))
    between("stalled_ms", sidecar.mount_status()["stalled_ms"], 15000, 60000)

    cluster.server.cont()
    sidecar.wait("MountReady", "True", "MountAnswers", 20)
    sidecar.wait("FeedReady", "True", "Watching", 20)
    sidecar.wait("LocksReady", "True", "SlotHeld", 20)
    equal("pid", sidecar.get("/healthz").body["pid"], pid)
    watch = sidecar.mount_status()["watch"]
    equal("restarts of efs-watch", watch["restarts"], 0)
    host.write("/mnt/data/after", "the hang")
    cluster.wait_until(lambda: sidecar.mount_status()["watch"]["changes"] > watch["changes"], 10, "the write is seen")

    sidecar.stop()
    stamps = [stamp for stamp, _ in sidecar.metrics("Heartbeat")]
    gaps = [b - a for a, b in zip(stamps, stamps[1:-1])]
    check(len(stamps) > HANG_S and all(990 <= gap <= 1010 for gap in gaps), f"ms between metrics: {gaps}")
    stalled = [value for _, value in sidecar.metrics("MountStalled")]
    between("intervals with MountStalled", sum(stalled), HANG_S - 2 - 5 - 4, HANG_S + 5)
