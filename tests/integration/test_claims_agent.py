#!/usr/bin/env python3
"""What the ECS agent is asked and told while there are claims: DesiredStatus, scale-in protection."""
import json
import os
import threading

import locklib
from awslib import BlackHole, Fake
from claimlib import Claimer, fill
from locklib import wait_locks
from watchlib import check, run, wait_for

with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../fuzz/corpus/aws_metadata/fargate-task.json"),
          encoding="utf-8") as task_file:
    TASK = json.load(task_file)


def draining(root):
    """DesiredStatus=STOPPED: those who wait are sent away, who works may finish, nobody new is served; nobody is asked without need"""
    status = ["RUNNING"]
    with Fake(lambda request: {**TASK, "DesiredStatus": status[0]}) as ecs:
        with locklib.sidecar(root, env={"ECS_CONTAINER_METADATA_URI_V4": ecs.url + "/v4/abc"}) as s:
            wait_locks(s)
            check(not ecs.requests, "asked although nobody claims")
            fill(s, "in", ["a", "b"])
            busy = Claimer(s, "in", timeout=60)
            busy.claimed()
            wait_for(lambda: ecs.requests, "ECS is not asked", 30)
            check(ecs.requests[0].path == "/v4/abc/task", ecs.requests[0].path)
            status[0] = "STOPPED"
            busy.until("draining")
            check(s.request("POST", "/v1/claims?dir=in")[0] == 409, "a new client is served")
            check(busy.finish() == (200, {"result": "done"}), "not done")
            busy.until("drained")
            check("DesiredStatus" in s.log(), s.log())


def silent(root):
    """an agent that is silent, or answers nonsense, stops nobody"""
    with BlackHole() as hole, Fake(lambda request: (200, {}, "[]")) as nonsense:
        for name, url in ("hole", hole.url), ("nonsense", nonsense.url):
            directory = os.path.join(root.decode(), name)
            os.makedirs(directory)
            with locklib.sidecar(directory, env={"ECS_CONTAINER_METADATA_URI_V4": url + "/v4/abc"}) as s:
                wait_locks(s)
                fill(s, "in", ["a", "b"])
                c = Claimer(s, "in")
                for _ in "ab":
                    c.claimed()
                    wait_for(lambda s=s: "DesiredStatus" in s.log() or "wants this task to stop is not known" in s.log(),
                             s.log, 30)
                    check(c.finish() == (200, {"result": "done"}), "not done")
                check(s.health_ms() < 1000 and s.stop() == 0, "it hangs with the agent")


class Agent(Fake):
    """Remembers what it was told; answers what it is told to."""

    def __init__(self):
        self.said, self.lock, self.failure = [], threading.Lock(), None
        super().__init__(self.answer_put)

    def answer_put(self, request):
        check(request.method == "PUT" and request.path == "/api/task-protection/v1/state", f"{request.method} {request.path}")
        with self.lock:
            body = json.loads(request.body)
            self.said.append((body["ProtectionEnabled"], body.get("ExpiresInMinutes")))
            return self.failure or {"protection": {"ProtectionEnabled": body["ProtectionEnabled"], "TaskArn": "x"}}


def protection(root):
    """on while files are claimed, off when there is no work for a while; first it says what is so"""
    with Agent() as ecs:
        with locklib.sidecar(root, "--task-protection=true", env={"ECS_AGENT_URI": ecs.url + "/api"}) as s:
            wait_locks(s)
            wait_for(lambda: ecs.said == [(False, None)], lambda: f"{ecs.said}", 30)
            fill(s, "in", ["a", "b"])
            c = Claimer(s, "in")
            c.claimed()
            wait_for(lambda: ecs.said[1:] == [(True, 60)], lambda: f"{ecs.said}", 30)
            c.finish()
            c.claimed()
            c.finish()
            check(len(ecs.said) == 2, f"each file is told: {ecs.said}")
            wait_for(lambda: ecs.said[2:] == [(False, None)], lambda: f"{ecs.said}", 60)
            check("protection" not in s.log(), s.log())


def refused(root):
    """what ECS refuses is said once, with what to change"""
    answers = ((400, {}, json.dumps({"requestID": "1", "error": {"Code": "AccessDeniedException", "Message": "not you"}})),
               "ecs:UpdateTaskProtection"), ({"requestID": "1", "failure": {"Arn": "x", "Reason": "TASK_NOT_VALID"}}, "TASK_NOT_VALID")
    for i, (answer, word) in enumerate(answers):
        directory = os.path.join(root.decode(), str(i))
        os.makedirs(directory)
        with Agent() as ecs:
            ecs.failure = answer
            with locklib.sidecar(directory, "--task-protection=true", env={"ECS_AGENT_URI": ecs.url + "/api"}) as s:
                wait_locks(s)
                wait_for(lambda s=s, word=word: word in s.log(), s.log, 30)
                check(s.log().count("scale-in protection") == 1, s.log())
    directory = os.path.join(root.decode(), "none")
    os.makedirs(directory)
    with locklib.sidecar(directory, "--task-protection=true", env={"ECS_AGENT_URI": ""}) as s:
        check("ECS_AGENT_URI" in s.log(), s.log())


if __name__ == "__main__":
    run(draining, silent, protection, refused)
