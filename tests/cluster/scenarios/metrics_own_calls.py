"""what the sidecar says that its own calls are is what an idle mount's client counts; a mount shown twice counts once"""

from harness.errors import between, check, equal
from harness.sidecar import Sidecar

DEADLINE_S = 90
MOUNT, AGAIN = "/mnt/data", "/mnt/again"
NAMES = "SidecarCalls", "NfsMetadataCalls", "SidecarMeteredBytes", "MeteredBytes", "SidecarMeteredWrittenBytes", "MeteredWrittenBytes"
NEVER = "--mount-probe-interval=1h --lease-proof-interval=10m --canary-interval=0"
CHORES = {"probes": NEVER.replace("1h", "1s"), "proofs": NEVER.replace("10m", "1s"), "canaries": NEVER.replace("=0", "=1s"), "polls": NEVER}


def measured(sidecar, path):
    groups = sidecar.get("/v1/metrics").body["groups"]
    return {m["name"]: m.get("value") for g in groups if g["mount"] == path for m in g["metrics"]}


def grown(sidecar, names, seconds):
    before = measured(sidecar, MOUNT)
    sidecar.host.run(["sleep", str(seconds)], timeout=seconds + 10)
    after = measured(sidecar, MOUNT)
    return [after[name] - before[name] for name in names]


def one_chore(cluster, host, what, intervals):
    sidecar = Sidecar(host, MOUNT, intervals=intervals, options=f"--watch-enabled={str(what == 'polls').lower()}")
    sidecar.wait("LocksReady", "True", "SlotHeld", 15)
    host.run(["sleep", "3"])
    own, counted, own_bytes, metered, own_written, written = grown(sidecar, NAMES, 8)
    sidecar.stop(10)
    cluster.log(f"{what}: {own} calls and {own_bytes} bytes said, {metered} bytes metered")
    check(own >= 4 and counted >= 4, f"{what}: {own} and {counted} calls")
    # A chore may be on its way at either end.
    between(f"bytes of {what}", own_bytes / metered, 0.7, 1.4)
    between(f"written bytes of {what}", (own_written + 1) / (written + 1), 0.7, 1.4)


def shown_twice(host):
    host.run(f"mkdir {AGAIN} && mount --bind {MOUNT} {AGAIN}")
    sidecar = Sidecar(host, f"{MOUNT} {AGAIN}", intervals="", options="--profile=observe")
    sidecar.wait("MountReady", "True", "MountAnswers", 15)
    host.run(f"echo x >{AGAIN}/file; sleep 1.5")
    check(measured(sidecar, MOUNT)["NfsMetadataCalls"] > 0, "the first does not count")
    check("NfsMetadataCalls" not in measured(sidecar, AGAIN), "the second counts as well")
    equal("the second", sidecar.mount_status(AGAIN)["nfs"], {"shared_with": MOUNT})
    sidecar.stop(10)


def run(cluster):
    host = cluster.host(1)
    host.mount()
    for what, intervals in CHORES.items():
        one_chore(cluster, host, what, intervals)
    shown_twice(host)
