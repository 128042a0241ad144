#!/usr/bin/env python3
"""efsctl support and log: what a report of a bug needs, without what nobody should see; what is logged is changed while it runs."""
import json
import os
import stat
import subprocess

from sidecarlib import Sidecar
from watchlib import check, run, wait_for

EFSCTL = os.path.join(os.environ.get("BUILD", "build"), "efsctl")


def efsctl(socket, *arguments):
    return subprocess.run([EFSCTL, f"--api-socket={socket}", *arguments], capture_output=True, text=True, timeout=60, check=False)


def bundle(root):
    """the bundle has status, settings, metrics, log and mounts; keys, tokens and account numbers are not in it; only its owner can read it"""
    role = "role-of-123456789012"
    rule = "a=http://127.0.0.1:9/reload?token=hunter2"
    with Sidecar(root, f"--task-name={role}", f"--on-change={rule}", "--service=AKIAIOSFODNN7EXAMPLE") as sidecar:
        sidecar.wait_watching()
        path = os.path.join(root.decode(), "bundle.json")
        result = efsctl(sidecar.socket, "support", f"--output={path}")
        check(result.returncode == 0 and path in result.stderr, f"{result}")
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "others can read it")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        found = json.loads(text)
        for secret in ("123456789012", "hunter2", "AKIAIOSFODNN7EXAMPLE"):
            check(secret not in text, f"{secret} is in it")
        for question in ("/healthz", "/v1/status", "/v1/config", "/v1/metrics", "/v1/locks", "/v1/claims", "/v1/tasks", "/v1/log"):
            check("efsctl" not in found["sidecar"][question], f"{question}: {found['sidecar'][question]}")
        check(found["sidecar"]["/v1/status"]["mounts"][0]["path"] == sidecar.mounts[0], "the mount")
        check(any("efs-sidecar" in line for line in found["sidecar"]["/v1/log"]["lines"]), "no log")
        check("mounted on" in found["files"]["/proc/self/mountstats"], "no mountstats")


def without_sidecar(root):
    """without a sidecar the rest is there, and what is missing says why"""
    result = efsctl(root.decode() + "/none.sock", "support")
    found = json.loads(result.stdout)
    check(result.returncode == 0 and "none.sock" in found["sidecar"]["/v1/status"]["efsctl"], f"{result}")
    check("mounted on" in found["files"]["/proc/self/mountstats"], "no mountstats")


def levels(root):
    """debug lines come after `efsctl log --level=debug`, and no more after info; a wrong level is refused"""
    with Sidecar(root, "--task-name=t", "--mount-stall-after=2s") as sidecar:
        sidecar.wait_watching()
        check('"level":"debug"' not in sidecar.log(), "debug from the start")
        check(efsctl(sidecar.socket, "log", "--level=debug").returncode == 0, "refused")
        check(efsctl(sidecar.socket, "log", "--level=loud").returncode == 1, "a level that is none")
        check(sidecar.get("/v1/log")[1]["level"] == "debug", "another level")
        wait_for(lambda: "GET /v1/log by uid" in sidecar.log(), "no debug line")
        efsctl(sidecar.socket, "log", "--level=info")
        sidecar.get("/v1/status")
        sidecar.get("/healthz")
        check("GET /v1/status by" not in sidecar.log(), "still debug")
        lines = efsctl(sidecar.socket, "log").stdout.splitlines()
        check(any("runs: task t" in line for line in lines), f"{lines}")
        check(len(lines) <= 200, f"{len(lines)} lines")


if __name__ == "__main__":
    run(bundle, without_sidecar, levels)
