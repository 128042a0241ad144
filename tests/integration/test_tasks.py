#!/usr/bin/env python3
"""Write directories of tasks that share a local directory: whose they are, what lies in them, and how they are shown."""
import json
import os
import subprocess
import time

from sidecarlib import Changes, Sidecar
from watchlib import BUILD, check, run, wait_for

OPTIONS = ["--feed-poll=100ms", "--feed-poll-idle=100ms", "--task-usage-interval=1s", "--metrics-interval=1s", "--metrics-sinks=none"]


def task(root, name, *options, share=None):
    """A sidecar whose directory is its own; share: the one of another."""
    place = os.path.join(root, name)
    os.makedirs(place, exist_ok=True)
    return Sidecar(place, f"--task-name={name}", *OPTIONS, *options, mounts=(share,) if share else ("share",))


def wait_made(s):
    wait_for(lambda: s.condition("TaskDirectoryReady")["status"] == "True", lambda: f"no write directory: {s.log()}")


def listed(s, query=""):
    status, body = s.get("/v1/tasks" + query)
    check(status == 200, f"{status} {body}")
    return {t["name"]: t for t in body["tasks"]}


def efsctl(s, *arguments):
    return subprocess.run([os.path.join(BUILD, "efsctl"), "--run-dir=" + s.run_dir, *arguments], capture_output=True, text=True, timeout=30)


def metric(s, name):
    lines = [line for line in s.get("/metrics")[1].splitlines() if line.startswith("efs_sidecar_" + name)]
    return lines[0].split()[-1] if lines else None


def told(root):
    """the directory that a sidecar makes is told to the others, its record is not; it is found again, and not told again"""
    root = root.decode()
    with task(root, "one") as one:
        share = one.mounts[0]
        wait_made(one)
        one.wait_watching()
        with Changes(one, timeout=60) as changes:
            with task(root, "two", share=share) as two:
                wait_made(two)
                first = changes.until(lambda c: c.get("path") not in (None, "", "tasks/one"))[-1]
                check(first["path"] == "tasks/two" and first["op"] == "create" and first["dir"], f"{first}")
                with open(os.path.join(share, "tasks/two/.owner"), encoding="utf-8") as f:
                    owner = json.load(f)
                check(owner["task"] == "two" and owner["fence_ms"] == 30000 and owner["epoch"] == 1, f"{owner}")
                two.process.kill()
                two.process.wait()
            wait_for(lambda: listed(one)["two"]["state"] == "orphaned", "it is an orphan")
            with task(root, "two", share=share) as two:
                wait_for(lambda: listed(one)["two"]["state"] == "alive", "it has its directory again")
                check(listed(one)["two"]["epoch"] == 2, f"{listed(one)}")
                two.wait_watching()
                with open(os.path.join(share, "tasks/two/last"), "w", encoding="utf-8"):
                    pass
                # both see it on one host, and what comes within a batch is one change: once of each at most, in the first life
                told_of = [c for c in [first] + changes.until(lambda c: c.get("path") == "tasks/two/last")[:-1] if c.get("op") not in (None, "resync")]
                check(all(c["path"] == "tasks/two" for c in told_of), f"its record: {told_of}")
                check(sum(c["observer"] == "two" for c in told_of) <= 1 and len(told_of) <= 2, f"told again: {told_of}")


def measured(root):
    """files and bytes become metrics, fields of the list, and beyond the soft limit a condition that says what to do"""
    with task(root.decode(), "one", "--task-soft-limit=4096") as s:
        wait_made(s)
        where = os.path.join(s.mounts[0], "tasks/one")
        os.makedirs(os.path.join(where, "a/b"))
        for name, size in ("x", 1000), ("a/b/y", 24):
            with open(os.path.join(where, name), "wb") as f:
                f.write(bytes(size))
        wait_for(lambda: (listed(s)["one"]["bytes"], listed(s)["one"]["files"]) == (1024, 2), lambda: f"not measured: {listed(s)}")
        wait_for(lambda: metric(s, "task_directory_bytes") == "1024" and metric(s, "task_directory_files") == "2", "the metrics say it")
        with open(os.path.join(where, "big"), "wb") as f:
            f.write(bytes(5000))
        wait_for(lambda: s.condition("TaskDirectoryReady")["reason"] == "OverSoftLimit", "it is over the limit")
        message = s.condition("TaskDirectoryReady")["message"]
        check(where in message and "5.9 KiB" in message and "3 files" in message and "task.soft_limit" in message, message)
        os.unlink(os.path.join(where, "big"))
        wait_for(lambda: s.condition("TaskDirectoryReady")["status"] == "True", "it is below the limit again")


