#!/usr/bin/env python3
"""The alarms, read back from moto_server, fire on their series and stay quiet on a healthy one; each has its runbook."""
import json
import os
import re
import subprocess

import alarmlib
import botocore.session
from awslib import own_network
from motolib import ENV, Moto, aws
from stacklib import HERE, catalogue, resources_of
from watchlib import BUILD, check, run

RUNBOOKS = os.path.join(HERE, "../../docs/runbooks")
MIB = 1024 * 1024
N = 40
STEADY = [0.0] * N
# Series by metric: what is healthy, and what the alarm of that name is for. The newest value is last.
HEALTHY = {
    "TriggeredRules": [None] * N, "MountStalled": STEADY, "Heartbeat": [3.0] * N, "CanaryWriteLatency": [25.0] * N, "NfsTimeouts": STEADY,
    "LocksLost": STEADY, "DeadLetters": STEADY, "WatchRestarts": STEADY, "FeedStaleness": [1500.0] * N, "OrphanedTasks": [2.0] * N, "MetricLinesDropped": STEADY,
    "MetricDataDropped": STEADY, "MeteredIOBytes": [60 * 10.0 * MIB] * N, "PermittedThroughput": [100.0 * MIB] * N,
    "BurstCreditBalance": [2.1e12] * N, "PercentIOLimit": [12.0] * N,
}


def then(name, *last):
    """A metric that was healthy until these values."""
    return {name: HEALTHY[name] + list(last)}


SICK = {
    "gate-failed": then("TriggeredRules", 1.0),
    "mount-stalled": then("MountStalled", 1.0, 1.0, 1.0),
    "heartbeat-silent": {"Heartbeat": [3.0] * 5 + [None] * 7},
    "canary-slow": then("CanaryWriteLatency", 400.0, 450.0, 500.0),
    "canary-very-slow": then("CanaryWriteLatency", 1400.0, 2450.0, 1500.0),
    "major-timeouts": then("NfsTimeouts", 1.0, 4.0, 2.0, 2.0, 1.0),
    "lock-lost": then("LocksLost", 1.0),
    "dead-letters": then("DeadLetters", 2.0),
    "feed-lag": then("FeedStaleness", 61000.0, 121000.0, 181000.0),
    "watcher-failing": then("WatchRestarts", 4.0, 3.0),
    "orphans-growing": {"OrphanedTasks": [2.0, 2.0, 3.0, 5.0, 9.0]},
    "metrics-dropped": {"MetricLinesDropped": [0.0] * 5 + [None] * 5, "MetricDataDropped": [0.0] * 5 + [7.0] * 5},
    "throughput-high": {"MeteredIOBytes": [60 * 95.0 * MIB] * 11 + [1.0] * 4, "PermittedThroughput": [100.0 * MIB] * 15},
    "burst-credits": {"BurstCreditBalance": [3.6e11, 3.5e11, 3.4e11], "PermittedThroughput": [100.0 * MIB] * 3},
    "io-limit": {"PercentIOLimit": [99.0] * 15},
}
# And what is near, but none of their business.
NEAR = {
    "mount-stalled": then("MountStalled", 1.0, 1.0, 0.0), "heartbeat-silent": then("Heartbeat", None, None, None, 1.0),
    "canary-slow": then("CanaryWriteLatency", 5000.0, 20.0, 400.0), "major-timeouts": then("NfsTimeouts", 3.0, 3.0, 0.0, 3.0, 3.0),
    "feed-lag": then("FeedStaleness", 61000.0, 1000.0, 61000.0), "watcher-failing": then("WatchRestarts", 9.0, 0.0, 2.0, 2.0), "orphans-growing": {"OrphanedTasks": [0.0, 9.0, 9.0, 9.0, 9.0]},
    "metrics-dropped": {"MetricLinesDropped": [5.0] * 4 + [0.0], "MetricDataDropped": [0.0] * 5},
    "throughput-high": {"MeteredIOBytes": [60 * 95.0 * MIB] * 9 + [1.0] * 6, "PermittedThroughput": [100.0 * MIB] * 15},
    "burst-credits": {"BurstCreditBalance": [4.5e11] * 3, "PermittedThroughput": [100.0 * MIB] * 3},
    "canary-very-slow": then("CanaryWriteLatency", 900.0, 900.0, 900.0), "io-limit": {"PercentIOLimit": [99.0] * 14 + [80.0]},
}


