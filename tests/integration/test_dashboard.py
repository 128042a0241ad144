#!/usr/bin/env python3
"""The dashboard: what moto_server gives back names only metrics that exist; a metric of another name breaks the build."""
import json
import os
import re
import subprocess

from awslib import own_network
from motolib import Moto, aws
from stacklib import HERE, TASK_DEF, catalogue, resources_of
from watchlib import BUILD, check, run

GENERATE = os.path.join(TASK_DEF, "monitoring/generate")
TABLE = os.path.join(BUILD, "tests/man-metrics")
# CloudWatch's: metrics of a widget, of a dashboard, and the size of a body.
WIDGET_MAX, DASHBOARD_MAX, BODY_MAX_BYTES = 500, 2500, 1024 * 1024

with open(os.path.join(HERE, "../data/aws-metrics.json"), encoding="utf-8") as documented:
    EXIST = json.load(documented)
EXIST["EFSSidecar"] = {"dimensions": ["ClusterName", "ServiceName", "FileSystemId"], "metrics": [m["name"] for m in catalogue("metrics.json")]}


def up_to_date(_):
    """what was generated is what the metric table makes"""
    done = subprocess.run([GENERATE, "--check", TABLE], capture_output=True, text=True, timeout=30, check=False)
    check(done.returncode == 0, done.stderr)


def renamed(root):
    """a dashboard with a metric that the table does not have is not made, and says which"""
    other = os.path.join(root.decode(), "table")
    with open(other, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\n"{TABLE}" | sed s/ProbeLatency/ProbeTime/\n')
    os.chmod(other, 0o755)
    done = subprocess.run([GENERATE, "--check", other], capture_output=True, text=True, timeout=30, check=False)
    check(done.returncode != 0 and "ProbeLatency" in done.stderr and "metric_table.c" in done.stderr, done.stderr)


def exists(namespace, name, dimensions):
    check(namespace in EXIST, f"there is no namespace {namespace}")
    check(name in EXIST[namespace]["metrics"], f"there is no metric {namespace} {name}")
    check(set(dimensions) <= set(EXIST[namespace]["dimensions"]), f"{namespace} {name} has no dimensions {dimensions}")


def metrics_of(widget):
    """Checks each metric of a widget; how many there are."""
    entries, ids = widget["properties"].get("metrics", []), set()
    for entry in entries:
        last = entry[-1] if isinstance(entry[-1], dict) else {}
        if "expression" not in last:
            words = [e for e in entry if isinstance(e, str)]
            exists(words[0], words[1], words[2::2])
        for namespace, dimensions, name in re.findall(r"SEARCH\('\{([^,]+),([^}]+)\} MetricName=\"(\w+)\"", last.get("expression", "")):
            exists(namespace, name, dimensions.split(","))
        ids.add(last.get("id"))
    for entry in entries:
        expression = re.sub(r"SEARCH\(.*\)$", "", (entry[-1] if isinstance(entry[-1], dict) else {}).get("expression", ""))
        for word in re.findall(r"\b[a-z]\w*", expression):
            check(word in ids, f"{widget['properties']['title']}: no metric has the id {word}")
    return len(entries)


def body(_):
    """get-dashboard: all metrics exist, widgets lie side by side, no limit is passed"""
    def known(name):
        return {"FileSystem": "fs-0123456789abcdef0", "AWS::Region": "eu-west-1", "AWS::StackName": "try"}.get(name, name)
    properties = resources_of("AWS::CloudWatch::Dashboard", known)["DashboardOfAll"]
    with Moto():
        aws("cloudwatch", "put-dashboard", "--dashboard-name", properties["DashboardName"], "--dashboard-body", properties["DashboardBody"])
        text = aws("cloudwatch", "get-dashboard", "--dashboard-name", "try")["DashboardBody"]
    widgets, taken = json.loads(text)["widgets"], set()
    check("@" not in re.sub(r"@(timestamp|logStream|message)", "", text), "something was not filled in")
    check(len(text) <= BODY_MAX_BYTES, len(text))
    counts = [metrics_of(w) for w in widgets]
    check(max(counts) <= WIDGET_MAX and sum(counts) <= DASHBOARD_MAX, counts)
    for w in widgets:
        cells = {(x, y) for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])}
        check(not cells & taken and max(x for x, _y in cells) < 24, f"{w['properties'].get('title')} lies over another one")
        taken |= cells
    log = next(w for w in widgets if w["type"] == "log")
    check(log["properties"]["query"].startswith("SOURCE '/ecs/try-web' | SOURCE '/ecs/try-processor' | fields"), log["properties"]["query"])
    alarms = next(w for w in widgets if w["type"] == "alarm")["properties"]["alarms"]
    check(len(alarms) == len(set(alarms)) > 10, alarms)
    return f"{len(widgets)} widgets, {sum(counts)} metrics"


if __name__ == "__main__":
    own_network()
    run(up_to_date, renamed, body)
