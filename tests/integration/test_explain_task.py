#!/usr/bin/env python3
"""efs-init explain --task: one signed call, what ECS says explained, and AWS's refusals in words."""
import json
import os
import subprocess

from awslib import BlackHole, Fake, environment, keys, own_network, shows_secret, verify
from watchlib import check, die_with_parent, run

INIT = os.path.join(os.environ["BUILD"], "efs-init")
ARN = "arn:aws:ecs:eu-west-1:111122223333:task/web/0123456789abcdef0123456789abcdef"


def explain(*args, **env):
    done = subprocess.run([INIT, "explain", *args], env=environment({**keys(), **env}), capture_output=True, text=True, timeout=40,
                          stdin=subprocess.DEVNULL, check=False, preexec_fn=die_with_parent)
    check(not shows_secret(done.stdout + done.stderr), "a secret was shown")
    return done


def task(name):
    with open(f"tests/data/stopped-reasons/{name}", encoding="utf-8") as file:
        return file.read()


def explained(root):
    """a stopped task is asked for in its cluster and region, and explained as its JSON is"""
    with Fake(lambda request: task("task-gate.json")) as server:
        done = explain("--task", ARN, AWS_ENDPOINT_URL_ECS=server.url, AWS_REGION="")
        check(done.returncode == 0 and not done.stderr, f"{done.returncode}: {done.stderr}")
        with open("tests/data/stopped-reasons/task-gate.json", encoding="utf-8") as file:
            same = subprocess.run([INIT, "explain"], stdin=file, capture_output=True, text=True, timeout=20, check=True)
        check(done.stdout == same.stdout, "the explanation differs from that of the JSON")
        check(len(server.requests) == 1, f"{len(server.requests)} requests")
        request = server.requests[0]
        wrong = verify(request, "ecs")
        check(not wrong, wrong)
        check(request.headers["x-amz-target"] == "AmazonEC2ContainerServiceV20141113.DescribeTasks", request.headers)
        check(json.loads(request.body) == {"cluster": "web", "tasks": [ARN]}, request.body)
        old = ARN.replace("task/web/", "task/")
        check(explain("--json", f"--task={old}", AWS_ENDPOINT_URL_ECS=server.url).returncode == 0, "the old form of ARN")
        check(json.loads(server.requests[1].body)["cluster"] == "default", server.requests[1].body)


def not_there(root):
    """a task that ECS has forgotten, a role that may not ask, no credentials, a silent endpoint"""
    gone = {"tasks": [], "failures": [{"arn": ARN, "reason": "MISSING"}]}
    denied = (400, {}, {"__type": "AccessDeniedException", "message": "is not authorized to perform: ecs:DescribeTasks"})
    for answer, words in ((gone, "forgets a stopped task"), (denied, "ecs:DescribeTasks"), ("<html>", "DescribeTasks")):
        with Fake(lambda request, answer=answer: answer) as server:
            done = explain("--task", ARN, AWS_ENDPOINT_URL_ECS=server.url)
            check(done.returncode == 69 and words in done.stderr and not done.stdout, f"{words}: {done.returncode} {done.stderr}")
    with Fake(lambda request: gone) as server:
        done = explain("--task", ARN, AWS_ENDPOINT_URL_ECS=server.url, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="",
                       AWS_EC2_METADATA_DISABLED="true")
        check(done.returncode == 69 and "credentials" in done.stderr and not server.requests, f"{done.returncode} {done.stderr}")
    with BlackHole() as silent:
        done = explain("--task", ARN, AWS_ENDPOINT_URL_ECS=silent.url)
        check(done.returncode == 69, f"{done.returncode} {done.stderr}")


def misused(root):
    """what is no ARN of a task, and text beside --task, are wrong usage; nothing is asked"""
    with Fake(lambda request: "{}") as server:
        for args in (["--task", "web"], ["--task", "arn:aws:ecs:eu-west-1:1:service/web/x"], ["--task", ""],
                     ["--task", "arn:aws:ecs:eu-west-1:1:task/"], ["--task", ARN + "x" * 600], ["--task", ARN, "text"], ["--task"]):
            done = explain(*args, AWS_ENDPOINT_URL_ECS=server.url)
            check(done.returncode == 64 and done.stderr.count("\n") == 1, f"{args}: {done.returncode} {done.stderr}")
        check(not server.requests, "something was asked")


own_network()
run(explained, not_there, misused)