def evaluator(_):
    """the evaluator answers as the tables in AWS's documentation do"""
    tables = [  # M, N, data (X breaches, 0 does not, - is missing), then missing, ignore, breaching, notBreaching
        (3, 3, "0-X-X", "OK OK OK OK"), (3, 3, "----0", "OK OK OK OK"), (3, 3, "-----", "INSUFFICIENT_DATA None ALARM OK"),
        (3, 3, "0XX-X", "ALARM ALARM ALARM ALARM"), (3, 3, "--X--", "ALARM None ALARM OK"),
        (2, 3, "0-X-X", "ALARM ALARM ALARM ALARM"), (2, 3, "00X0X", "ALARM ALARM ALARM ALARM"), (2, 3, "0-X--", "OK OK ALARM OK"),
        (2, 3, "----0", "OK OK ALARM OK"), (2, 3, "---X-", "ALARM None ALARM OK"),
    ]
    for m, n, data, states in tables:
        points = [{"X": True, "0": False, "-": None}[c] for c in data]
        for how, wanted in zip(("missing", "ignore", "breaching", "notBreaching"), states.split()):
            got = alarmlib.state(points, n, m, how)
            check(str(got) == wanted, f"{m} of {n}, {data}, {how}: {got}, AWS says {wanted}")
    series = {"a": [1.0, None, 4.0], "b": [2.0, 2.0, 0.0]}
    for text, wanted in (("a + 2 * b", [5.0, None, 4.0]), ("FILL(a, 9) - b", [-1.0, 7.0, 4.0]), ("a / b", [0.5, None, None]),
                         ("DIFF(b)", [None, 0.0, -2.0]), ("100 * (a / PERIOD(a))", [100 / 60, None, 100 * (4 / 60)])):
        check(alarmlib.compute(text, series, 60) == wanted, f"{text}: {alarmlib.compute(text, series, 60)}")


def known(name):
    return {"Alarms": "arn:aws:sns:eu-west-1:123456789012:alarms", "FileSystem": "fs-0123456789abcdef0"}.get(name, name.replace(":", "-"))


def read_back():
    """All alarms of the stack, put into moto and told by it, by what the catalogue calls them and the service."""
    with Moto():
        cloudwatch = botocore.session.get_session().create_client(
            "cloudwatch", endpoint_url=ENV["AWS_ENDPOINT_URL"], region_name=ENV["AWS_DEFAULT_REGION"],
            aws_access_key_id=ENV["AWS_ACCESS_KEY_ID"], aws_secret_access_key=ENV["AWS_SECRET_ACCESS_KEY"])
        for properties in resources_of("AWS::CloudWatch::Alarm", known).values():
            cloudwatch.put_metric_alarm(**properties)
        return {a["AlarmName"].removeprefix("AWS--StackName-"): a for a in aws("cloudwatch", "describe-alarms")["MetricAlarms"]}


def fire(_):
    """each alarm fires on its series, not on one that is near, and not on a healthy one"""
    alarms = read_back()
    names, exist = set(SICK), {m["name"] for m in catalogue("metrics.json")}
    missing = {m["name"] for a in catalogue("alarms.json") for m in a["metrics"] if "namespace" not in m} - exist
    check(not missing, f"sidecar/metric_table.c has no metric {missing}")
    check(set(a["name"] for a in catalogue("alarms.json")) == set(SICK), "an alarm has no series here")
    for full, alarm in alarms.items():
        name = full.removeprefix("web-").removeprefix("processor-")
        names.discard(name)
        for what, series, wanted in (("healthy", {}, "OK"), ("its", SICK[name], "ALARM"), ("a near", NEAR.get(name, {}), "OK")):
            got = alarmlib.evaluate(alarm, {**HEALTHY, **series})
            check(got == wanted, f"{full} on {what} series: {got}, not {wanted}")
    check(not names, f"the stack has no alarm {names}")
    return f"{len(alarms)} alarms"


