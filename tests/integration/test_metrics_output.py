#!/usr/bin/env python3
"""Metrics as they leave the sidecar: EMF lines against the specification's rules, no interval lost or merged, Prometheus
text under promtool, and a stdout that nobody drains."""
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import jsonschema

from locklib import Hold, wait_locks
from sidecarlib import Sidecar
from watchlib import Scratch, check, check_size, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMAS = []
for name in ("emf-schema.json", "emf-schema-published.json"):  # the rules of the specification's text, and its schema
    with open(os.path.join(HERE, "../data", name), encoding="utf-8") as f:
        SCHEMAS.append(jsonschema.Draft7Validator(json.load(f)))

OPTIONS = ("--metrics-interval=1s", "--cluster=prod", "--service=web\"shop", "--mount-probe-interval=1s",
           "--canary-interval=2s", "--watch-enabled=false", "--metrics-set=all",
           "--metrics-max-series=2000")


def check_line(text):
    """One event: pure JSON, valid, and every name that it refers to is at its root."""
    check(len(text) < 16384, f"Docker would split a line of {len(text)} bytes")
    event = json.loads(text)
    errors = [e.message for schema in SCHEMAS for e in schema.iter_errors(event)]
    check(not errors, f"{errors} in {text[:500]}")
    for directive in event["_aws"]["CloudWatchMetrics"]:
        for name in sum(directive["Dimensions"], []):
            check(isinstance(event.get(name), str) and 0 < len(event[name]) <= 1024, f"dimension {name}: {event.get(name)}")
            check(name in ("ClusterName", "ServiceName", "FileSystemId"), f"dimension {name} would multiply the metrics")
        for metric in directive["Metrics"]:
            values = event.get(metric["Name"])
            values = values if isinstance(values, list) else [values]
            check(0 < len(values) <= 100 and all(isinstance(v, (int, float)) and v == v for v in values),
                  f"{metric['Name']}: {values}")
    return event


def events(path):
    with open(path, encoding="utf-8") as f:
        return [check_line(line) for line in f.read().splitlines()]


def of_process(lines):
    return [e for e in lines if "Heartbeat" in e]


def stamps(lines):
    return [e["_aws"]["Timestamp"] for e in lines]


def intervals(root):
    """4 s of life, 3.4 s of SIGSTOP, 2 s of life, SIGTERM."""
    with Sidecar(root, *OPTIONS, mounts=("share=fs-0123456789abcdef0",)) as sidecar:
        wait_for(lambda: len(of_process(events(sidecar.out_path))) >= 4, "4 intervals", 10)
        os.kill(sidecar.process.pid, signal.SIGSTOP)
        time.sleep(3.4)
        os.kill(sidecar.process.pid, signal.SIGCONT)
        wait_for(lambda: len(of_process(events(sidecar.out_path))) >= 7, "3 more intervals", 10)
        check(sidecar.stop() == 0, "exit code")
        lines = events(sidecar.out_path)
    process, mount = of_process(lines), [e for e in lines if "MountStalled" in e]
    check(len(process) == len(mount), f"{len(process)} lines of the process, {len(mount)} of the mount")
    check(all(e["Heartbeat"] == 1 for e in process), "a heartbeat is missing")
    *whole, last = stamps(process)
    gaps = [b - a for a, b in zip(whole, whole[1:])]
    missed = [e["MetricIntervalsMissed"] for e in process]
    check(sum(missed) in (2, 3), f"3.4 s of SIGSTOP were told as {missed} missed intervals")
    check(all(abs(gap - 1000) <= 3 for gap in gaps if gap < 1500), f"stamps drift: {gaps}")
    # The interval in which it was stopped is told with its own stamp; the stamps resume after those that were missed.
    check(sum(round(gap / 1000) - 1 for gap in gaps) == sum(missed), f"gaps {gaps}, missed {missed}")
    check(0 <= last - whole[-1] <= 1100, "the last, shorter interval was not sent")
    check(mount[0]["FileSystemId"] == "fs-0123456789abcdef0" and mount[0]["ServiceName"] == "web\"shop", f"{mount[0]}")
    check(max(e["LoopLag"] for e in process) > 2000, "the stop does not show as loop lag")
    probes = sum(len(e.get("ProbeLatency", [])) for e in mount)
    canaries = sum(len(e.get("CanaryWriteLatency", [])) for e in mount)
    check(probes >= 3 and canaries >= 1, f"{probes} probes, {canaries} canaries")
    return len(lines)


