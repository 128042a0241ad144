#!/usr/bin/env python3
"""The task definitions: the AWS client takes them whole, and they hold what ECS demands but no client checks."""
import glob
import http.server
import json
import os
import re
import subprocess
import threading

from awslib import own_network
from motolib import Moto, aws
from watchlib import BUILD, check, needs, run

HERE = os.path.dirname(os.path.realpath(__file__))
FOLDER = os.path.join(HERE, "../../task-def")
FILES = [f for f in sorted(glob.glob(os.path.join(FOLDER, "*.json"))) if not f.endswith("/template.json")]
CONFORMANCE = os.path.join(FOLDER, "conformance.json")
FARGATE_SPOT_MAX_S = 110
GATE, SIDECAR = "efs-init", "efs-sidecar"
# the profile: is the sidecar essential, what the app waits for
PROFILES = {None: (None, {GATE: "SUCCESS"}), "observe": (False, {GATE: "SUCCESS", SIDECAR: "START"}),
            "coordinate": (True, {GATE: "SUCCESS", SIDECAR: "HEALTHY"}), "cache": (True, {GATE: "SUCCESS", SIDECAR: "HEALTHY"})}


class Receiver(http.server.BaseHTTPRequestHandler):
    """The other end of the AWS client, on loopback: keeps what it is sent."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["X-Amz-Target"], json.loads(body)))
        answer = json.dumps({"taskDefinition": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def register(path, port):
    needs("aws")
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    env.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="eu-central-1", AWS_PAGER="",
               AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")
    return subprocess.run(["aws", "--endpoint-url", f"http://127.0.0.1:{port}", "ecs", "register-task-definition",
                           "--cli-input-json", "file://" + path], env=env, capture_output=True, text=True, timeout=60, check=False)


def client_accepts(root):
    """`aws ecs register-task-definition` knows every field, and sends the file as it is"""
    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    server.received = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for path in FILES:
            result = register(path, server.server_port)
            check(result.returncode == 0, f"{path}: {result.stderr}")
            with open(path, encoding="utf-8") as file:
                check(server.received.pop()[1] == json.load(file), f"{path}: something was left out")
        wrong = os.path.join(root.decode(), "wrong.json")
        with open(FILES[0], encoding="utf-8") as file, open(wrong, "w", encoding="utf-8") as out:
            out.write(file.read().replace('"stopTimeout"', '"stopTimeOut"'))
        check("stopTimeOut" in register(wrong, server.server_port).stderr, "a misspelt field was taken")
    finally:
        server.shutdown()
        server.server_close()


def made_by_efsctl(_):
    """each file is what `efsctl taskdef add` makes of an app's"""
    done = subprocess.run([os.path.join(FOLDER, "update"), os.path.join(BUILD, "efsctl"), "--check"], capture_output=True, text=True,
                          timeout=60, check=False)
    check(done.returncode == 0 and done.stderr == "", done.stderr)


