#!/usr/bin/env python3
"""What the metrics cost a task and month at the defaults, counted in what really leaves the sidecar. Time is scaled: an interval is
1 s, with the probes and the canary, and the calls of PutMetricData, that 60 s have at the defaults."""
import gzip
import json
import re

from awslib import Fake, environment, keys
from sidecarlib import Sidecar
from test_efsctl_top import efsctl
from test_metrics_output import check_line, events, of_process
from watchlib import check, run, wait_for

MONTH_INTERVALS = 730 * 60
OPTIONS = ("--metrics-interval=1s", "--mount-probe-interval=166ms", "--canary-interval=5s", "--cluster=production", "--service=web-shop")
INTERVALS = 11
MOUNT = ("share=fs-0123456789abcdef0",)
EMF_BYTES_MAX = 1500  # an interval, all lines together
LOGS_MONTH, CALLS_MONTH = 0.05, 0.10


def series(lines):
    found = set()
    for event in lines:
        for directive in event["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                found.add((metric["Name"], *(event[d] for d in directive["Dimensions"][0])))
    return found


def told(sidecar):
    """dollars and formula of each line of `efsctl metrics --cost`"""
    result = efsctl(sidecar, "metrics", "--cost", "--region=eu-west-1")
    check(result.returncode == 0 and "in eu-west-1 they differ" in result.stdout, f"{result}")
    check(all(len(line) <= 80 for line in result.stdout.splitlines()), result.stdout)
    return {m[1].strip(): (float(m[2]), m[3]) for m in re.finditer(r"^  (\S.{8}) +\$([0-9.]+)  (.*)$", result.stdout, re.M)}


def emf(root):
    """EMF lines: series, bytes and dollars, and efsctl says the same"""
    with Sidecar(root, *OPTIONS, mounts=MOUNT) as sidecar:
        wait_for(lambda: len(of_process(events(sidecar.out_path))) >= INTERVALS, "the intervals", 30)
        cost = told(sidecar)
        with open(sidecar.out_path, "rb") as file:
            text = file.read()
    lines = [check_line(line) for line in text.decode().splitlines()]
    intervals = len(of_process(lines))
    each = len(text) / intervals
    found = series(lines)
    gigabytes = each * MONTH_INTERVALS / 1e9
    check(len(found) <= 8 and len({s[0] for s in found}) == len(found), f"series: {found}")
    check(each <= EMF_BYTES_MAX and gigabytes * 0.5 <= LOGS_MONTH, f"{each:.0f} bytes an interval")
    dollars, formula = cost["metrics"]
    check(abs(dollars - len(found) * 0.3) < 0.01 and formula.startswith(f"{len(found)} x $0.30, once"), f"{cost}, but sent are {found}")
    counted = float(cost["logs"][1].split()[0])
    check(abs(counted - each) < 0.1 * each, f"efsctl counted {counted} bytes an interval, these are {each:.0f}")
    check("calls" not in cost, f"{cost}")
    return (f"{len(found)} series, ${len(found) * 0.3:.2f} for the service; {each:.0f} bytes an interval, {gigabytes * 1000:.1f} MB and "
            f"${gigabytes * 0.5:.3f} a task")


def calls(root):
    """PutMetricData: calls as the far side counts them, and efsctl says the same"""
    sent = set()

    def answer(request):
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        for datum in json.loads(body)["MetricData"]:
            sent.add((datum["MetricName"], *(d["Value"] for d in datum["Dimensions"])))
        return 200, {}, "{}"
    with Fake(answer) as cloudwatch:
        env = environment({**keys(), "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": cloudwatch.url})
        with Sidecar(root, *OPTIONS, "--metrics-sinks=cloudwatch", "--metrics-cloudwatch-flush=5s", mounts=MOUNT, env=env) as sidecar:
            wait_for(lambda: len(cloudwatch.requests) >= 4, "four calls", 40)
            wait_for(lambda: told(sidecar)["calls"][1].startswith("4 PutMetricData in"), lambda: f"{told(sidecar)}", 5)
            lived_s, cost = sidecar.status()["uptime_ms"] / 1000, told(sidecar)
            first, *_, last = [request.time for request in cloudwatch.requests]
            check(sidecar.stop() == 0, "exit code")
    # 5 s for the 5 minutes. The first call comes early, at a time of its own: what counts is the time between calls.
    monthly = 3 / (last - first) / 60 * 730 * 3600
    check(monthly / 1000 * 0.01 <= CALLS_MONTH, f"{monthly:.0f} calls a month")
    scaled = 4 / lived_s * 730 * 3600 / 1000 * 0.01
    check(abs(cost["calls"][0] - scaled) < 0.2 * scaled, f"{cost['calls']}, but 4 calls in {lived_s:.1f} s are ${scaled:.2f}")
    check(abs(cost["metrics"][0] - len(sent) * 0.3) < 0.01 and "logs" not in cost, f"{cost}, but sent are {sent}")
    return f"{len(sent)} series, ${len(sent) * 0.3:.2f} for the service; {monthly:.0f} calls, ${monthly / 1000 * 0.01:.3f} a task"


def everything(root):
    """--metrics-set=all: every line stays small enough for the log driver, and efsctl counts the series"""
    with Sidecar(root, *OPTIONS, "--metrics-set=all", mounts=MOUNT) as sidecar:
        wait_for(lambda: len(of_process(events(sidecar.out_path))) >= 6, "the intervals", 30)
        dollars, _ = told(sidecar)["metrics"]
        lines = events(sidecar.out_path)
        found = series(lines)
        check(len(found) > 20 and abs(dollars - len(found) * 0.3) < 0.01, f"${dollars} for {len(found)} series")
    return f"{len(found)} series, ${dollars:.2f} for the service"


if __name__ == "__main__":
    run(emf, calls, everything)
