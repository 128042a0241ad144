"""What a release shows to others, as JSON: its answers, what it leaves on the share, its names. And the previous release, built."""
import contextlib
import glob
import json
import os
import re
import subprocess

from awslib import environment
from claimlib import Claimer, fill
from locklib import Hold, wait_locks
from sidecarlib import Changes, Sidecar
from watchlib import BUILD, check, fail, wait_for

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
FORMATS = os.path.join(TOP, "tests/data/formats")
SANITIZED = "SANITIZED" in os.environ  # then there is no static efsctl of today


class Release:
    """Programs, and the sources that belong to them."""

    def __init__(self, build, top):
        self.build, self.top = build, top

    def program(self, name):
        return os.path.join(self.build, name)

    def help(self, name, *words):
        done = subprocess.run([self.program(name), *words, "--help"], capture_output=True, text=True, timeout=10, check=False)
        check(done.returncode == 0, f"{name} {words} --help: {done}")
        return done.stdout

    def read(self, path):
        with open(os.path.join(self.top, path), encoding="utf-8") as file:
            return file.read()


TODAY = Release(BUILD, TOP)


def previous():
    """The previous release, or None with words where this clone has no history."""
    done = subprocess.run([os.path.join(TOP, "tests/previous")], capture_output=True, text=True, timeout=170, check=False)
    if done.returncode == 77:
        print("skipped: " + done.stderr.strip())
        return None
    check(done.returncode == 0, done.stderr)
    build = done.stdout.strip()
    return Release(build, os.path.dirname(build))


# ---- a sidecar that has something to say ----

def start(release, top, name, *options):
    """All that a profile has, fast; another one may be on the same share."""
    share = os.path.join(top, "share")
    root = os.path.join(top, name)
    os.makedirs(os.path.join(root, "cache"), exist_ok=True)
    return Sidecar(root, "--profile=cache", "--task-name=" + name, "--lease-fence=10s", "--lock-proof-interval=1s", "--feed-poll=200ms",
                   "--cache-dir=" + os.path.join(root, "cache"), "--cache-min-free=0", "--metrics-interval=1s",
                   "--cluster=production", "--service=web", *options, mounts=(share,),
                   program=release.program("efs-sidecar"))


@contextlib.contextmanager
def running(release, top, name, *options):
    with start(release, top, name, *options) as s:
        wait_locks(s)
        s.wait_watching()
        wait_for(lambda: s.condition("CacheReady")["status"] == "True", lambda: f"no cache: {s.condition('CacheReady')}")
        yield s


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def answer(s, method, target, body=None):
    return said_with(*s.request(method, target, body))


def said_with(status, body):
    return {str(status): body}