def without_dimensions(root):
    with Sidecar(root, "--metrics-interval=1s", "--profile=observe") as sidecar:
        wait_for(lambda: len(events(sidecar.out_path)) >= 2, "an interval", 10)
        first = events(sidecar.out_path)[0]
        check(first["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[]], f"dimensions nobody named: {first}")


def last_interval(root):
    """What is counted in the moments before SIGTERM goes out with the last interval."""
    locks = 20
    with Sidecar(root, "--metrics-interval=1h", "--metrics-include=LocksGranted") as sidecar:
        wait_locks(sidecar)
        for _ in range(locks):
            hold = Hold(sidecar, "one")
            hold.until("granted")
            hold.release()
        check(sidecar.stop() == 0, "exit code")
        sent = sum(e.get("LocksGranted", 0) for e in events(sidecar.out_path))
        check(sent == locks, f"{locks} locks were granted, the metrics say {sent}")


def silent(root):
    with Sidecar(root, "--metrics-interval=1s", "--metrics-sinks=none", "--profile=observe") as sidecar:
        time.sleep(1.5)
        condition = sidecar.condition("MetricsPublishing")
        check((condition["status"], condition["reason"]) == ("Unknown", "NotEnabled"), f"{condition}")
        check("efs_sidecar_heartbeat_total 1" in sidecar.get("/metrics")[1], "no metrics")
        check(sidecar.stop() == 0 and os.path.getsize(sidecar.out_path) == 0, "something was written")


def prometheus(root):
    odd = "share \"quoted\" back\\slash"
    with Sidecar(root, *OPTIONS, mounts=(odd, "other")) as sidecar:
        wait_for(lambda: "canary_write_latency_seconds_count" in sidecar.get("/metrics")[1], "the canary", 10)
        text = sidecar.get("/metrics")[1]
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False)
    check(lint.returncode == 0 and not lint.stderr, f"promtool: {lint.stdout}{lint.stderr}")
    check("share \\\"quoted\\\" back\\\\slash\"} 1" in text, "labels are not escaped")
    return len([line for line in text.splitlines() if not line.startswith("#")])


def as_json(root):
    """/v1/metrics: the same numbers as the Prometheus text and the EMF lines, under the same names"""
    first = ("canary_write_latency_seconds_count", "task_directory_bytes")  # of what comes later than the first answer
    with Sidecar(root, *OPTIONS, "--metrics-interval=1h", mounts=("share=fs-0123456789abcdef0",)) as sidecar:
        wait_for(lambda: all(name in sidecar.get("/metrics")[1] for name in first), "canary and usage", 20)
        status, told = sidecar.get("/v1/metrics")
        check(status == 200 and told["interval_ms"] == 3600000 and told["uptime_ms"] > 0, f"{told}")
        check([g["mount"] for g in told["groups"]] == ["", sidecar.mounts[0].split("=")[0]], f"groups: {told['groups']}")
        text = sidecar.get("/metrics")[1]
        sidecar.stop()
        lines = events(sidecar.out_path)
    for group, line in zip(told["groups"], lines):
        metrics = {m["name"]: m for m in group["metrics"]}
        sent = {m["Name"]: m["Unit"] for m in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
        check({n: m["unit"] for n, m in metrics.items()} == sent, f"{metrics.keys()} but sent are {sent}")
        check(not set(metrics) - set(told["meanings"]), "a metric without a meaning")
        for name, metric in metrics.items():
            if metric["kind"] == "distribution":
                check(metric["min"] <= metric["p50"] <= metric["p90"] <= metric["p99"] <= metric["max"] <= metric["sum"], f"{metric}")
                check(metric["min"] in line[name] and metric["count"] <= len(line[name]), f"{metric} but sent are {line[name]}")
    check(text.count("# TYPE") == len({m["name"] for g in told["groups"] for m in g["metrics"]}), "Prometheus knows others")


def never_drained(root):
    """stdout and stderr are full pipes. 16 mounts make 17 lines a second: the queue is full after about 20 s."""
    pipes = [os.pipe() for _ in range(2)]
    for _, end in pipes:
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(end, False)
        try:
            while True:
                os.write(end, b"#" * 4096)
        except BlockingIOError:
            os.set_blocking(end, True)
    names = [f"m{i}" for i in range(16)]
    with Sidecar(root, *OPTIONS, "--log-level=debug", mounts=names, stdout=pipes[0][1], stderr=pipes[1][1]) as sidecar:
        for _, end in pipes:
            os.close(end)
        slowest = 0
        start = time.monotonic()
        while sidecar.status()["metrics_dropped"] < 20:
            slowest = max(slowest, sidecar.health_ms())
            check(time.monotonic() - start < 60, f"nothing was dropped: {sidecar.status()}")
            time.sleep(0.1)
        took, full_kib = time.monotonic() - start, sidecar.rss_kib()
        while time.monotonic() - start < took + 5:
            slowest = max(slowest, sidecar.health_ms())
            time.sleep(0.1)
        check(slowest < 100, f"/healthz took {slowest:.0f} ms with a blocked stdout")
        check_size(sidecar.rss_kib() - full_kib < 256, "memory goes on growing")
        check(sidecar.condition("MetricsPublishing")["reason"] == "OutputBlocked", "MetricsPublishing does not tell")
        dropped = sidecar.status()["metrics_dropped"]
        check(f"efs_sidecar_metric_lines_dropped_total {dropped}" in sidecar.get("/metrics")[1] or
              sidecar.status()["metrics_dropped"] > dropped, "drops are not counted")

        # Somebody reads again: what was kept comes whole and in order, then the publishing is well again.
        os.set_blocking(pipes[0][0], False)
        text = b""

        def drain():
            nonlocal text
            try:
                while more := os.read(pipes[0][0], 65536):
                    text += more
            except BlockingIOError:
                pass
            return sidecar.condition("MetricsPublishing")["status"] == "True"
        wait_for(drain, "publishing did not recover", 20)
        time.sleep(1.2)
        drain()
        kept = [check_line(line) for line in text.lstrip(b"#").decode().splitlines()[:-1]]
        order = stamps(of_process(kept))
        check(len(kept) > 200 and order == sorted(order), f"{len(kept)} lines were kept: {order}")
        counted = sum(e["MetricLinesDropped"] for e in of_process(kept))
        check(counted == sidecar.status()["metrics_dropped"], f"{counted} lines are told to be missing: {sidecar.status()}")
        # What was counted meanwhile is not lost with the lines.
        beats, alive_s = sum(e["Heartbeat"] for e in of_process(kept)), (order[-1] - order[0]) / 1000 + 1
        check(abs(beats - alive_s) < 1, f"{beats} heartbeats in {alive_s} s")

        # Blocked again: SIGTERM does not wait for the reader.
        begun = time.monotonic()
        check(sidecar.stop() == 0, "exit code")
        check(time.monotonic() - begun < 5, f"SIGTERM took {time.monotonic() - begun:.1f} s")
    return f"/healthz at most {slowest:.0f} ms, {full_kib} KiB resident, first drops after {took:.0f} s"


def main():
    with Scratch() as root:
        lines = intervals(root)
    for part in (without_dimensions, last_interval, silent, as_json):
        with Scratch() as root:
            part(root)
    with Scratch() as root:
        samples = prometheus(root)
    with Scratch() as root:
        told = never_drained(root)
    print(f"{lines} EMF lines, {samples} Prometheus samples; stdout never drained: {told}")


if __name__ == "__main__":
    sys.exit(main())
