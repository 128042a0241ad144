"""a data directory comes back from a copy: the sidecar says so, the runbook's one command resets the state, tokens grow"""

import json
import os
import re
import subprocess

from harness import ecs
from harness.errors import check, equal, matches

HOSTS = 2
DEADLINE_S = 150
LOCK = "/opt/efs-sidecar/efsctl lock --wait=20s one -- sh -c 'echo $EFS_LOCK_TOKEN'"


def locks(app):
    status = json.loads(app.run("/opt/efs-sidecar/efsctl status --json").stdout)
    mount = next(m for m in status["mounts"] if m["path"] == "/uploads")
    return next(c["reason"] for c in mount["conditions"] if c["type"] == "LocksReady")


def token(app):
    generation, _, number = app.run(LOCK, timeout=30).stdout.strip().partition(".")
    return int(generation), int(number)


def definitions(cluster):
    """The state beside the data; and the runbook's task for one command, made of it as the runbook says."""
    done = subprocess.run([f"{cluster.build}/efsctl", "taskdef", "add", "--image=efs-sidecar:0", f"{cluster.top}/task-def/app/fargate.json"],
                          capture_output=True, text=True, timeout=20, check=True)
    with open(os.path.join(cluster.top, "docs/runbooks/README.md"), encoding="utf-8") as page:
        program = re.search(r"jq '(.*?)' web\.json", page.read(), re.S).group(1)
    command = subprocess.run(["jq", program], input=done.stdout, capture_output=True, text=True, timeout=20, check=True)
    return json.loads(done.stdout), json.loads(command.stdout)


def run(cluster):
    host = cluster.host(1)
    service, one_off = definitions(cluster)
    task = ecs.Task(host, service, images={"app": ecs.IDLE})
    task.until_app_runs()
    task.until(lambda: locks(task["app"]) == "SlotHeld", 60, "the first task has a slot")
    before = token(task["app"])
    task.stop()

    data = task.server_path("uploads")
    cluster.server.run(f"cp -a {data} {data}.copy && mv {data} {data}.lost && mv {data}.copy {data}")
    task = ecs.Task(cluster.host(2), service, images={"app": ecs.IDLE})
    task.until_app_runs()
    task.until(lambda: locks(task["app"]) == "ForeignState", 60, "the sidecar says that the state is another root's")
    check(task["app"].run(LOCK, timeout=30, check=False).rc != 0, "a lock was granted")

    one_off["containerDefinitions"][0]["command"] = ["efsctl", "state", "reset", "--file-system=fs-0123456789abcdef0", "/uploads"]
    reset = ecs.Task(host, one_off)
    ecs.until([reset, task], lambda: reset.stopped, 60, "the one command has ended")
    equal("its exit code", reset["efs-init"].exit_code, 0)
    matches("its output", reset["efs-init"].log(), r"^/uploads/\.efs-sidecar: generation \d+ \(was \d+\), root inode \d+ of fs-0123456789abcdef0$")
    task.until(lambda: locks(task["app"]) == "SlotHeld", 60, "the running sidecar takes a slot")
    after = token(task["app"])
    check(after > before, f"the token went from {before} to {after}")
