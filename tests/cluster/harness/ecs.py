"""Executes an ECS task definition, as it stands in a file, on a task host: as the ECS agent would, on real NFS.

    task = ecs.Task(cluster.host(1), "task-def/fargate.json", images={"app": ecs.IDLE})
    task.until_app_runs()
    task["app"].run("echo x >/uploads/x")          # in its namespaces, as its user
    task.stop()                                    # until every container has ended
    task["app"].stopped_at < task["efs-sidecar"].stopped_at

Nothing happens but within until() and stop(): they start, check, restart and stop containers. What is not in the file is what the
images contain (efs-sidecar's is as the Dockerfile says), and what an access point is: a directory of its own on the export
squash1000, or on the one that `exports` names for the volume. The rules are those of amazon-ecs-agent (dependencygraph,
task_manager, restart tracker): dependsOn START, COMPLETE, SUCCESS and HEALTHY with startTimeout; the reverse order at the stop,
stopTimeout and then SIGKILL; health checks as Docker counts them; restartPolicy; an essential container that ends stops the task.
"""

import json
import os
import signal
import time

from . import server
from .container import Container, Image
from .errors import Failure, check

DIRECTORY = "/run/ecs"
TICK_S = 0.05
STOP_TIMEOUT_S = 30
EXIT_DEPENDENCY = 143  # what a container that never ran gets when a dependency failed
# Does nothing, and ends when it is told to.
IDLE = Image(["sh", "-c", "trap 'exit 0' TERM; echo started; while :; do sleep 0.2; done"])
HEALTH_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3, "startPeriod": 0}


class Health:
    """healthCheck as Docker runs it: the first check after one interval, and failures in the start period do not count."""

    def __init__(self, definition):
        self.settings = {**HEALTH_DEFAULTS, **definition}
        self.status, self.failures, self.check, self.output = "UNKNOWN", 0, None, ""
        self.began_at = self.next_at = None

    def started(self, now):
        self.status, self.failures, self.check = "UNKNOWN", 0, None
        self.began_at, self.next_at = now, now + self.settings["interval"]

    def tick(self, container, now):
        if self.check is None and now >= self.next_at:
            kind, *words = self.settings["command"]
            check(kind in ("CMD", "CMD-SHELL"), f"{kind} is no form of a health check")
            self.check = container.spawn(words[0] if kind == "CMD-SHELL" else words)
            self.check_at = now
        elif self.check and (self.check.poll() is not None or now > self.check_at + self.settings["timeout"]):
            self.judge(self.check.poll() == 0, now)

    def judge(self, passed, now):
        self.output = self.check.output
        self.check.kill()
        self.check, self.next_at = None, now + self.settings["interval"]
        if passed:
            self.status, self.failures = "HEALTHY", 0
        elif self.status == "HEALTHY" or now > self.began_at + self.settings["startPeriod"]:
            self.failures += 1
            if self.failures >= self.settings["retries"]:
                self.status = "UNHEALTHY"


class Member:
    """A container of the task: its definition and what became of it."""

    def __init__(self, task, definition, image):
        self.task, self.definition, self.image = task, definition, image
        self.name = definition["name"]
        self.essential = definition.get("essential", True)
        self.depends_on = {d["containerName"]: d["condition"] for d in definition.get("dependsOn", [])}
        self.health = Health(definition["healthCheck"]) if "healthCheck" in definition else None
        self.runs = []
        self.status, self.exit_code, self.reason = "NONE", None, None
        self.started_at = self.stopped_at = self.term_at = self.killed_at = None
        self.restarted_at = None

    running = property(lambda self: self.status == "RUNNING")
    restarts = property(lambda self: max(len(self.runs) - 1, 0))
    container = property(lambda self: self.runs[-1])

    def log(self):
        """What all its runs wrote."""
        return "".join(run.output() for run in self.runs)

    def last_line(self):
        return self.log().rstrip("\n").rpartition("\n")[2]

    def run(self, command, timeout=10, check=True, user=None):
        return self.container.run(command, timeout, check, user)

    def spawn(self, command, user=None):
        return self.container.spawn(command, user)

    def kill(self, number=signal.SIGKILL):
        """Not by ECS: the process dies by itself."""
        self.container.signal(number)

    def describe(self):
        health = {"healthStatus": self.health.status if self.health else "UNKNOWN"}
        code = {"exitCode": self.exit_code} if self.exit_code is not None else {}
        reason = {"reason": self.reason} if self.reason else {}
        return {"name": self.name, "image": self.definition["image"], "lastStatus": self.status, **health, **code, **reason}

    def words(self):
        """The container in the agent's messages."""
        arrow = "STOPPED->RUNNING" if self.status == "STOPPED" else f"{self.status}->RUNNING"
        end = f" - Exit: {self.exit_code}" if self.exit_code is not None else ""
        return f"[{self.name}({self.definition['image']}) ({arrow}){end}]"