def lines_of(path):
    """The whole lines of a file of JSON lines."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file.read().split("\n")[:-1] if line.startswith("{")]


def told(s):
    """Changes of each kind, as a reader of /v1/changes gets them."""
    here = os.path.join(s.mounts[0], "kinds")
    os.makedirs(here, exist_ok=True)
    write(f"{s.mounts[0]}/tasks/web-1/made", "made")
    with Changes(s) as changes:
        first = changes.next()
        check(first.get("ready") is True, first)
        write(here + "/a", "x")
        seen = changes.until(lambda c: c.get("path") == "kinds/a")
        os.rename(here + "/a", here + "/b")
        seen += changes.until(lambda c: c.get("op") == "rename")
        os.unlink(here + "/b")
        seen += changes.until(lambda c: c.get("op") == "delete")
        published = answer(s, "POST", "/v1/publish", json.dumps({"from": "tasks/web-1/made", "to": "kinds/published"}))
        seen += changes.until(lambda c: c.get("op") == "publish")
    with Changes(s, "?since=1.1") as changes:
        resync = changes.until(lambda c: c.get("op") == "resync")[-1]
    kinds = {c["op"]: c for c in seen if c.get("op") in ("create", "rename", "delete", "publish")}
    check(len(kinds) == 4, kinds)
    return {"ready": first, **kinds, "resync": resync}, published


def held(s):
    """A lock and a claim from the first line to the last, and what is said of them meanwhile."""
    said = {}
    hold = Hold(s, "nightly", purpose="load")
    said["lock granted"] = hold.until("granted")
    said["GET /v1/locks"] = answer(s, "GET", "/v1/locks")
    said["GET /v1/locks/NAME"] = answer(s, "GET", "/v1/locks/nightly")
    said["lock valid"] = hold.until("valid")
    waiting = Hold(s, "nightly", wait_ms=60000)
    said["lock waiting"] = waiting.next()
    waiting.close()
    said["POST /v1/locks/NAME/release"] = said_with(*hold.release())
    said["lock released"] = hold.until("released")
    fill(s, "queue", ["a", "b"])
    claimer = Claimer(s, "queue")
    said["claimed"] = claimer.claimed()
    said["GET /v1/claims"] = answer(s, "GET", "/v1/claims")
    said["POST /v1/claims/ID/done"] = said_with(*claimer.finish())
    claimer.close()
    return said


def answers(release, top):
    """Each answer of the API, and each JSON file and line of the programs."""
    with running(release, top, "web-1") as s:
        found = held(s)
        found["changes"], found["POST /v1/publish"] = told(s)
        for path in ("healthz", "v1/status", "v1/config", "v1/metrics", "v1/tasks", "v1/cache", "v1/log"):
            found["GET /" + path] = answer(s, "GET", "/" + path)
        found["POST /v1/cache/warm"] = answer(s, "POST", "/v1/cache/warm", json.dumps({"paths": ["kinds"]}))
        found["POST /v1/log"] = answer(s, "POST", "/v1/log?level=info")
        found["404"] = answer(s, "GET", "/v1/nothing")
        found["405"] = answer(s, "POST", "/v1/status")
        found["400"] = answer(s, "POST", "/v1/publish", "{")
        wait_for(lambda: "efs_sidecar_task_directory_bytes" in s.get("/metrics")[1], "the task's directory was not counted")
        found["GET /metrics"] = series(s.get("/metrics")[1])
        state = os.path.join(s.mounts[0], ".efs-sidecar")
        found["VERSION"] = load(os.path.join(state, "VERSION"))
        found["members/SLOT.json"] = load(glob.glob(os.path.join(state, "members/*.json"))[0])
        found[".owner"] = load(os.path.join(s.mounts[0], "tasks/web-1/.owner"))
        wait_for(lambda: lines_of(s.out_path), "no metrics on stdout")
        found["log"] = next(line for line in lines_of(s.err_path) if "condition" in line)
        found["metrics"] = envelope(lines_of(s.out_path)[0])
    install = [] if SANITIZED else ["--install=" + os.path.join(top, "tools")]
    done = subprocess.run([release.program("efs-init"), "--allow-local", "--run-dir=" + os.path.join(top, "gate"), "--format=json", *install,
                           os.path.join(top, "share")], env=environment({}), capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0, done.stderr)
    found["ready.json"] = load(os.path.join(top, "gate/ready.json"))
    if install:
        found["what --install makes"] = {name: True for name in os.listdir(os.path.join(top, "tools"))}
    return found


def envelope(line):
    """An EMF line without the metrics, which docs/metrics.md lists."""
    directive = line["_aws"]["CloudWatchMetrics"][0]
    dimensions = {name: True for some in directive["Dimensions"] for name in some}
    return {"_aws": {**line["_aws"], "CloudWatchMetrics": [{**directive, "Dimensions": dimensions}]}, **{name: line[name] for name in dimensions}}


def series(text):
    """Prometheus: each name with its type and labels."""
    found = {}
    for line in text.splitlines():
        kind = re.match(r"# TYPE (\S+) (\S+)", line)
        sample = re.match(r"([a-zA-Z_:][^ {]*)(?:\{(.*)\})? ", line)
        if kind:
            found.setdefault(kind.group(1), {})["type " + kind.group(2)] = True
        elif sample and not line.startswith("#"):
            for label in re.findall(r'(\w+)="', sample.group(2) or ""):
                found.setdefault(sample.group(1), {})[label] = True
    return found


# ---- what is in them ----

def merge(a, b):
    """What both have: fields of either, lists as one element that has all."""
    if isinstance(a, dict) and isinstance(b, dict):
        return {key: merge(a[key], b[key]) if key in a and key in b else a.get(key, b.get(key)) for key in {**a, **b}}
    return b if a is None else a


def shape(value):
    """Names and types. A list is what its elements are together; null says nothing."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        whole = None
        for inner in value:
            whole = merge(whole, shape(inner))
        return [whole]
    return {bool: "boolean", int: "number", float: "number", str: "string"}.get(type(value))


