"""What the whole_ scenarios share: a service whose tasks upload, and one whose tasks make something of each upload, from the image.

    services = Services(cluster)
    web = services.start("web", cluster.host(1), present(cluster))          # more of them, then
    services.until_apps_run()
    services.stop(web)
    services.check_results()                                               # what was uploaded is there, whole

The task definitions are what `efsctl taskdef add` of that release makes of task-def/app/fargate.json. All tasks append the tokens of
one lock to one file: a token that does not grow, or two tasks in the lock at once, show there.
"""

import copy
import hashlib
import json
import os
import re
import subprocess
from collections import namedtuple

from . import ecs
from .container import Image
from .errors import check, equal

# over: a file tree that lies over that of the image.
Release = namedtuple("Release", "version efsctl over")

LINES = 2000  # of an upload
COMMON = """PATH=/opt/efs-sidecar:$PATH
append='echo $EFS_LOCK_TOKEN $EFS_SIDECAR_TASK_NAME >>/uploads/tokens'
"""
# SIGTERM comes between two commands; then one upload more, whose metrics only the last flush can bring.
WEB = COMMON + """trap stop=yes TERM
efsctl watch --json --op=publish /uploads & watch=$!
upload() {
    yes "upload $1" | head -n %d >/run/efs-sidecar/task/upload &&
        efsctl publish /run/efs-sidecar/task/upload "/uploads/in/$1" && echo "uploaded $1" && efsctl lock tokens -- sh -c "$append"
}
echo started
i=0
while [ -z "$stop" ]; do
    [ $i = $UPLOADS ] || upload $EFS_SIDECAR_TASK_NAME-$((i += 1))
    sleep $PAUSE
done
upload $EFS_SIDECAR_TASK_NAME-last
kill $watch
""" % LINES
PROCESSOR = COMMON + """trap 'kill $claim' TERM
process='set -e
result=/run/efs-sidecar/task/$EFS_CLAIM_NAME
sha256sum <"$1" >"$result"
efsctl lock tokens -- sh -c "$2"
efsctl publish --replace "$result" "/uploads/out/$EFS_CLAIM_NAME"
echo "processed $EFS_CLAIM_NAME"'
efsctl claim --batch=2 /uploads/in -- sh -c "$process" process {} "$append" & claim=$!
echo started
wait $claim
wait $claim
exit 0
"""
APPS = {"web": (WEB, "cache"), "processor": (PROCESSOR, "coordinate")}


def present(cluster):
    """What is being built here."""
    efsctl = os.path.join(cluster.build, "efsctl")
    version = subprocess.run([efsctl, "version"], capture_output=True, text=True, timeout=20, check=True).stdout
    return Release(re.search(r"\d+\.\d+\.\d+", version)[0], efsctl, None)


def with_environment(definition, container, **values):
    """The task definition, with more variables for a container."""
    changed = copy.deepcopy(definition)
    one = next(c for c in changed["containerDefinitions"] if c["name"] == container)
    one.setdefault("environment", []).extend({"name": k, "value": v} for k, v in values.items())
    return changed


