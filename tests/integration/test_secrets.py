#!/usr/bin/env python3
"""Where secrets are: not in the environment of a child, not in a log, status, metric or bundle. Of what was replaced only what libcurl frees
without overwriting it may be found in memory, until it is used again: a number that does not grow with each request."""
import glob
import json
import os
import re
import subprocess
import time

from awslib import Fake, environment, own_network
from sidecarlib import Sidecar
from watchlib import BUILD, check, run, wait_for

AUTHORIZATION = "authorization-%d-of-the-agent-that-nobody-may-see"
SECRET = "secret-access-key-%d/that+nobody/may=see0000"
TOKEN = "session-token-%d-that-nobody-may-see/" + "x" * 900
OPTIONS = ("--metrics-sinks=emf,cloudwatch", "--metrics-interval=1s", "--metrics-cloudwatch-flush=1s", "--log-level=debug", "--task-name=one")


def memory_of(pid):
    """All that can be read, as a debugger sees it."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            low, high, rights, path = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)", line).groups()
            if rights.startswith("rw") and "[v" not in path:
                try:
                    memory.seek(int(low, 16))
                    yield path, memory.read(int(high, 16) - int(low, 16))
                except OSError:
                    pass


def found(pid, text):
    return sum(chunk.count(text.encode()) for _, chunk in memory_of(pid))


class Agent(Fake):
    """Each fetch gets keys of its own, which live for a few seconds."""

    def __init__(self):
        self.n = 0
        super().__init__(self.serve)

    def serve(self, request):
        if request.method == "POST":
            return "{}"
        self.n += 1
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
        return {"AccessKeyId": f"AKIAEXAMPLE{self.n:09}", "SecretAccessKey": SECRET % self.n, "Token": TOKEN % self.n, "Expiration": expires}


def start(root, agent):
    token = os.path.join(root.decode(), "token")
    with open(token, "w", encoding="ascii") as f:
        f.write(AUTHORIZATION % 1)
    env = environment({"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.url + "/creds", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token,
                       "AWS_ENDPOINT_URL": agent.url, "AWS_REGION": "eu-west-1", "AWS_SECRET_UNUSED": SECRET % 0,
                       "DATABASE_PASSWORD": SECRET % 0, "https_proxy": "http://user:" + AUTHORIZATION % 0 + "@127.0.0.1:1"})
    return Sidecar(root, *OPTIONS, env=env)


def children(root):
    """efs-watch has nothing of the environment that it does not need, and no descriptor but its own"""
    with Agent() as agent, start(root, agent) as s:
        s.wait_watching()
        with open(f"/proc/{s.process.pid}/task/{s.process.pid}/children", encoding="ascii") as f:
            pids = [int(pid) for pid in f.read().split()]
        check(len(pids) == 1, f"{pids}")
        with open(f"/proc/{pids[0]}/environ", "rb") as f:
            names = [entry.split(b"=")[0].decode() for entry in f.read().split(b"\0") if entry]
        check(all(re.match("EFS_SIDECAR_|PATH$|LD_|TZ$|LANG$|LC_|[ALU]B?SAN_OPTIONS$", name) for name in names), f"{names}")
        check("PATH" in names, f"{names}")
        open_files = {os.readlink(fd) for fd in glob.glob(f"/proc/{pids[0]}/fd/*")}
        check(not [f for f in open_files if "api.sock" in f or "sidecar.lock" in f], f"{open_files}")
        for pid in (s.process.pid, *pids):
            with open(f"/proc/{pid}/limits", encoding="ascii") as f:
                check(re.search(r"Max core file size +1 +1 ", f.read()), "a core file can be written")
        return f"{len(names)} variables, {len(open_files)} files"


def shown(s):
    texts = [json.dumps(s.get(path)[1]) for path in ("/v1/status", "/v1/config", "/v1/log", "/v1/metrics", "/healthz", "/metrics")]
    for path in (s.out_path, s.err_path):
        with open(path, encoding="utf-8", errors="replace") as f:
            texts.append(f.read())
    env = {"PATH": os.environ["PATH"], "EFS_SIDECAR_RUN_DIR": s.run_dir}
    bundle = os.path.join(s.root, "bundle")
    subprocess.run([os.path.join(BUILD, "efsctl"), "support", "--output=" + bundle], env=env, capture_output=True, timeout=30, check=True)
    with open(bundle, encoding="utf-8") as f:
        return [*texts, f.read()]


def replaced(root):
    """keys and authorization that were used are in no text; of those that were replaced hardly one is left in memory"""
    with Agent() as agent, start(root, agent) as s:
        wait_for(lambda: agent.n >= 4 and any(r.method == "POST" for r in agent.requests), lambda: f"{agent.n} fetches: {s.log()}")
        posts = [r for r in agent.requests if r.method == "POST"]
        check(posts and all(r.headers.get("x-amz-security-token", "").startswith("session-token-") for r in posts), "nothing was signed")
        last = agent.n
        for text in shown(s):
            check("nobody-may-see" not in text and "nobody/may=see" not in text, f"a secret is shown: {text[:2000]}")
        if "SANITIZED" in os.environ:
            return "memory with sanitizers has terabytes"
        old = range(1, last - 1)
        counts = {"keys": sum(found(s.process.pid, SECRET % n) for n in old), "tokens": sum(found(s.process.pid, (TOKEN % n)[:60]) for n in old),
                  "authorization": found(s.process.pid, AUTHORIZATION % 1)}
        check(found(s.process.pid, "session-token-") > 0, "the one that is used is not found: the search does not work")
        check(sum(counts.values()) <= 10, f"{last} fetches: {counts}")
        return f"after {last} fetches, copies in memory of {len(old)} replaced: {counts}"


own_network()
run(children, replaced)