class Task:
    serial = 0

    def __init__(self, host, definition, images=None, exports=None, env=None, restart_period_s=None):
        """definition: a file of the working copy, or what is in one. env is given to every container, as the agent does with
        the metadata endpoints. restart_period_s replaces the restartAttemptPeriod, which ECS does not let be shorter than a
        minute."""
        self.host, self.env, self.restart_period_s = host, env or {}, restart_period_s
        self.cluster = getattr(host, "cluster", None) or host.host.cluster
        self.exports = exports or {}
        self.definition = definition if isinstance(definition, dict) else self.read(definition)
        Task.serial += 1
        self.id = f"{Task.serial:032x}"
        self.directory = f"{DIRECTORY}/{self.definition['family']}-{Task.serial}"
        self.members = {}
        for definition in self.definition["containerDefinitions"]:
            image = (images or {}).get(definition["name"]) or Image.of_dockerfile(self.cluster)
            self.members[definition["name"]] = Member(self, definition, image)
        self.desired, self.stop_code, self.stopped_reason = "RUNNING", None, None
        self.sources = {v["name"]: self.make_volume(v) for v in self.definition.get("volumes", [])}
        self.filled = set()

    def read(self, path):
        with open(os.path.join(self.cluster.top, path), encoding="utf-8") as file:
            return json.load(file)

    def __getitem__(self, name):
        return self.members[name]

    # -- volumes --

    def make_volume(self, volume):
        """Where it is on the host: an empty directory of root's, or the mounted directory of an access point."""
        path = f"{self.directory}/volumes/{volume['name']}"
        efs = volume.get("efsVolumeConfiguration")
        if not efs:
            self.host.run(["mkdir", "-p", "-m", "0755", path])
            return path
        check(efs["transitEncryption"] == "ENABLED", f"volume {volume['name']}: an access point needs transitEncryption")
        variant = self.exports.get(volume["name"], "squash1000")
        directory = efs["authorizationConfig"]["accessPointId"]
        on_server = f"{self.cluster.server.path(variant)}/{directory}"
        owner = self.owner_on_server(variant)
        self.cluster.server.run(f"[ -d {on_server} ] || {{ mkdir {on_server} && chown {owner} {on_server}; }}")
        self.host.mount(variant, path, source=f"{server.NAME}:/{variant}/{directory}")
        return path

    @staticmethod
    def owner_on_server(variant):
        """creationInfo of the access point: its directory belongs to the identity that it enforces."""
        return "1000:1000" if variant == "squash1000" else "0:0"

    def server_path(self, volume):
        """Where a volume's files lie on the server."""
        efs = next(v for v in self.definition["volumes"] if v["name"] == volume)["efsVolumeConfiguration"]
        variant = self.exports.get(volume, "squash1000")
        return f"{self.cluster.server.path(variant)}/{efs['authorizationConfig']['accessPointId']}"

    def fill_volume(self, name, path, image):
        """An empty volume takes owner and mode of the image's VOLUME there, from the first container that mounts it."""
        if name not in self.filled and self.sources[name].startswith(self.directory) and path in image.volumes:
            mode, uid, gid = image.volumes[path]
            self.host.run(f"chmod {mode} {self.sources[name]} && chown {uid}:{gid} {self.sources[name]}")
        self.filled.add(name)

    # -- containers --

    def launch(self, member):
        mounts = []
        for point in member.definition.get("mountPoints", []):
            name, path = point["sourceVolume"], point["containerPath"]
            self.fill_volume(name, path, member.image)
            mounts.append((self.sources[name], path, "ro" if point.get("readOnly") else "rw"))
        directory = f"{self.directory}/{member.name}.{len(member.runs)}"
        self.host.run(["mkdir", "-p", directory])
        member.runs.append(Container(self.host, member.definition, member.image, mounts, self.env, directory))
        member.status, member.exit_code = "RUNNING", None
        now = time.monotonic()
        member.started_at = member.started_at or now
        if member.health:
            member.health.started(now)

    def ended(self, member, code, now):
        if self.should_restart(member, code, now):
            self.log(f"{member.name} ended with {code} and is started again")
            member.restarted_at = now
            self.launch(member)
            return
        self.finish(member, code, None)

    def should_restart(self, member, code, now):
        policy = member.definition.get("restartPolicy", {})
        if not policy.get("enabled") or self.desired == "STOPPED" or code in policy.get("ignoredExitCodes", []):
            return False
        period = self.restart_period_s or policy.get("restartAttemptPeriod", 300)
        return now - (member.restarted_at or member.started_at) >= period

    def finish(self, member, code, reason):
        self.log(f"{member.name} stopped: {code} {reason or ''}")
        member.status, member.exit_code, member.reason = "STOPPED", code, reason
        member.stopped_at = time.monotonic()
        if member.essential and self.desired == "RUNNING":
            self.desired, self.stop_code = "STOPPED", "EssentialContainerExited"
            self.stopped_reason = "Essential container in task exited"

    # -- what the agent does in a round --

    def tick(self):
        for member in self.members.values():
            if member.running:
                self.look_at(member, time.monotonic())
        desired = self.desired  # one container that cannot start does not hide why the others cannot
        for member in self.members.values():
            if member.status == "NONE" and desired == "RUNNING":
                self.try_start(member)
            elif member.status == "NONE":
                member.status = "STOPPED"
            elif member.running and desired == "STOPPED":
                self.try_stop(member, time.monotonic())

    def look_at(self, member, now):
        code = member.container.exit_code()
        if code is not None:
            self.ended(member, code, now)
        elif member.health and self.desired == "RUNNING":
            member.health.tick(member.container, now)

    def try_start(self, member):
        states = [self.dependency(member, self.members[name], condition) for name, condition in member.depends_on.items()]
        failed = next((s for s in states if isinstance(s, str)), None)
        if failed:
            self.finish(member, EXIT_DEPENDENCY, f"CannotStartContainerError: dependency graph: {failed}")
        elif all(states):
            self.log(f"{member.name} starts")
            self.launch(member)

    @staticmethod
    def dependency(member, other, condition):
        """True when it is met, False while it is not, a sentence when it cannot be any more."""
        limit = other.definition.get("startTimeout", 0)
        if condition != "START" and other.running and limit and time.monotonic() > other.started_at + limit:
            return f"container ordering dependency {other.words()} for target {member.words()} has timed out."
        if condition == "SUCCESS" and other.exit_code not in (None, 0):
            return (f"failed to resolve container ordering dependency {other.words()} for target {member.words()} "
                    "as dependency did not exit successfully.")
        return {"START": other.running, "HEALTHY": other.health is not None and other.health.status == "HEALTHY",
                "COMPLETE": other.status == "STOPPED", "SUCCESS": other.status == "STOPPED" and other.exit_code == 0}[condition]

    def try_stop(self, member, now):
        if any(member.name in m.depends_on and m.status != "STOPPED" for m in self.members.values()):
            return
        if member.term_at is None:
            self.log(f"{member.name} gets SIGTERM")
            member.term_at = now
            member.container.signal(signal.SIGTERM)
        elif member.killed_at is None and now > member.term_at + member.definition.get("stopTimeout", STOP_TIMEOUT_S):
            self.log(f"{member.name} gets SIGKILL")
            member.killed_at = now
            member.container.signal(signal.SIGKILL)

    # -- for scenarios --

    def until(self, condition, timeout, what):
        until([self], condition, timeout, what)

    def until_app_runs(self, timeout=60):
        """An app that says "started" when it is ready for SIGTERM, as IDLE does."""
        self.until(lambda: "started\n" in self["app"].log(), timeout, "the app has started")

    stopped = property(lambda self: all(m.status == "STOPPED" for m in self.members.values()))

    def stop(self, timeout=150):
        """As a deployment or `aws ecs stop-task` does."""
        if self.desired == "RUNNING":
            self.desired, self.stop_code, self.stopped_reason = "STOPPED", "UserInitiated", "Task stopped by user"
        self.until(lambda: self.stopped, timeout, "every container has ended")

    def describe(self):
        """As `aws ecs describe-tasks` does, in short."""
        stop = {"stopCode": self.stop_code, "stoppedReason": self.stopped_reason} if self.stop_code else {}
        family = self.definition["family"]
        return {"tasks": [{"taskArn": f"arn:aws:ecs:eu-west-1:123456789012:task/test/{self.id}", "desiredStatus": self.desired,
                           "taskDefinitionArn": f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{family}:1",
                           "lastStatus": "STOPPED" if self.stopped else "RUNNING", **stop,
                           "containers": [m.describe() for m in self.members.values()]}], "failures": []}

    def log(self, text):
        self.cluster.log(f"task {self.definition['family']}: {text}")


def now():
    return time.monotonic()


def until(tasks, condition, timeout, what):
    """Lets ECS go on with these tasks until something is so."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            state = "; ".join(json.dumps(m.describe()) + " " + m.last_line() for t in tasks for m in t.members.values())
            raise Failure(f"{what}: not within {timeout} s: {state}")
        for task in tasks:
            task.tick()
        time.sleep(TICK_S)