class Services:
    def __init__(self, cluster, aws=None, uploads=-1, pause_s=1):
        """uploads: of each web task, but for the last one; -1 for as many as there is time for."""
        self.cluster, self.aws, self.variables = cluster, aws, {"UPLOADS": str(uploads), "PAUSE": str(pause_s)}
        self.tasks, self.stopped = {}, {}
        with open(os.path.join(cluster.top, "task-def/app/fargate.json"), encoding="utf-8") as file:
            self.app = json.load(file)

    def definition(self, service, release):
        """As a user has it: an app's task definition, to which the release's efsctl adds gate and sidecar."""
        command = [release.efsctl, "taskdef", "add", f"--image=efs-sidecar:{release.version}", "--cluster=production",
                   f"--profile={APPS[service][1]}", "--state=fsap-0123456789abcdef2", "-"]
        app = json.dumps({**self.app, "family": service})
        done = subprocess.run(command, input=app, capture_output=True, text=True, timeout=20, check=False)
        equal(f"exit code of {' '.join(command)} ({done.stderr})", done.returncode, 0)
        gate = with_environment(json.loads(done.stdout), "efs-init", EFS_SIDECAR_CREATE="/uploads/in,/uploads/out,/uploads/hot")
        return with_environment(gate, "app", **self.variables)

    def start(self, name, host, release, change=lambda definition: definition):
        """A task; its name is the service's and something behind it."""
        service = name.split("-")[0]
        env = self.aws.env(name, f"{service}-task") if self.aws else {}
        images = {"app": Image.built(self.cluster, command=["sh", "-c", APPS[service][0]])}
        for container in "efs-init", "efs-sidecar":
            images[container] = Image.built(self.cluster, release.over)
        task = ecs.Task(host, change(self.definition(service, release)), images, env={"EFS_SIDECAR_TASK_NAME": name, **env})
        task.release = release
        self.tasks[name] = task
        if self.aws:
            self.aws.tasks[name] = task
        return task

    # -- ECS goes on with all of them --

    def until(self, condition, timeout, what):
        ecs.until(list(self.tasks.values()), condition, timeout, what)

    def until_apps_run(self, timeout=90):
        """And web tasks follow the feed."""
        self.until(lambda: all("started\n" in self.log(n) and (self.events(n) or not n.startswith("web")) for n in self.tasks),
                   timeout, "all apps have started")

    def stop(self, *names, timeout=120):
        """At the end every container has ended by itself, in ECS's order."""
        stopping = {name: self.tasks[name] for name in names or list(self.tasks)}
        for task in stopping.values():
            task.desired, task.stop_code = "STOPPED", "UserInitiated"
        self.until(lambda: all(t.stopped for t in stopping.values()), timeout, f"{', '.join(stopping)} have stopped")
        for name, task in stopping.items():
            app, sidecar = task["app"], task["efs-sidecar"]
            equal(f"{name}: exit codes and SIGKILLs of app and sidecar ({sidecar.log()[-2000:]})",
                  (app.exit_code, sidecar.exit_code, app.killed_at, sidecar.killed_at, sidecar.restarts), (0, 0, None, None, 0))
            check(app.stopped_at <= sidecar.term_at, f"{name}: the sidecar was told to stop before the app had ended")
            self.stopped[name] = self.tasks.pop(name)

    # -- what they did --

    def log(self, name):
        return (self.tasks.get(name) or self.stopped[name])["app"].log()

    def names(self):
        return [*self.stopped, *self.tasks]

    def said(self, verb, prefix=""):
        """What all apps with such names said that they uploaded or processed."""
        return [word for name in self.names() if name.startswith(prefix) for word in re.findall(rf"^{verb} (\S+)$", self.log(name), re.M)]

    def status(self, name):
        return json.loads(self.tasks[name]["app"].run("/opt/efs-sidecar/efsctl status --json").stdout)

    def events(self, name):
        """What the feed told a web task, as it came."""
        return [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{")]

    def must_be_told(self, name):
        """The results of a web task's own uploads that cannot have been there before it followed the feed."""
        return {f"out/{upload}" for upload in re.findall(r"^uploaded (\S+)$", self.log(name).partition('{"ready"')[2], re.M)[1:]}

    def uploads_path(self):
        return next(iter([*self.tasks.values(), *self.stopped.values()])).server_path("uploads")

    def state_path(self):
        """The one state directory that there is."""
        above = next(iter([*self.tasks.values(), *self.stopped.values()])).server_path("state")
        found = self.cluster.server.run(f"ls -d {above}/*/").stdout.split()
        return next(path.rstrip("/") for path in found if self.cluster.server.run(["test", "-e", f"{path}VERSION"], check=False).rc == 0)

    def results(self):
        """Name to digest, as the server has it."""
        text = self.cluster.server.run(f"cd {self.uploads_path()}/out && find . -type f ! -name '.*' -exec grep -H . {{}} +", check=False).stdout
        return dict(re.findall(r"^\./([^:]+):(\S+)", text, re.M))

    def tokens(self):
        """(generation, n), task: in the order in which the lock was had."""
        lines = self.cluster.server.run(["cat", f"{self.uploads_path()}/tokens"]).stdout.splitlines()
        return [(tuple(map(int, token.split("."))), task) for token, task in map(str.split, lines)]

    def until_processed(self, timeout=90):
        """All that was uploaded so far."""
        wanted = set(self.said("uploaded"))
        self.until(lambda: wanted <= set(self.said("processed")), timeout, f"{len(wanted)} uploads are processed")

    def check_results(self):
        """Nothing is lost, half, foreign or left behind, and the tokens of the lock only grew."""
        uploaded = self.said("uploaded")
        equal("names that were uploaded twice", len(uploaded) - len(set(uploaded)), 0)
        found, wanted = self.results(), {n: hashlib.sha256(f"upload {n}\n".encode() * LINES).hexdigest() for n in uploaded}
        wrong = [f"{n}: {found.get(n, 'no result')}, not {wanted.get(n, 'uploaded')}" for n in sorted({*wanted, *found})
                 if found.get(n) != wanted.get(n)]
        check(not wrong, f"{len(wrong)} of {len(wanted)} results are not right: {wrong[:5]}")
        tokens = self.tokens()
        for (earlier, one), (later, other) in zip(tokens, tokens[1:]):
            check(later > earlier, f"{other} had the lock with token {later} after {one} had it with {earlier}")
        return len(uploaded), tokens

    def check_empty(self):
        """After all have stopped: no file of work waits anywhere, and nobody is a member."""
        left = self.cluster.server.run(f"cd {self.uploads_path()} && find in tasks .efs-stage -type f ! -name .owner", check=False).stdout
        equal("files left behind", left, "")
        state = next(iter(self.stopped.values())).server_path("state")
        equal("members that have not left", self.cluster.server.run(f"find {state}/*/members -type f").stdout, "")
