#!/usr/bin/env python3
"""Names that others chose, with escapes, newlines, C1 and bytes that are not UTF-8: what efsctl prints cannot drive a terminal, JSON is JSON."""
import json
import os
import re
import subprocess

from cachelib import CacheSidecar, put
from feedlib import State
from locklib import EFSCTL, Hold
from test_efsctl_state import write_version
from watchlib import check, run, wait_for

ESCAPES = b"a\x1b[2J\x1b]0;x\x07b\nc\rd\x7f\xc2\x9b31m"  # CSI and OSC, line ends, DEL, C1 as a character
RAW = ESCAPES + b"\x9b31m\xff\xe2\x82"  # C1 as a byte, and what is not UTF-8
ALLOWED = re.compile(rb"[^\x00-\x09\x0b-\x1f\x7f]*")


def harmless(what, data):
    check(ALLOWED.fullmatch(data), f"{what}: a control byte in {data}")
    text = data.decode()  # or it fails
    check(not any(0x80 <= ord(c) <= 0x9f for c in text), f"{what}: C1 in {data}")
    check("\nc\r" not in text and "b\nc" not in text, f"{what}: a name's line end in {data}")
    return text


def efsctl(s, *argv, shows=True, timeout=30):
    done = subprocess.run([EFSCTL, f"--run-dir={s.run_dir}", *argv], capture_output=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
    text = harmless(argv, done.stdout) + harmless(argv, done.stderr)
    check(not shows or "\\x1b[2J" in text, f"{argv}: the name is not shown: {done}")
    return done


def as_json(s, *argv):
    done = subprocess.run([EFSCTL, f"--run-dir={s.run_dir}", *argv, *(["--json"] if argv != ("support",) else [])], capture_output=True, timeout=30, check=False)
    return json.loads(done.stdout)


def everything(root):
    """status, locks, tasks, cache, watch, claim, publish, once, top, log, metrics, in a sidecar full of them"""
    name = ESCAPES.decode()
    with CacheSidecar(root, "--task-name=web-1", "--log-level=debug", rules="**=immutable") as s:
        s.wait_cache()
        wait_for(lambda: s.condition("LocksReady")["status"] == "True", lambda: s.condition("LocksReady"))
        tasks = os.path.join(os.fsencode(s.share), b"tasks")
        for other in (ESCAPES, RAW):
            os.mkdir(os.path.join(tasks, other))
        hold = Hold(s, "one", purpose=name)
        hold.until("granted")
        efsctl(s, "locks", shows=False)
        efsctl(s, "locks", "one", shows=False)
        efsctl(s, "lock", "--wait=0s", name, "--", "true", shows=False)  # no name of a lock
        as_json(s, "locks")
        hold.release()
        wait_for(lambda: "\\x1b[2J" in efsctl(s, "tasks", shows=False).stdout.decode(), "the tasks' directories are not listed", 60)
        as_json(s, "tasks")
        put(s.at(name), 1)
        efsctl(s, "cache", "warm", s.at(name), shows=False)
        efsctl(s, "cache", shows=False)
        efsctl(s, "cache", "evict", s.at("none" + name), shows=False)
        watch = subprocess.Popen([EFSCTL, f"--run-dir={s.run_dir}", "watch", "--text"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            wait_for(lambda: s.get("/v1/metrics")[0] == 200, "metrics")
            seen = b""
            os.set_blocking(watch.stdout.fileno(), False)

            def is_seen():
                nonlocal seen
                with open(os.path.join(tasks, b"web-1", RAW), "a", encoding="ascii") as file:
                    file.write("x")
                seen += watch.stdout.read() or b""
                return b"\\x1b[2J" in seen

            wait_for(is_seen, lambda: f"watch shows {seen}", 60)
        finally:
            watch.kill()
            _, errors = watch.communicate()
        check("\\x1b[2J" in harmless("watch", seen), seen)
        harmless("watch", errors)
        efsctl(s, "publish", os.path.join(tasks, b"web-1", RAW), os.path.join(os.fsencode(s.share), b"no such" + ESCAPES, RAW))
        os.mkdir(s.at("in"))
        put(s.at("in/" + name), 1)
        efsctl(s, "claim", "--once", "--max-attempts=1", s.at("in"), "--", "false", "{}", shows=False)
        for command in (("status",), ("top", "--once"), ("metrics",), ("log",), ("health",), ("config",)):
            efsctl(s, *command, shows=False)
        efsctl(s, "nothing" + name)
        efsctl(s, "locks", "--" + name)
        as_json(s, "status")
        as_json(s, "support")


def state(root):
    """the state directory, as its members and VERSION say"""
    share = State(root)
    fd = share.join(3, 5)
    os.makedirs(os.path.join(root, b".efs-sidecar/members"), exist_ok=True)
    with open(os.path.join(root, b".efs-sidecar/members/3.json"), "w", encoding="utf-8") as file:
        json.dump({"task": ESCAPES.decode(), "epoch": 5}, file)
    write_version(root, file_system="fs-" + ESCAPES.decode())
    done = subprocess.run([EFSCTL, "state", "show", root], capture_output=True, timeout=30, check=False)
    harmless("state show", done.stdout)
    harmless("state show", done.stderr)
    done = subprocess.run([EFSCTL, "state", "show", root + RAW], capture_output=True, timeout=30, check=False)
    check("\\x1b[2J" in harmless("state show", done.stderr), done)
    done = subprocess.run([EFSCTL, "conformance", root + RAW], capture_output=True, timeout=30, check=False)
    check("\\x1b[2J" in harmless("conformance", done.stderr), done)
    done = subprocess.run([EFSCTL, "explain", RAW], capture_output=True, timeout=30, check=False)
    harmless("explain", done.stdout)
    harmless("explain", done.stderr)
    os.close(fd)


if __name__ == "__main__":
    run(everything, state)
