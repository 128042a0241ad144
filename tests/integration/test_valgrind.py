#!/usr/bin/env python3
"""Memory and descriptors of gate and sidecar from start to stop, as valgrind sees them; efs-watch is followed."""
import glob
import os
import re
import subprocess
import sys

from cachelib import App, CacheSidecar, put
from claimlib import Claimer, fill
from locklib import Hold, wait_locks
from sidecarlib import Changes
from watchlib import BUILD, check, run, wait_for

SLOW_S = 120  # a program runs twenty times slower here
OPTIONS = ("--trace-children=yes", "--fair-sched=yes", "--track-fds=yes", "--leak-check=full", "--errors-for-leak-kinds=definite",
           "--show-leak-kinds=definite", "--num-callers=24")

# Of the 60 s in which a lock that was given back is likely to be wanted again.
KEPT_OPEN = "lock_file_open"


def valgrind(root):
    return ("valgrind", *OPTIONS, f"--log-file={root.decode()}/valgrind.%p")


def clean(root, programs):
    """No process has an error, and of those that were executed, at least so many, none has left a descriptor open."""
    logs, executed = {}, 0
    for path in glob.glob(root.decode() + "/valgrind.*"):
        with open(path, encoding="utf-8", errors="replace") as file:
            logs[path.rpartition(".")[2]] = "".join(re.sub("^==[0-9]+== ?", "", line) for line in file if line.startswith("=="))
    for text in logs.values():
        check("ERROR SUMMARY: 0 errors" in text or "ERROR SUMMARY" not in text, text)  # none: it was killed
        command, parent = (re.search(pattern, text)[1] for pattern in ("Command: (.*)", "Parent PID: (.*)"))
        if f"Command: {command}\n" in logs.get(parent, ""):
            continue  # forked, with the descriptors of its parent
        executed += 1
        left = [p for p in re.findall(r"(?ms)^Open .*?\n\s*\n", text) if "<inherited from parent>" not in p and KEPT_OPEN not in p]
        check("ERROR SUMMARY" in text and not left, f"{command}: " + "".join(left))
    check(executed == programs, f"{executed} programs were watched, not {programs}")


def gate(root):
    """efs-init passes a directory, and refuses one that is not there"""
    os.mkdir(root + b"/data")
    for path, code in ("data", 0), ("missing", 10):
        done = subprocess.run([*valgrind(root), os.path.join(BUILD, "efs-init"), "--allow-local", "--security-seccomp=false", "--deadline=60s",
                               f"--run-dir={root.decode()}/run", f"{root.decode()}/{path}"], capture_output=True, text=True,
                              timeout=SLOW_S, check=False)
        check(done.returncode == code, f"{path}: {done.returncode}, not {code}: {done.stderr}")
    clean(root, 2)


def sidecar(root):
    """efs-sidecar and its efs-watch: status, metrics, changes, a lock, a publish, a claim, a cache hit, an end by SIGTERM"""
    with CacheSidecar(root, "--task-name=web-1", "--security-seccomp=false", rules="i/**=immutable",
                      wrapper=valgrind(root)) as s:
        wait_locks(s)
        s.wait_watching()
        s.wait_cache()
        check(s.get("/metrics")[0] == 200 and s.get("/v1/config")[0] == 200 and s.get("/nothing")[0] == 404, "answers")
        with Changes(s, timeout=SLOW_S) as changes:
            put(s.at("d/f"), 1)
            changes.until(lambda line: line.get("path") == "d/f", SLOW_S)
        hold = Hold(s, "deploy", SLOW_S)
        hold.until("granted")
        hold.release()
        hold.close()
        put(s.at("tasks/web-1/a"), 1)
        answer = s.request("POST", "/v1/publish", '{"from":"tasks/web-1/a","to":"a"}', timeout=SLOW_S)
        check(answer[0] == 200, answer)
        fill(s, "queue", ["job"])
        claimer = Claimer(s, "queue", SLOW_S)
        claimer.claimed()
        check(claimer.finish()[0] == 200, "the claim is not finished")
        claimer.close()
        put(s.at("i/f"), 1)
        with App(s.cache_dir) as app:
            app.warm({s.at("i/f"): 1}, seconds=SLOW_S)
        check(s.stop(SLOW_S) == 0, s.log())
    clean(root, 2)


if "SANITIZED" in os.environ:
    print("programs with sanitizers do not run in valgrind")
    sys.exit(77)
run(gate, sidecar)
