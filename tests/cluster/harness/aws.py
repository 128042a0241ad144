"""AWS for containers on task hosts: moto_server, and what the ECS agent answers them.

    with Aws(cluster) as aws:
        task = ecs.Task(host, definition, env=aws.env("web-1", "web-task"))
        aws.tasks["web-1"] = task                      # then its DesiredStatus is known to it
        aws.cli("cloudwatch", "list-metrics")          # the real command line client

Both run outside the machines, on the bridge between them. The agent is at its own address (169.254.170.2, to which each host of the
scenario gets a route): credentials of the role, which STS gave for it, and the task metadata endpoint, version 4.
"""

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from .errors import Failure, Skip, check

ADDRESS, PORT, AGENT = "10.77.255.1", 5000, "169.254.170.2"
URL = f"http://{ADDRESS}:{PORT}"
REGION = "eu-west-1"
ACCOUNT = "arn:aws:{}:eu-west-1:123456789012:{}"


class Agent(http.server.ThreadingHTTPServer):
    """/v2/credentials/ROLE and /v4/TASK/task."""

    daemon_threads = True

    def __init__(self, aws):
        self.aws = aws
        super().__init__((AGENT, 80), Answer)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        words = self.path.strip("/").split("/")
        body = self.server.aws.answer(words)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


class Aws:
    def __init__(self, cluster):
        self.cluster, self.tasks, self.credentials = cluster, {}, {}
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and not k.lower().endswith("_proxy")}
        self.environment.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION=REGION, AWS_PAGER="",
                                AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")

    def __enter__(self):
        if not (shutil.which("moto_server") and shutil.which("aws")) and "NO_SKIP" not in os.environ:
            raise Skip("there is no moto_server or no aws; `make deps` gets them from PyPI (tests/requirements.txt)")
        for address in f"{ADDRESS}/16", f"{AGENT}/32":
            subprocess.run(["ip", "address", "replace", address, "dev", "cluster"], check=True, timeout=10)
        for host in self.cluster.hosts:
            host.run(["ip", "route", "replace", AGENT, "dev", "vec0"])
        self.log = open(os.path.join(self.cluster.results_dir, "moto"), "wb")
        self.moto = subprocess.Popen(["moto_server", "-H", ADDRESS, "-p", str(PORT)], env=self.environment, stdin=subprocess.DEVNULL,
                                     stdout=self.log, stderr=self.log, start_new_session=True)
        self.agent = Agent(self)
        return self

    def __exit__(self, *_):
        self.agent.shutdown()
        self.agent.server_close()
        os.killpg(self.moto.pid, signal.SIGKILL)
        self.moto.wait()
        self.log.close()

    def wait_ready(self, timeout=60):
        """It takes some seconds to start; what is done meanwhile costs nothing."""
        end = time.monotonic() + timeout
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((ADDRESS, PORT)) == 0:
                    return
            check(self.moto.poll() is None, f"moto_server ended; what it said is in {self.log.name}")
            check(time.monotonic() < end, f"moto_server does not listen after {timeout} s")
            time.sleep(0.1)

    def cli(self, *args):
        """The answer of the aws command line client."""
        try:
            done = subprocess.run(["aws", "--endpoint-url", URL, "--output", "json", *args], env=self.environment, capture_output=True,
                                  text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired as e:
            raise Failure(f"aws {args[:2]} did not end: {e}") from e
        check(done.returncode == 0, f"aws {args[:2]}: {done.stderr}")
        return json.loads(done.stdout or "null")

    def env(self, name, role):
        """What the agent gives to the containers of a task; its role exists from then on."""
        if role not in self.credentials:
            self.cli("iam", "create-role", "--role-name", role, "--assume-role-policy-document", "{}")
            arn = f"arn:aws:iam::123456789012:role/{role}"
            given = self.cli("sts", "assume-role", "--role-arn", arn, "--role-session-name", name)["Credentials"]
            self.credentials[role] = {"RoleArn": arn, "AccessKeyId": given["AccessKeyId"], "SecretAccessKey": given["SecretAccessKey"],
                                      "Token": given["SessionToken"], "Expiration": given["Expiration"].replace("+00:00", "Z")}
        return {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": URL, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": f"/v2/credentials/{role}",
                "ECS_CONTAINER_METADATA_URI_V4": f"http://{AGENT}/v4/{name}"}

    def answer(self, words):
        """Called by the agent's threads."""
        if words[:2] == ["v2", "credentials"]:
            return self.credentials.get(words[2])
        task = self.tasks.get(words[1]) if words[0] == "v4" else None
        return task and {"Cluster": "production", "TaskARN": ACCOUNT.format("ecs", f"task/production/{words[1]}"),
                         "Family": task.definition["family"], "Revision": "1", "DesiredStatus": task.desired, "KnownStatus": "RUNNING"}