def event(exit_code, container="efs-init", service="web", status="STOPPED"):
    """As ECS tells of a task; containers that were never started have no exit code."""
    others = [{"name": n} for n in ("efs-init", "efs-sidecar", "app") if n != container]
    ended = {"name": container, "lastStatus": status, **({} if exit_code is None else {"exitCode": exit_code})}
    return {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": {
        "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/c", "group": f"service:{service}", "lastStatus": status,
        "containers": others + [ended], "stoppedReason": "Essential container in task exited"}}


def gate_rule(_):
    """the rule takes the event of a task whose gate failed, and no other one"""
    def known(name):
        return "arn:aws:ecs:eu-west-1:123456789012:cluster/c" if name == "Cluster.Arn" else name
    pattern = resources_of("AWS::Events::Rule", known)["WebGateFailed"]["EventPattern"]
    for text, told in ((event(21), True), (event(137), True), (event(0), False), (event(1, container="app"), False), (event(None), False),
                       (event(21, service="processor"), False), (event(21, status="RUNNING"), False)):
        check(alarmlib.matches(pattern, text) == told, f"{text}: {not told}")
    with Moto():  # it is a pattern that EventBridge can read
        aws("events", "put-rule", "--name", "gate", "--event-pattern", json.dumps(pattern))


def limits(_):
    """what CloudWatch demands of an alarm: a period that exists, a day at most in all, at most 10 metrics"""
    for alarm in catalogue("alarms.json"):
        check(alarm["period"] % 60 == 0 and alarm["period"] * alarm["evaluations"] <= 86400, f"{alarm['name']}: period")
        check(1 <= alarm["datapoints"] <= alarm["evaluations"] and len(alarm["metrics"]) <= 10, alarm["name"])


def table_agrees(_):
    """what docs/metrics.md says of a metric's alarm is said of the same statistic and threshold"""
    done = subprocess.run([os.path.join(BUILD, "tests/man-metrics")], check=True, capture_output=True, text=True)
    rows = {c[0].strip("| `"): c[-1].strip(" |") for c in (line.split(" | ") for line in done.stdout.splitlines()) if len(c) > 6}
    for name in ("mount-stalled", "canary-very-slow", "major-timeouts", "lock-lost", "feed-lag", "heartbeat-silent"):
        alarm = next(a for a in catalogue("alarms.json") if a["name"] == name)
        metric, says = alarm["metrics"][0], rows[alarm["metrics"][0]["name"]]
        match = re.match(r"(\w+) (>=|>|<) (\d+)", says)
        sign = {">": "GreaterThanThreshold", ">=": "GreaterThanOrEqualToThreshold", "<": "LessThanThreshold"}[match.group(2)]
        check((match.group(1), sign, int(match.group(3))) == (metric["stat"], alarm["comparison"], alarm["threshold"]),
              f"{name}: the table says \"{says}\"")
        times = re.search(r"in (\d+) of (\d+) ", says)
        check(not times or (int(times.group(1)), int(times.group(2))) == (alarm["datapoints"], alarm["evaluations"]), f"{name}: {says}")


def runbooks(_):
    """each alarm has a page with symptom, one command, decision and fix; the commands of ours exist"""
    for page in sorted({a["runbook"] for a in catalogue("alarms.json")}):
        with open(os.path.join(RUNBOOKS, page + ".md"), encoding="utf-8") as file:
            text = file.read()
        parts = re.findall(r"^## (.*)", text, re.M)
        check(parts == ["Symptom", "One command", "Decision", "Fix"], f"{page}.md has the parts {parts}")
        command = text.split("## One command")[1].split("## ")[0]
        check(len(re.findall(r"^    \S", command, re.M)) >= 1, f"{page}.md: no command")
        for word in re.findall(r"\befsctl ([a-z]+)", text):
            done = subprocess.run([os.path.join(BUILD, "efsctl"), word, "--help"], capture_output=True, timeout=10, check=False)
            check(done.returncode == 0, f"{page}.md: efsctl has no {word}")
        for link in re.findall(r"\]\(([^)#]+)", text):
            check(os.path.exists(os.path.join(RUNBOOKS, link)), f"{page}.md: {link} is not there")


if __name__ == "__main__":
    own_network()
    run(evaluator, fire, gate_rule, limits, table_agrees, runbooks)
