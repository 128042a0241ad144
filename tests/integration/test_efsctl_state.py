#!/usr/bin/env python3
"""efsctl state: what it shows of a state directory, and what it changes there."""
import json
import os
import subprocess
import time

from feedlib import LEFT, State, pack_slot
from watchlib import BUILD, check, run

EFSCTL = os.path.join(BUILD, "efsctl-static")


def state(*arguments, code=0):
    done = subprocess.run([EFSCTL if os.path.exists(EFSCTL) else os.path.join(BUILD, "efsctl"), "state", *arguments],
                          capture_output=True, timeout=60, check=False)
    check(done.returncode == code, f"{arguments}: exit code {done.returncode}: {done.stderr.decode()}")
    return (done.stdout if code == 0 else done.stderr).decode()


def write_version(root, **fields):
    version = {"format": 1, "generation": 7, "file_system": "", "root_inode": os.stat(root).st_ino, **fields}
    with open(os.path.join(root, b".efs-sidecar/VERSION"), "w", encoding="ascii") as file:
        json.dump(version, file)


def read_version(root):
    with open(os.path.join(root, b".efs-sidecar/VERSION"), encoding="ascii") as file:
        return json.load(file)


def show(root):
    """Live, dead and left members, with their tasks, as text and as JSON"""
    share = State(root)
    check("not made yet" in state("show", root) and "nobody" in state("show", root), "an empty one")
    write_version(root, file_system="fs-0123")
    fd = share.join(3, 5)
    os.close(share.join(4, 1))
    gone = share.lock(9)
    os.pwrite(gone, pack_slot(LEFT, 2, 17), 9 * 64)
    os.pwrite(gone, b"nonsense", 10 * 64)
    os.close(gone)
    os.mkdir(os.path.join(share.path, b"members"))
    with open(os.path.join(share.path, b"members/3.json"), "w", encoding="ascii") as file:
        json.dump({"task": "web-\u001b1"}, file)
    for where in (root, share.path):
        text = state("show", where)
        for line in ("fs-0123", "generation       7", "3  live", "4  dead", "9  left", "10  garbage", "web-\\x1b1"):
            check(line in text, f"{line!r} is not in {text}")
        check("\x1b" not in text, "a task's name drives the terminal")
    slots = {s["slot"]: s for s in json.loads(state("show", "--json", root))["slots"]}
    check(slots[3]["state"] == "live" and slots[3]["epoch"] == 5 and slots[9]["sequence"] == 17, f"{slots}")
    check(set(slots) == {3, 4, 9, 10} and slots[3]["task"] == "web-\u001b1", f"{slots}")
    os.close(fd)


def reset(root):
    """A new generation of this root, but not while members live unless it is forced"""
    share = State(root)
    write_version(root, root_inode=1, file_system="fs-old", generation=1 << 40)
    fd = share.join(3, 5)
    check("1 member" in state("reset", root, code=1), "live members")
    check(read_version(root)["root_inode"] == 1, "it was changed all the same")
    state("reset", "--force", "--file-system=fs-new", root)
    version = read_version(root)
    check(version == {"format": 1, "generation": (1 << 40) + 1, "file_system": "fs-new",
                      "root_inode": os.stat(root).st_ino}, f"{version}")
    os.close(fd)
    with open(os.path.join(share.path, b"VERSION"), "w", encoding="ascii") as file:
        file.write("{")
    check("damaged" in state("show", root) and "damaged" in state("upgrade", root, code=1), "damaged")
    os.mkdir(os.path.join(root, b"other"))
    state("reset", b"--root=" + os.path.join(root, b"other"), share.path)
    version = read_version(root)
    check(abs(version["generation"] - time.time()) < 60 and version["file_system"] == "", f"{version}")
    check(version["root_inode"] == os.stat(os.path.join(root, b"other")).st_ino, f"{version}")


def upgrade(root):
    """There is nothing newer than what there is"""
    State(root)
    write_version(root)
    check("already" in state("upgrade", root), "format 1")
    check(read_version(root)["generation"] == 7, "the generation is another one")
    write_version(root, format=2)
    check("already" in state("upgrade", root) and "2 (this efsctl reads 1 to 1)" in state("show", root), "format 2")


def misuse(root):
    """What is no state directory is told by name"""
    check("no state directory" in state("show", root, code=1), "not one")
    check("/nowhere" in state("show", "/nowhere", code=1), "nowhere")
    check("none of show" in state("delete", root, code=64), "no action")
    check("wants" in state("show", code=64), "no directory")


if __name__ == "__main__":
    run(show, reset, upgrade, misuse)