def missing(then, now, path=""):
    """What was there and is not any more, or is something else; both are shapes."""
    if then is None or now is None:
        return []
    if isinstance(then, dict):
        if not isinstance(now, dict):
            return [f"{path} is no object any more"]
        return [text for key, inner in then.items()
                for text in (missing(inner, now[key], f"{path}.{key}") if key in now else [f"{path}.{key} is gone"])]
    if isinstance(then, list):
        return missing(then[0], now[0], path + "[]") if isinstance(now, list) else [f"{path} is no list any more"]
    return [] if then == now else [f"{path} was {then} and is {now if isinstance(now, str) else type(now).__name__}"]


# ---- names ----

def names(release):
    """Everything that users' scripts, task definitions, dashboards and alarms may name. All values are true."""
    found = {"options of " + p: re.findall(r"^  (--[a-z-]+)", release.help(p), re.M) for p in ("efs-init", "efs-sidecar", "efs-watch", "efsctl")}
    commands = re.findall(r"^  ([a-z]+) ", release.help("efsctl").partition("Settings")[0], re.M)
    found["commands of efsctl"] = commands
    for command in commands:
        found["options of efsctl " + command] = re.findall(r"^  (--[a-z-]+)", release.help("efsctl", command), re.M)
    found["exit codes of efs-init"] = re.findall(r"^ +(\d+  \S+)", release.help("efs-init").partition("xit codes")[2], re.M)
    table = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \| ([^|]*) \|", release.read("docs/metrics.md"), re.M)
    found["metrics"] = [f"{name}, {unit}, {kind}, by {dimensions}" for name, unit, kind, dimensions in table]
    found["Terraform variables"] = re.findall(r'^variable "(\w+)"', release.read("task-def/terraform/variables.tf"), re.M)
    found["Terraform outputs"] = re.findall(r'^output "(\w+)"', release.read("task-def/terraform/outputs.tf"), re.M)
    found["CloudFormation parameters"] = re.findall(r"^  (\w+):", re.search(r"^Parameters:\n(.*?)^\w", release.read("task-def/cloudformation/stack.yaml"),
                                                                            re.M | re.S).group(1), re.M)
    template = json.loads(release.read("task-def/template.json"))
    found["volumes of a task"] = [f"{name} {volume['containerPath']}" for name, volume in template["volumes"].items()]
    found["profiles of taskdef"] = list(template["profiles"])
    found["alarms"] = [a["name"] for a in json.loads(release.read("task-def/monitoring/alarms.json"))]
    found["volumes of the image"] = re.findall(r'"(/[^"]+)"', re.search(r"^VOLUME (.*)", release.read("Dockerfile"), re.M).group(1))
    for kind, some in found.items():
        if not some and not kind.startswith("options of efsctl"):
            fail(f"no {kind} are found in {release.top}")
    return {kind: {name: True for name in some} for kind, some in found.items()}