def contains(kept, wanted):
    """Is all of wanted in it? AWS fills in defaults."""
    if isinstance(wanted, dict):
        return all(key in kept and contains(kept[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(kept) == len(wanted) and all(map(contains, kept, wanted))
    return kept == wanted


def moto_keeps(_):
    """what moto_server registered is what the file says"""
    with Moto():
        for path in FILES:
            aws("ecs", "register-task-definition", "--cli-input-json", "file://" + path)
            with open(path, encoding="utf-8") as file:
                wanted = json.load(file)
            kept = aws("ecs", "describe-task-definition", "--task-definition", wanted["family"])["taskDefinition"]
            check(contains(kept, wanted), f"{path}: it is kept as {kept}")


def add(definition, *options, text=None):
    return subprocess.run([os.path.join(BUILD, "efsctl"), "taskdef", "add", "--image=example.com/efs-sidecar:1", *options, "-"],
                          input=text if text is not None else json.dumps(definition), capture_output=True, text=True, timeout=10,
                          check=False)


def app_definition(name="fargate"):
    with open(os.path.join(FOLDER, "app", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def described(_):
    """the answer of describe-task-definition is taken, and what comes out can be registered; what the app had stays"""
    with Moto():
        definition = app_definition()
        definition["containerDefinitions"].append({"name": "cron", "image": "cron:1", "essential": False, "memory": 64})
        definition["containerDefinitions"][0]["dependsOn"] = [{"containerName": "cron", "condition": "START"}]
        aws("ecs", "register-task-definition", "--cli-input-json", json.dumps(definition))
        answer = aws("ecs", "describe-task-definition", "--task-definition", "web")
        done = add(answer, "--profile=observe", "--user=33:33", "--cluster=c", "--service=s")
        check(done.returncode == 0 and done.stderr == "", done.stderr)
        inner = add(answer["taskDefinition"], "--profile=observe", "--user=33:33", "--cluster=c", "--service=s")
        check(inner.stdout == done.stdout, "with --query taskDefinition it is another one")
        aws("ecs", "register-task-definition", "--cli-input-json", done.stdout)
    made = {c["name"]: c for c in json.loads(done.stdout)["containerDefinitions"]}
    check(list(made) == [GATE, SIDECAR, "app", "cron"], list(made))
    check([d["containerName"] for d in made["app"]["dependsOn"]] == ["cron", GATE, SIDECAR], made["app"]["dependsOn"])
    check("dependsOn" not in made["cron"] and len(made["cron"].get("mountPoints", [])) == 0, f"cron mounts no EFS: {made['cron']}")
    check(made[GATE]["user"] == made[SIDECAR]["user"] == "33:33", "user")
    variables = {v["name"]: v["value"] for v in made[SIDECAR]["environment"]}
    check((variables["EFS_SIDECAR_CLUSTER"], variables["EFS_SIDECAR_SERVICE"]) == ("c", "s"), variables)


def runbooks(_):
    """what the runbooks do with jq to a registered task definition can be registered again"""
    with Moto():
        aws("ecs", "register-task-definition", "--cli-input-json", "file://" + os.path.join(FOLDER, "fargate.json"))
        answer = aws("ecs", "describe-task-definition", "--task-definition", "web")["taskDefinition"]
        for page, options in (("README", []), ("upgrade", ["--arg", "image", "new:2"])):
            with open(os.path.join(FOLDER, "../docs/runbooks", page + ".md"), encoding="utf-8") as file:
                program = re.search(r"jq .*?'(.*?)' web\.json", file.read(), re.S).group(1)
            made = subprocess.run(["jq", *options, program], input=json.dumps(answer), capture_output=True, text=True, timeout=10, check=True)
            aws("ecs", "register-task-definition", "--cli-input-json", made.stdout)
            containers = json.loads(made.stdout)["containerDefinitions"]
            if page == "README":
                check([(c["name"], c["essential"]) for c in containers] == [(GATE, True)], made.stdout)
            else:
                check([c["image"].endswith("/web:1") or c["image"] for c in containers] == ["new:2", "new:2", True], made.stdout)


def edit(change):
    definition = app_definition()
    change(definition, definition["containerDefinitions"][0], definition["volumes"][0])
    return definition


def two_at_one_path(definition, app, _volume):
    other = json.loads(json.dumps(app))
    other["name"] = "other"
    other["mountPoints"] = [{"sourceVolume": "shared-config", "containerPath": "/uploads"}]
    definition["containerDefinitions"].append(other)


def refused(_):
    """what ECS would refuse or what cannot work is refused, with the name of what is wrong"""
    cases = [
        (lambda d, a, v: a.update(name="efs-init"), [], "has a container efs-init"),
        (lambda d, a, v: a.update(mountPoints=[]), [], "no container mounts an EFS volume"),
        (lambda d, a, v: d["volumes"].append({"name": "run"}), [], '"run"'),
        (lambda d, a, v: a["mountPoints"].append({"sourceVolume": "x", "containerPath": "/run/efs-sidecar"}), [],
         "container app mounts something at /run/efs-sidecar"),
        (lambda d, a, v: a["mountPoints"][0].update(containerPath="/a,b"), [], '"/a,b" of volume uploads'),
        (two_at_one_path, [], "uploads and shared-config are both mounted at /uploads"),
        (lambda d, a, v: a.update(cpu=512), [], "add up to 544 with efs-sidecar's, the task has 512"),
        (lambda d, a, v: a.update(memoryReservation=1000), [], "reserve 1096 MiB with efs-sidecar, the task has 1024"),
        (lambda d, a, v: None, ["--profile=caching"], '"caching" is none of'),
        (lambda d, a, v: None, ["--profile=gate", "--state=fsap-0123456789abcdef2"], "gate has no state"),
    ]
    for change, options, words in cases:
        done = add(edit(change), *options)
        check(done.returncode == 1 and done.stdout == "" and words in done.stderr, f"{words}: {done}")
    for text, words in (("", "line 1"), ("[]", "object"), ('{"a":1,"a":2}', "duplicate"), (" " * (1 << 20) + "{}", "larger than 1 MiB")):
        done = add(None, text=text)
        check(done.returncode == 1 and words in done.stderr, f"{words}: {done.stderr}")


def places(value, path=()):
    """The path to everything in a JSON value."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def with_another(definition, path, value):
    changed = json.loads(json.dumps(definition))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def odd(_):
    """whatever type stands where, it is made or refused with words"""
    definition = app_definition()
    n = 0
    for path in places(definition):
        for value in (None, 7, "x", [], {}, [{}], [None]) if path else ():
            done = add(with_another(definition, path, value), "--profile=cache", "--state=fsap-0123456789abcdef2", "--exec")
            check(done.returncode == 0 or (done.returncode == 1 and done.stderr), f"{path} = {value}: {done}")
            n += 1
    return f"{n} definitions"


def warned(_):
    """what ECS takes but is probably not meant is said, and the definition is made all the same"""
    def plain(_definition, _app, volume):
        volume["efsVolumeConfiguration"] = {"fileSystemId": "fs-0123456789abcdef0"}

    cases = [
        (plain, ["uploads: transitEncryption", "uploads: authorizationConfig.iam", "uploads has no access point"]),
        (lambda d, a, v: a.update(stopTimeout=100), ["app: its stopTimeout of 100 s and efs-sidecar's of 30 s"]),
        (lambda d, a, v: a.pop("logConfiguration"), ["app has no logConfiguration"]),
        (lambda d, a, v: d.pop("taskRoleArn"), ["no taskRoleArn"]),
        (lambda d, a, v: d.update(requiresCompatibilities=["EC2"]), ["networkMode is awsvpc"]),
        (lambda d, a, v: a.update(environment=[{"name": "LD_PRELOAD", "value": "x.so"}]), ["app sets LD_PRELOAD itself"]),
    ]
    for change, words in cases:
        done = add(edit(change), "--profile=cache", "--state=fsap-0123456789abcdef2")
        lines = done.stderr.splitlines()
        check(done.returncode == 0 and json.loads(done.stdout), done.stderr)
        check(len(lines) == len(words) and all(w in line for w, line in zip(words, lines)), f"{words}: {done.stderr}")
    done = add(app_definition(), "--cluster=c")
    check("without --state" in done.stderr, done.stderr)


def definitions():
    check(len(FILES) > 3, "no task definitions")
    for path in FILES:
        if path == CONFORMANCE:
            continue
        with open(path, encoding="utf-8") as file:
            definition = json.load(file)
        yield os.path.basename(path), definition, {c["name"]: c for c in definition["containerDefinitions"]}


def references(_):
    """volumes and containers that are referred to exist; each container mounts the run directory, the app read-only"""
    for name, definition, containers in definitions():
        volumes = {v["name"] for v in definition["volumes"]}
        check(len(volumes) == len(definition["volumes"]), f"{name}: two volumes of one name")
        for container in containers.values():
            mounts = {m["containerPath"]: m for m in container["mountPoints"]}
            check(len(mounts) == len(container["mountPoints"]), f"{name}: {container['name']} mounts two at one path")
            check(mounts["/run/efs-sidecar"]["readOnly"] == (container["name"] == "app"), f"{name}: {container['name']}: run directory")
            for mount in mounts.values():
                check(mount["sourceVolume"] in volumes, f"{name}: no volume {mount['sourceVolume']}")
            for depends in container.get("dependsOn", []):
                other = containers.get(depends["containerName"])
                check(other, f"{name}: no container {depends['containerName']}")
                check(depends["condition"] != "HEALTHY" or "healthCheck" in other, f"{name}: {other['name']} has no healthCheck")
                check(depends["condition"] != "SUCCESS" or not other.get("essential", True),
                      f"{name}: {other['name']} ends, so it must not be essential")


def hardened(_):
    """nobody is root, has a capability or a root file system that can be written"""
    for name, _definition, containers in definitions():
        for container in containers.values():
            check(int(container["user"].split(":")[0]) > 0, f"{name}: {container['name']} is root")
            check(container["readonlyRootFilesystem"] is True, f"{name}: {container['name']}: readonlyRootFilesystem")
            check(container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}, f"{name}: {container['name']}: capabilities")


def efs_volumes(_):
    """EFS volumes with IAM or an access point are encrypted in transit, have a task role and no root directory"""
    for name, definition, _containers in definitions():
        for volume in definition["volumes"]:
            efs = volume.get("efsVolumeConfiguration")
            if efs:
                check(efs["transitEncryption"] == "ENABLED", f"{name}: transitEncryption")
                check(efs["authorizationConfig"]["iam"] == "ENABLED" and definition["taskRoleArn"], f"{name}: task role")
                check("rootDirectory" not in efs, f"{name}: rootDirectory beside an access point")


def order_and_times(_):
    """the app waits for what its profile has; it stops before the sidecar, both within the time that Fargate Spot leaves"""
    for name, _definition, containers in definitions():
        app, gate, sidecar = containers["app"], containers[GATE], containers.get(SIDECAR)
        profile = sidecar and {v["name"]: v["value"] for v in sidecar["environment"]}["EFS_SIDECAR_PROFILE"]
        essential, waits = PROFILES[profile]
        check({d["containerName"]: d["condition"] for d in app["dependsOn"]} == waits, f"{name}: the app depends on {app['dependsOn']}")
        check(gate["essential"] is False and gate["startTimeout"] > 20, f"{name}: the gate gives up after 20 s by itself")
        check(gate["logConfiguration"]["options"]["mode"] == "blocking", f"{name}: the gate's last line may be dropped")
        if not sidecar:
            continue
        check(sidecar["essential"] is essential, f"{name}: essential")
        check(app["stopTimeout"] + sidecar["stopTimeout"] <= FARGATE_SPOT_MAX_S, f"{name}: stop timeouts")
        check(sidecar["healthCheck"]["command"][0] == "CMD", f"{name}: the health check wants a shell")
        check(sidecar["healthCheck"]["timeout"] > 3, f"{name}: efsctl health waits 3 s")
        check(sidecar["restartPolicy"]["restartAttemptPeriod"] >= 60, f"{name}: ECS refuses less")


def exec_volumes(_):
    """for ECS Exec each container has folders of its own for the agent"""
    _name, definition, containers = next(d for d in definitions() if d[0] == "exec.json")
    used = []
    for container in containers.values():
        mounts = {m["containerPath"]: m for m in container["mountPoints"]}
        for path in ("/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm"):
            check(mounts[path]["readOnly"] is False, f"{container['name']}: {path}")
            used.append(mounts[path]["sourceVolume"])
    check(len(used) == len(set(used)) == 9, used)
    check(all("efsVolumeConfiguration" not in v for v in definition["volumes"] if v["name"] in used), "they are the task's own")


def settings(_):
    """the programs take the settings of their containers"""
    for name, _definition, containers in definitions():
        for program in {GATE, SIDECAR} & containers.keys():
            variables = {v["name"]: v["value"] for v in containers[program]["environment"]}
            check(containers[program]["command"] == [program], f"{name}: command of {program}")
            env = {k: v for k, v in os.environ.items() if not k.startswith("EFS_SIDECAR_")}
            result = subprocess.run([os.path.join(BUILD, program), "--check"], env=dict(env, **variables), capture_output=True,
                                    text=True, timeout=10, check=False)
            check(result.returncode == 0, f"{name}: {program}: {result.stderr}")
            for mount in variables["EFS_SIDECAR_MOUNTS"].split(","):
                path = mount.split("=")[0]
                check(path in {m["containerPath"] for m in containers[program]["mountPoints"]}, f"{name}: {program} lacks {path}")
        if SIDECAR in containers:
            timeout = {v["name"]: v["value"] for v in containers[SIDECAR]["environment"]}["EFS_SIDECAR_STOP_TIMEOUT"]
            check(timeout == f"{containers[SIDECAR]['stopTimeout']}s", f"{name}: the sidecar is told another stopTimeout")


def conformance(root):
    """the task that tries a file system has it, nothing else, no rights; its command prints JSON, alone and as one of two"""
    with open(CONFORMANCE, encoding="utf-8") as file:
        definition = json.load(file)
    (container,), (volume,) = definition["containerDefinitions"], definition["volumes"]
    check(container["essential"] and container["readonlyRootFilesystem"] and container["user"] != "0:0", container)
    check(container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]} and "environment" not in container, container)
    (mount,) = container["mountPoints"]
    check(mount == {"sourceVolume": volume["name"], "containerPath": "/uploads", "readOnly": False}, mount)
    program, *words, path = container["command"]
    check(path == mount["containerPath"] and container["logConfiguration"]["options"]["mode"] == "blocking", container)
    with open(os.path.join(FOLDER, "README.md"), encoding="utf-8") as file:
        override = json.loads(re.search(r"--overrides '(.*?)'", file.read(), re.S).group(1))["containerOverrides"][0]
    check(override["name"] == container["name"] and override["command"] == [program, *words, "--peer", path], override)
    for command, count in ((container["command"], 1), (override["command"], 2)):
        runs = [subprocess.Popen([os.path.join(BUILD, program), *command[1:-1], root], stdout=subprocess.PIPE) for _ in range(count)]
        for one in runs:
            report = json.loads(one.communicate(timeout=150)[0])
            check(one.returncode == (0 if report["failed"] == 0 else 1) and len(report["properties"]) > 10, report)


if __name__ == "__main__":
    own_network()
    run(client_accepts, moto_keeps, made_by_efsctl, described, runbooks, refused, odd, warned, references, hardened, efs_volumes, order_and_times,
        exec_volumes, settings, conformance)
