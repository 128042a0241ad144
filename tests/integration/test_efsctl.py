#!/usr/bin/env python3
"""efsctl and the real sidecar, on a local directory."""
import json
import os
import subprocess

from sidecarlib import Sidecar
from watchlib import BUILD, check, die_with_parent, run, wait_for

EFSCTL = os.path.join(BUILD, "efsctl")


def start(root, names=("a",), **env):
    return Sidecar(root, "--task-name=web-1", mounts=names, env=env)


def efsctl(sidecar, *args):
    env = {k: v for k, v in os.environ.items() if not k.startswith("EFS_SIDECAR_")}
    return subprocess.run([EFSCTL, *args], env=dict(env, EFS_SIDECAR_RUN_DIR=sidecar.run_dir), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20, check=False)


class Watch:
    """A running `efsctl watch`; what it says goes to a file."""

    def __init__(self, sidecar, *args):
        self.path = os.path.join(sidecar.root, f"watch.{len(os.listdir(sidecar.root))}")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen([EFSCTL, "--run-dir=" + sidecar.run_dir, "watch", *args], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)

    def text(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def wait(self, *words):
        wait_for(lambda: all(w in self.text() for w in words), lambda: f"no {words} in {self.text()!r}", 20)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def write(*path):
    with open(os.path.join(*path), "w", encoding="ascii") as file:
        file.write("x")


def status(root):
    """status: text that fits 80 columns but for paths, and the API's own JSON"""
    with start(root) as sidecar:
        result = efsctl(sidecar, "status")
        check(result.returncode == 0 and not result.stderr, result.stderr)
        for word in ("efs-sidecar ", "profile coordinate", "task web-1", f"pid {sidecar.process.pid}", "MountReady",
                     "MetricsPublishing", f"Mount {sidecar.mounts[0]}", "/tasks/web-1"):
            check(word in result.stdout, f"no \"{word}\" in {result.stdout}")
        wide = [line for line in result.stdout.splitlines() if len(line) > 80 and sidecar.root not in line]
        check(not wide, f"wider than 80 columns: {wide}")
        answer = json.loads(efsctl(sidecar, "status", "--json").stdout)
        check(answer["pid"] == sidecar.process.pid and answer["mounts"][0]["path"] == sidecar.mounts[0], f"{answer}")


def health(root):
    """health: one line and 0; with --fail-on=mount too; 1 when the sidecar is gone"""
    with start(root) as sidecar:
        for args in ((), ("--fail-on=mount",), ("--fail-on=mount", "--for=1s")):
            result = efsctl(sidecar, "health", *args)
            check(result.returncode == 0 and result.stdout == "healthy\n", f"{args}: {result.stdout}{result.stderr}")
    result = efsctl(sidecar, "health")
    check(result.returncode == 1 and result.stdout.startswith("unhealthy: no sidecar"), result.stdout)


def config(root):
    """config: what the sidecar runs with, and where it came from"""
    with start(root, EFS_SIDECAR_WATCH_MAX_DIRS="77") as sidecar:
        lines = {line.split()[0]: line.split()[1:] for line in efsctl(sidecar, "config").stdout.splitlines()}
        check(lines["watch.max_dirs"] == ["environment", "77"], f"{lines}")
        check(lines["api.mode"] == ["default", "0660"], f"{lines}")
        check(json.loads(efsctl(sidecar, "config", "--json").stdout)["watch.max_dirs"]["value"] == "77", "--json")


def watch(root):
    """watch: JSON lines into a file, lines for people with --text, one mount, a path, the rest of a stream"""
    with start(root, names=("a", "b")) as sidecar:
        a, b = sidecar.mounts
        os.mkdir(os.path.join(a, "in"))
        with Watch(sidecar) as everything, Watch(sidecar, "--text") as text, Watch(sidecar, "--mount=" + a, "in/") as below, \
                Watch(sidecar, a + "/in") as absolute:
            for one in (below, absolute):
                one.wait('"ready"')
            everything.wait(f'"{a}"', f'"{b}"')
            text.wait(f"ready   {a}", f"ready   {b}")
            write(b, "other")
            write(a, "beside")
            write(a, "in", "file")
            everything.wait('"other"', '"beside"', '"in/file"')
            text.wait(f"{b}/other", f"{a}/beside", f"{a}/in/file")
            for one in (below, absolute):
                changes = [json.loads(line) for line in one.wait('"in/file"').text().splitlines()]
                check({c.get("path", "in") for c in changes} == {"in", "in/file"}, f"{changes}")
            cursor = changes[-1]["cursor"]
        write(a, "later")
        with Watch(sidecar, "--mount=" + a, "--since=" + cursor) as rest:
            rest.wait('"later"')
            check('"beside"' not in rest.text(), rest.text())


def refusals(root):
    """what the sidecar refuses is one or two lines with its own words, exit code 1"""
    with start(root, names=("a", "b")) as sidecar:
        for args, word in ((("watch", "--mount=/nowhere"), "/nowhere"), (("watch", "--since=x"), "since"),
                           (("watch", "--mount=" + sidecar.mounts[0], "../x"), "..")):
            result = efsctl(sidecar, *args)
            check(result.returncode == 1 and word in result.stderr, f"{args}: {result.returncode} {result.stderr}")
            check(1 <= result.stderr.count("\n") <= 2, result.stderr)
        result = efsctl(sidecar, "watch", "/nowhere/x")
        check(result.returncode == 64 and "/nowhere/x" in result.stderr, result.stderr)


def sidecar_ends(root):
    """watch ends with 69 when the sidecar does, and says where to go on"""
    with start(root) as sidecar, Watch(sidecar) as stream:
        stream.wait('"ready"')
        sidecar.stop()
        check(stream.process.wait(10) == 69, stream.text())
        stream.wait("efsctl: ", "--since=")


if __name__ == "__main__":
    run(status, health, config, watch, refusals, sidecar_ends)
