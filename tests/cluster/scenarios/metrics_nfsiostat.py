"""the metrics of the NFS client equal nfsiostat's figures of the same calls; in a hang calls are outstanding"""

import json
import subprocess
from collections import Counter

from harness import nfsiostat
from harness.errors import check, equal, matches
from harness.sidecar import Sidecar

DEADLINE_S = 120
MOUNT = "/mnt/data"
CLASSES = {"READ": "Read", "WRITE": "Write", "COMMIT": "Write", "LOCK": "Lock", "LOCKU": "Lock"}
SESSION = {"NULL", "SEQUENCE", "RENEW", "EXCHANGE_ID", "CREATE_SESSION", "RECLAIM_COMPLETE", "BIND_CONN_TO_SESSION"}
CALLS = {"Read": "NfsReads", "Write": "NfsWrites", "Metadata": "NfsMetadataCalls", "Lock": "NfsLockCalls"}
TIMES = {"Time": "execute_ms", "RoundTripTime": "rtt_ms", "QueueTime": "queue_ms"}
WORK = """cd /mnt/data
for i in 1 2 3; do dd if=/dev/zero of=big$i bs=64k count=16 conv=fsync; done
dd if=/dev/zero of=direct bs=8k count=5 oflag=direct
echo 1 > /proc/sys/vm/drop_caches
cat big1 big2 big2 > /dev/null
dd if=direct of=/dev/null bs=8k iflag=direct
mkdir d; for i in $(seq 20); do echo $i > d/$i; done; ls -l d; mv d/1 d/one; rm d/2; cat d/none
nfsprobe try lock; nfsprobe try lock; true"""


def distribution(value):
    """{value as nfsiostat prints it: count} of what an EMF line has for a distribution."""
    if isinstance(value, dict):
        pairs = zip(value["Values"], value["Counts"])
    else:
        pairs = ((v, 1) for v in value)
    sums = Counter()
    for v, n in pairs:
        sums[f"{v:.3f}"] += n
    return sums


def equals_nfsiostat(cluster, host):
    """One interval from start to SIGTERM has all that happened between the two snapshots."""
    before = nfsiostat.snapshot(host, "before", cluster.results_dir)
    sidecar = Sidecar(host, MOUNT, intervals="", options="--profile=observe --metrics-set=all --metrics-interval=1h --canary-interval=1h")
    sidecar.process.wait_output("MountAnswers")  # to ask the API would split the interval
    host.run(WORK, timeout=40)
    sidecar.stop(10)
    after = nfsiostat.snapshot(host, "after", cluster.results_dir)
    theirs = nfsiostat.Difference(before, after, MOUNT)
    line, = [line for line in map(json.loads, sidecar.process.stdout.splitlines()) if "NfsReads" in line]

    calls, times, retransmissions, failed, errors = Counter(), {}, 0, 0, 0
    for name in theirs.ops():
        figures = theirs.op(name)
        retransmissions += max(figures.retransmissions, 0)
        if name in SESSION:
            continue
        failed += figures.errors
        kind = CLASSES.get(name, "Metadata")
        errors += figures.errors if kind in ("Read", "Write") else 0
        calls[kind] += int(float(figures.ops))
        for suffix, field in TIMES.items():
            times.setdefault(kind + suffix, Counter())[getattr(figures, field)] += int(float(figures.ops))
    for kind, metric in CALLS.items():
        check(calls[kind] > 0, f"the work has no {kind} calls: {calls}")
        equal(metric, line[metric], calls[kind])
        for suffix in TIMES:
            equal(f"Nfs{kind}{suffix}", distribution(line[f"Nfs{kind}{suffix}"]), times[kind + suffix])
    everything = sum((times[kind + "Time"] for kind in CALLS), Counter())
    equal("NfsOperationTime", distribution(line["NfsOperationTime"]), everything)
    check(failed > 0, "no call failed")
    equal("NfsFailedCalls", line["NfsFailedCalls"], failed)
    equal("NfsErrors", line["NfsErrors"], errors)
    equal("NfsRetransmissions", line["NfsRetransmissions"], retransmissions)
    equal("NfsBacklog", f"{line['NfsBacklog']:.3f}", theirs.backlog())
    for metric, names in {"AppReadBytes": ("normalreadbytes", "directreadbytes"), "AppWrittenBytes": ("normalwritebytes", "directwritebytes"),
                          "NfsReadBytes": ("serverreadbytes",), "NfsWrittenBytes": ("serverwritebytes",), "NfsDelays": ("delay",)}.items():
        equal(metric, line[metric], sum(theirs.counter(name) for name in names))
    cluster.log(f"{dict(calls)}, {failed} failed, {retransmissions} retransmissions, metered {line['MeteredBytes']}: equal")


