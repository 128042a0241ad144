"""on real NFS: efsctl top and metrics, Prometheus under promtool, what the EMF lines cost, and a hang as people see it"""

import json
import re
import subprocess

from harness.errors import between, check, equal, matches
from harness.sidecar import Sidecar

DEADLINE_S = 90
# 1 s for the 60 s of an interval, with as many probes and canaries as the defaults have in one.
INTERVALS = "--metrics-interval=1s --mount-probe-interval=166ms --canary-interval=5s --mount-stall-after=3s --cluster=prod --service=web"
MONTH_INTERVALS = 730 * 60
LOAD = "while :; do echo x >/mnt/data/load; cat /mnt/data/load >/dev/null; ls -l /mnt/data >/dev/null; rm /mnt/data/load; sleep 0.2; done"


def bytes_of_interval(sidecar):
    lines = [line for line in sidecar.process.stdout.splitlines() if line.endswith("}")]
    intervals = sum("Heartbeat" in json.loads(line) for line in lines)
    check(max(map(len, lines)) < 16384, "Docker would split a line")
    check(any("NfsOperationTime" in json.loads(line) for line in lines), f"no NFS metrics: {lines[-1]}")
    return sum(len(line) + 1 for line in lines) / intervals


def run(cluster):
    host = cluster.host(1)
    host.mount()
    sidecar = Sidecar(host, "/mnt/data=fs-0123456789abcdef0", intervals=INTERVALS)
    sidecar.wait("MountReady", "True", "MountAnswers", 15)
    load = host.spawn(LOAD)
    cluster.wait_until(lambda: len(sidecar.metrics("Heartbeat")) >= 12, 40, "12 intervals")

    top = host.run("efsctl top --once --interval=2s", timeout=20).stdout
    cluster.log(top)
    matches("the mount", top, r"\n/mnt/data +ready +[0-9.]+ms +[0-9.]+ms +(<1|[0-9]+)ms +[0-9.]+ +[0-9.]+ [KM]?i?B +[0-9.]+ [KM]?i?B\n")
    for operation in ("OPEN", "WRITE", "REMOVE", "GETATTR"):
        matches(operation, top, rf"\n  {operation} +[0-9.]+ +[0-9.]+m?s +[0-9.]+m?s +[0-9.]+m?s +[0-9.]+ (B|KiB) +[0-9]+ +[0-9]+\n")
    check(all(len(line) <= 80 for line in top.splitlines()), top)

    text = host.run(f"curl -sS --max-time 5 --unix-socket {sidecar.run_dir}/api.sock http://sidecar/metrics").stdout
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False)
    check(lint.returncode == 0 and not lint.stderr, f"promtool: {lint.stdout}{lint.stderr}")
    check(text.count("# TYPE efs_sidecar_nfs_") > 20, "no NFS metrics")

    each = bytes_of_interval(sidecar)
    cost = host.run("efsctl metrics --cost").stdout
    cluster.log(cost)
    cluster.log(f"EMF: {each:.0f} bytes an interval, {each * MONTH_INTERVALS / 1e6:.1f} MB and ${each * MONTH_INTERVALS / 1e9 * 0.5:.3f} a month")
    between("dollars of EMF lines a month", each * MONTH_INTERVALS / 1e9 * 0.5, 0, 0.05)
    sent = {m["Name"] for line in sidecar.process.stdout.splitlines() if line.endswith("}")
            for m in json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    equal("series", int(re.search(r"metrics +\$[0-9.]+ +(\d+) x", cost)[1]), len(sent))
    between("core metrics", len(sent), 6, 8)

    cluster.server.stop()
    sidecar.wait("MountReady", "False", "MountStalled", 15)
    result = host.run("efsctl top --once", timeout=20)
    cluster.log(result.stdout)
    matches("the hang", result.stdout, r"\nMountReady +False +MountStalled\n  /mnt/data(.|\n)*\n/mnt/data +HUNG \d+s (.|\n)*\n/mnt/data: [1-9]\d* without an answer\n")
    between("seconds that it took", result.seconds, 1, 3)
    cluster.server.cont()
    cluster.wait_until(lambda: " ready " in host.run("efsctl top --once --interval=1s").stdout, 30, "the mount is ready again")
    load.kill()
    sidecar.stop()
