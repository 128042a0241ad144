#!/usr/bin/env python3
"""The task definitions: the AWS client takes them whole, and they hold what ECS demands but no client checks."""
import glob
import http.server
import json
import os
import subprocess
import threading

from watchlib import BUILD, check, run

HERE = os.path.dirname(os.path.realpath(__file__))
FILES = sorted(glob.glob(os.path.join(HERE, "../../task-def/*.json")))
FARGATE_MAX_S = 120


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


def definitions():
    check(FILES, "no task definitions")
    for path in FILES:
        with open(path, encoding="utf-8") as file:
            definition = json.load(file)
        yield os.path.basename(path), definition, {c["name"]: c for c in definition["containerDefinitions"]}


def references(_):
    """volumes and containers that are referred to exist; each container mounts the run directory"""
    for name, definition, containers in definitions():
        volumes = {v["name"] for v in definition["volumes"]}
        for container in containers.values():
            mounts = {m["containerPath"]: m for m in container["mountPoints"]}
            check("/run/efs-sidecar" in mounts, f"{name}: {container['name']} lacks the run directory")
            for mount in mounts.values():
                check(mount["sourceVolume"] in volumes, f"{name}: no volume {mount['sourceVolume']}")
            for depends in container.get("dependsOn", []):
                other = containers.get(depends["containerName"])
                check(other, f"{name}: no container {depends['containerName']}")
                check(depends["condition"] != "HEALTHY" or "healthCheck" in other, f"{name}: {other['name']} has no healthCheck")
                check(depends["condition"] != "SUCCESS" or not other.get("essential", True),
                      f"{name}: {other['name']} ends, so it must not be essential")


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
    """the app waits for gate and sidecar; it stops before the sidecar, both within Fargate's 120 s"""
    for name, _definition, containers in definitions():
        app, sidecar = containers["app"], containers["efs-sidecar"]
        waits = {d["containerName"]: d["condition"] for d in app["dependsOn"]}
        check(waits == {"efs-init": "SUCCESS", "efs-sidecar": "HEALTHY"}, f"{name}: the app depends on {waits}")
        check(app["stopTimeout"] + sidecar["stopTimeout"] <= FARGATE_MAX_S, f"{name}: stop timeouts")
        check(sidecar["healthCheck"]["command"][0] == "CMD", f"{name}: the health check wants a shell")
        check(sidecar["healthCheck"]["timeout"] > 3, f"{name}: efsctl health waits 3 s")


def settings(_):
    """the programs take the settings of their containers"""
    for name, _definition, containers in definitions():
        for program in ("efs-init", "efs-sidecar"):
            variables = {v["name"]: v["value"] for v in containers[program]["environment"]}
            check(containers[program]["command"] == [program], f"{name}: command of {program}")
            env = {k: v for k, v in os.environ.items() if not k.startswith("EFS_SIDECAR_")}
            result = subprocess.run([os.path.join(BUILD, program), "--check"], env=dict(env, **variables), capture_output=True,
                                    text=True, timeout=10, check=False)
            check(result.returncode == 0, f"{name}: {program}: {result.stderr}")
            for mount in variables["EFS_SIDECAR_MOUNTS"].split(","):
                path = mount.split("=")[0]
                check(path in {m["containerPath"] for m in containers[program]["mountPoints"]}, f"{name}: {program} lacks {path}")
        timeout = {v["name"]: v["value"] for v in containers["efs-sidecar"]["environment"]}["EFS_SIDECAR_STOP_TIMEOUT"]
        check(timeout == f"{containers['efs-sidecar']['stopTimeout']}s", f"{name}: the sidecar is told another stopTimeout")


if __name__ == "__main__":
    run(client_accepts, references, efs_volumes, order_and_times, settings)