def each_operation(host):
    """GET /metrics and /v1/status have each operation, as the kernel counts it."""
    sidecar = Sidecar(host, MOUNT, intervals="", options="--profile=observe --canary-interval=0 --mount-probe-interval=0")
    sidecar.wait("MountReady", "True", "MountAnswers", 15)
    host.run("sleep 1.5; cat /mnt/data/big1 >/dev/null; sleep 0.1")
    text = host.run("curl -sS --max-time 5 --unix-socket /run/efs-sidecar/api.sock http://sidecar/metrics").stdout
    host.run("sleep 1.2")
    shown = {op["name"]: op for op in sidecar.mount_status()["nfs"]["operations"]}
    counted = host.mountstats()
    for name, op in counted.ops.items():
        if name in SESSION or not op.ops:
            continue
        for column, value in {"calls": op.ops, "transmissions": op.trans, "errors": op.errors, "sent_bytes": op.bytes_sent,
                              "received_bytes": op.bytes_recv, "execute_seconds": f"{op.execute_ms / 1000:.15g}"}.items():
            matches("/metrics", text, rf'\nefs_sidecar_nfs_op_{column}_total{{[^}}]*op="{name}"}} {value}\n')
        equal(f"{name} in the status", (shown[name]["calls"], shown[name]["queue_ms"], shown[name]["round_trip_ms"]),
              (op.ops, op.queue_ms, op.rtt_ms))
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False)
    equal("promtool", (lint.returncode, lint.stderr), (0, ""))
    sidecar.stop(10)


def measured(sidecar):
    """{name: value} of the mount, now."""
    groups = sidecar.get("/v1/metrics").body["groups"]
    return {m["name"]: m.get("value") for g in groups if g["mount"] == MOUNT for m in g["metrics"]}


def hang(cluster, host):
    sidecar = Sidecar(host, MOUNT)
    sidecar.ready()
    cluster.wait_until(lambda: measured(sidecar)["NfsOutstandingCalls"] == 0, 10, "an idle moment")
    cluster.server.stop()
    cluster.wait_until(lambda: measured(sidecar)["NfsOutstandingCalls"] > 0, 15, "outstanding calls")
    cluster.wait_until(lambda: measured(sidecar)["MountStalled"] == 1, 20, "MountStalled")
    stuck = measured(sidecar)
    cluster.log(f"in the hang {stuck['NfsOutstandingCalls']} calls are outstanding, the lease is over for {stuck['NfsLeaseExpired']} s")
    cluster.server.cont()
    cluster.wait_until(lambda: measured(sidecar)["MountStalled"] == 0, 30, "MountStalled is over")
    # Probes come every two seconds: some look finds none on its way.
    cluster.wait_until(lambda: measured(sidecar)["NfsOutstandingCalls"] == 0, 20, "no outstanding calls")
    sidecar.stop(10)


def run(cluster):
    host = cluster.host(1)
    host.mount()
    equals_nfsiostat(cluster, host)
    each_operation(host)
    hang(cluster, host)