def left_behind(root):
    """what a client that died left in .stage is removed while the task lives; what is written to stays, links are not followed, 0 is never"""
    root = root.decode()
    keep_s = 3
    with task(root, "one", f"--task-stage-retention={keep_s}s") as s, \
            task(root, "two", "--task-stage-retention=0", share=s.mounts[0]) as other:
        stages = []
        for sidecar in s, other:
            wait_made(sidecar)
            stages.append(os.path.join(s.mounts[0], "tasks", os.path.basename(sidecar.root), ".stage"))
            os.makedirs(stages[-1])
            with open(stages[-1] + "/left", "wb") as f:
                f.write(b"x" * 5000)
        stage = stages[0]
        os.symlink(s.root, stage + "/link")
        gap, written = 0, time.monotonic()
        with open(stage + "/growing", "wb", buffering=0) as growing:
            def is_gone():
                nonlocal gap, written
                growing.write(b"x")
                gap, written = max(gap, time.monotonic() - written), time.monotonic()
                return not os.path.lexists(stage + "/left") and not os.path.lexists(stage + "/link")
            wait_for(is_gone, lambda: f"what was left is there still: {os.listdir(stage)}", 60)
        check(os.path.exists(stage + "/growing") or gap > keep_s / 2, "a file that was written to is gone")
        check(os.path.isdir(s.root) and os.path.exists(stages[1] + "/left"), "more is gone")
        lines = [line for line in s.log().splitlines() if "task.stage_retention" in line]
        check("unchanged for 3" in lines[0] and stage in lines[0] and "task.stage_retention" not in other.log(), f"{lines}")


def shown(root):
    """efsctl tasks: alive, orphaned, unknown; strange names and planted links are harmless"""
    root = root.decode()
    with task(root, "one") as s:
        wait_made(s)
        tasks = os.path.join(s.mounts[0], "tasks").encode()
        with task(root, "two", share=s.mounts[0]) as two:
            wait_made(two)
            two.stop()
        for name in b"new\nline", b"\xff\xfe", b"x" * 255, b".hidden":
            os.mkdir(os.path.join(tasks, name))
        os.symlink("/etc", os.path.join(tasks, b"planted"))
        os.mkdir(os.path.join(tasks, b"fifo"))
        os.mkfifo(os.path.join(tasks, b"fifo/.owner"))
        states = {name: t["state"] for name, t in listed(s).items()}
        check(states == {"one": "alive", "two": "orphaned", "new\nline": "unknown", "??": "unknown", "x" * 255: "unknown",
                         "fifo": "unknown"}, f"{states}")
        text = efsctl(s, "tasks")
        check(text.returncode == 0 and "(this task)" in text.stdout and "new\\x0aline" in text.stdout, f"{text}")
        check("orphans: keep; directories in " + s.mounts[0] + "/tasks" in text.stdout, text.stdout)
        check(json.loads(efsctl(s, "tasks", "--json").stdout)["policy"] == "keep", "--json")
        wrong = efsctl(s, "tasks", "--mount=/nowhere")
        check(wrong.returncode == 1 and "/nowhere" in wrong.stderr, f"{wrong}")
        check(s.get("/v1/tasks?what=1")[0] == 400 and s.request("POST", "/v1/tasks")[0] == 405, "refusals")


def refused(root):
    """settings that cannot be meant are refused with their names"""
    for option, word in (("--orphans-policy=burn", '"burn"'), ("--orphans-policy=/other=delete", "/other"),
                         ("--orphans-policy=archive", "orphans.archive"), ("--task-name=.hidden", "begin with '.'")):
        with open(os.path.join(root, b"errors"), "w+", encoding="utf-8") as err:
            s = Sidecar(root, option, stderr=err)
            check(s.process.wait(30) == 64, option)
            err.seek(0)
            text = err.read()
        check("error: " in text and word in text, f"{option}: {text}")


run(told, measured, left_behind, shown, refused)
