#!/usr/bin/env python3
"""What others put into the state directory and the tasks' directories in place of what belongs there: links to a secret outside, FIFOs that
nobody has open, directories, garbage. The sidecar starts, answers and says what it lacks; nothing outside is read, written or made, and no
call waits for the FIFO."""
import json
import os
import shutil
import stat
import sys
import time

from sidecarlib import Changes, Connection, Sidecar
from test_races import Outside, write
from watchlib import Scratch, check, wait_for

STATE = ".efs-sidecar"
OPTIONS = ("--task-name=one", "--canary-interval=1s", "--scan-interval=1s", "--feed-poll=100ms", "--mount-stall-after=2s")
DONE_S = 10  # far beyond what any answer takes, and less than what a call that hangs does


def is_settled(s):
    return s.condition("LocksReady")["status"] != "Unknown" and s.condition("FeedReady")["status"] != "Unknown"


def ask(s, method, target, body=None):
    """The status; for a stream, its first line."""
    connection = Connection(s.socket, DONE_S)
    try:
        connection.request(method, target, json.dumps(body) if body else None)
        response = connection.getresponse()
        return response.status, response.readline().decode()
    finally:
        connection.close()


def use(s):
    """Whatever uses what is there. The answers."""
    write(os.path.join(s.mounts[0], "in/file"))
    answers = [ask(s, "POST", "/v1/locks/name?wait_ms=1"), ask(s, "GET", "/v1/locks/name"), ask(s, "GET", "/v1/tasks"),
               ask(s, "POST", "/v1/publish", {"from": "in/file", "to": "out"}), ask(s, "POST", "/v1/claims?dir=in&wait_ms=1")]
    write(os.path.join(s.mounts[0], "in/later"))
    return answers


def parts_of(share):
    """Every entry that the sidecar makes, from the top."""
    found = []
    for top, dirs, files in os.walk(share):
        found += [os.path.relpath(os.path.join(top, name), share) for name in dirs + files]
    return sorted(found)


def make_template(root):
    """A share as a sidecar leaves it."""
    with Sidecar(root, *OPTIONS) as s:
        share = s.mounts[0]
        wait_for(lambda: s.condition("LocksReady")["status"] == "True", lambda: s.condition("LocksReady"))
        wait_for(lambda: all(os.path.exists(os.path.join(share, STATE, name)) for name in ("canary/one", "scanner", "members")), "it made all")
        with Changes(s) as stream:
            stream.next()
            use(s)
    parts = [p for p in parts_of(share) if p.startswith((STATE, "tasks")) and p not in ("tasks", "tasks/one")]
    check(len(parts) > 15, f"{parts}")
    shutil.copytree(share, share + ".template")
    return share, parts


def restore(share):
    """The content alone: another inode of its root would make it another one's state."""
    for name in os.listdir(share):
        remove(os.path.join(share, name))
    shutil.copytree(share + ".template", share, dirs_exist_ok=True)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def plant_link(path, outside):
    is_dir = os.path.isdir(path)
    remove(path)
    os.symlink(outside.paths[1] if is_dir else outside.secret, path)


def plant_fifo(path, outside):
    remove(path)
    os.mkfifo(path)


def plant_other(path, outside):
    """A directory in place of a file, a file in place of a directory."""
    is_dir = os.path.isdir(path)
    remove(path)
    if is_dir:
        write(path, "no directory")
    else:
        os.makedirs(os.path.join(path, "in it"))


def plant_garbage(path, outside):
    """Files stay files: others have written into them, and more than belongs there."""
    if stat.S_ISREG(os.lstat(path).st_mode):
        with open(path, "wb") as f:
            f.write(b"{\"\x00\x1b[2J\xff" + os.urandom(100) + b"9" * 300000)


def one_start(root, outside, what):
    with Sidecar(root, *OPTIONS) as s:
        wait_for(lambda: is_settled(s), lambda: f"{what}: undecided: {s.status()['conditions']}", 20)
        began = time.monotonic()
        answers = use(s)
        for name in ("/healthz", "/v1/status", "/metrics"):
            check(s.get(name)[0] == 200, f"{what}: {name}")
        took = time.monotonic() - began
        check(took < DONE_S, f"{what}: {took:.1f} s for answers")
        check(all(m["stalled_ms"] == 0 for m in s.status()["mounts"]), f"{what}: a call hangs: {s.status()['mounts']}")
        outside.check(what)
        outside.check_text(what, json.dumps(answers) + json.dumps(s.status()) + s.log())
        condition = s.condition("LocksReady")
        check(condition["status"] == "True" or condition["message"], f"{what}: no words: {condition}")
        return condition["status"]


def main():
    counts = {}
    with Scratch() as root:
        share, parts = make_template(root)
        outside = Outside(root.decode())
        rounds = [(plant, [part]) for plant in (plant_link, plant_fifo, plant_other) for part in [STATE, *parts] if part.count("/") < 2]
        rounds += [(plant, [p for p in parts if not os.path.isdir(os.path.join(share + ".template", p)) and p.count("/") >= 2])
                   for plant in (plant_link, plant_fifo, plant_other, plant_garbage)]
        rounds.append((plant_garbage, parts))
        for plant, where in dict.fromkeys((plant, tuple(where)) for plant, where in rounds):
            restore(share)
            for part in where:
                plant(os.path.join(share, part), outside)
            state = one_start(root, outside, f"{plant.__name__[6:]} at {', '.join(where)}")
            counts[state] = counts.get(state, 0) + 1
            outside.check_copies(share)
        print(f"{sum(counts.values())} starts; LocksReady: {counts}")


if __name__ == "__main__":
    sys.exit(main())
