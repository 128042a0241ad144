#!/usr/bin/env python3
"""Task metadata: asked until the agent is ready, bounded, and tolerant of what is missing."""
import json
import os
import time

from awslib import BlackHole, Fake, fails, in_turn, own_network, succeeds
from watchlib import check, run

CORPUS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../fuzz/corpus/aws_metadata")


def load(name):
    with open(os.path.join(CORPUS, name + ".json"), encoding="utf-8") as file:
        return json.load(file)


TASK, CONTAINER = load("fargate-task"), load("fargate-container")


def agent(task, container=None):
    return lambda request: task if request.path == "/v4/abc/task" else (container or CONTAINER) if request.path == "/v4/abc" else (404, {}, "")


def at(server):
    return {"ECS_CONTAINER_METADATA_URI_V4": server.url + "/v4/abc"}


def read(root):
    """task and container, from the agent's own address and through no proxy"""
    with Fake(agent(TASK), "169.254.170.2", 80) as server, Fake(lambda request: (500, {}, "")) as proxy:
        got = succeeds("metadata", env={"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/abc", "http_proxy": proxy.url})
        check(got == {"cluster": TASK["Cluster"], "task_arn": TASK["TaskARN"], "task_id": "e9028f8d5d8e4f258373e7b93ce9a3c3",
                      "family": "curltest", "revision": "3", "az": "us-east-1a", "az_id": "use1-az4", "launch_type": "FARGATE",
                      "service": "MyService", "desired_status": "RUNNING", "container": "curl", "cpu": 0.25, "memory": 512,
                      "container_cpu": 10, "container_memory": 128}, got)
        check(len(server.requests) == 2 and not proxy.requests, "who was asked")


def tolerant(root):
    """every field may be missing or of another type, except that it is an object"""
    for field in TASK:
        for odd in (None, 5, "x" * 5000, [], {}, True):
            with Fake(agent({**TASK, field: odd})) as server:
                succeeds("metadata", env=at(server))
    with Fake(agent({}, {"Name": "app", "Unknown": [{}]})) as server:
        got = succeeds("metadata", env=at(server))
        check(got.pop("container") == "app" and not any(got.values()), got)
    for body in ("", "[]", "null", "{\"Cluster\":", b"\xff"):
        with Fake(agent(body)) as server:
            fails("EINVAL", "ECS task metadata", "/v4/abc/task", args=("metadata",), env=at(server))


def retried(root):
    """404, 429, 500 and 503 are asked again, until the deadline; other answers are not"""
    for status in (404, 429, 500, 503):
        with Fake(in_turn((status, {}, ""), (status, {}, "busy"), agent(TASK))) as server:
            check(succeeds("metadata", env=at(server))["family"] == "curltest", status)
            check(len(server.requests) == 4, f"{status}: {len(server.requests)} requests")
        with Fake(lambda request, s=status: (s, {}, "")) as server:
            seconds = fails("EIO", f"answered {status}", args=("metadata",), env=at(server), deadline_ms=1500)
            check(0.4 < seconds < 2 and len(server.requests) >= 3, f"{status}: {seconds} s, {len(server.requests)} requests")
    with Fake(lambda request: (400, {}, "bad")) as server:
        fails("EIO", "answered 400", args=("metadata",), env=at(server))
        check(len(server.requests) == 1, "400 was repeated")


def faults(root):
    """slow, silent, huge and redirecting endpoints end in an error, in time; outside of ECS it says so"""
    def slowly(request):
        time.sleep(20)
    with Fake(slowly) as server, BlackHole() as hole:
        for one in (server, hole):
            seconds = fails("ETIMEDOUT", one.url, args=("metadata",), env=at(one), deadline_ms=1200)
            check(1 < seconds < 1.8, f"{seconds} s")
    with Fake(agent({"Cluster": "x" * 2**20})) as server:
        fails("EFBIG", "larger", args=("metadata",), env=at(server))
    with Fake(agent(TASK)) as other, Fake(lambda request: (301, {"Location": other.url}, "")) as server:
        fails("EPROTO", other.url, args=("metadata",), env=at(server))
        check(not other.requests, "followed")
    fails("ENOENT", "no ECS task", args=("metadata",), env={})
    fails("EINVAL", args=("metadata",), env={"ECS_CONTAINER_METADATA_URI_V4": "file:///etc"})


if __name__ == "__main__":
    own_network()
    run(read, tolerant, retried, faults)
