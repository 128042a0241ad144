#!/usr/bin/env python3
"""A run directory that is removed, taken, full, without inodes or read-only; sidecars that meet in it."""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from locklib import Hold, efsctl, sidecar, wait_locks
from watchlib import check, run, wait_for

KEPT_S = 60  # far more than it takes to put something back


def answers(s):
    try:
        return s.get("/healthz")[0] == 200
    except OSError:
        return False


def wait_back(s):
    wait_for(lambda: answers(s), lambda: f"nobody answers: {s.log()}", KEPT_S)


def links(s):
    """Where the links in the run directory lead to; None: there is none."""
    name = s.mounts[0][1:].replace("/", "-")
    paths = [f"{s.run_dir}/{p}" for p in ("task", f"mounts/{name}/task", f"mounts/{name}/root")]
    return [os.readlink(p) if os.path.islink(p) else None for p in paths]


def wait_links(s):
    task = f"{s.mounts[0]}/tasks/web-1"
    wait_for(lambda: links(s) == [task, task, s.mounts[0]], lambda: f"links {links(s)}: {s.log()}", KEPT_S)


def removed(root):
    """socket, run directory, links removed under it: put back, told once; streams that are open go on; it is still alone"""
    with sidecar(root) as s:
        wait_locks(s)
        wait_links(s)
        hold = Hold(s, "one")
        hold.until("granted")
        os.unlink(s.socket)
        check("there is no socket" in efsctl(s, "health").stdout, "efsctl health does not tell a missing socket")
        wait_back(s)
        shutil.rmtree(s.run_dir)
        wait_back(s)
        wait_links(s)
        hold.until("valid")
        check(hold.release()[0] == 200, "the lock was lost")
        check(s.log().count("something removed what efs-sidecar had") == 2, s.log())
        second = sidecar(root)
        check(second.process.wait(20) == 1, "a second one was let in")
        check(f"another efs-sidecar (pid {s.process.pid}) is running" in second.log(), second.log())
        check(s.get("/healthz")[1]["pid"] == s.process.pid, "the first one was disturbed")
        check(efsctl(s, "health").returncode == 0, "not healthy")
        check(s.stop() == 0 and not os.path.exists(s.socket), "the socket is left")


def the_gates_report(root):
    """ready.json as the gate wrote it last is put back with the rest; what was not there is not made"""
    ready = os.path.join(root.decode(), "run/ready.json")
    with sidecar(root) as s:
        shutil.rmtree(s.run_dir)
        wait_back(s)
        check(not os.path.exists(ready), "there was none")
        for text in '{"ok":true}', '{"ok":true,"exit_code":0}':
            with open(ready + ".new", "w", encoding="ascii") as file:
                file.write(text)
            os.rename(ready + ".new", ready)
            time.sleep(5)  # it looks every two seconds
            shutil.rmtree(s.run_dir)
            wait_for(lambda: os.path.exists(ready), s.log, KEPT_S)
            with open(ready, encoding="ascii") as file:
                check(file.read() == text, "it is another one")
            check(os.stat(ready).st_mode & 0o777 == 0o644, "its mode")
        check("something removed what efs-sidecar had" in s.log() and s.stop() == 0, s.log())


def replaced(root):
    """the run directory was removed and another sidecar was faster: the first one ends with 1, and the other serves"""
    with sidecar(root) as first:
        wait_locks(first)
        first.process.send_signal(signal.SIGSTOP)
        shutil.rmtree(first.run_dir)
        with sidecar(root, stderr=subprocess.DEVNULL) as second:
            first.process.send_signal(signal.SIGCONT)
            check(first.process.wait(40) == 1, f"code {first.process.returncode}")
            check(second.get("/healthz")[1]["pid"] == second.process.pid, "the other one does not serve")
            check(f"another efs-sidecar (pid {second.process.pid}) is running" in first.log(), first.log())
            wait_locks(second)
            check(second.stop() == 0, "the other one")


def path_taken(root):
    """what is no dead socket at the socket's path is left alone and named: at the start the end, later a log line until it is gone"""
    os.makedirs(root + b"/run")
    path = root.decode() + "/run/api.sock"

    def refuses(words):
        s = sidecar(root)
        check(s.process.wait(20) == 1 and words in s.log(), f"code {s.process.returncode}: {s.log()}")

    os.mkdir(path)
    refuses("exists and is not a socket; remove it or choose another path")
    os.rmdir(path)
    os.symlink("/nowhere", path)
    refuses("exists and is not a socket")
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        refuses("is in use by another process")
        check(other.accept()[0], "it was not asked")  # and it is still there
    with sidecar(root) as s:  # that one is dead now
        os.unlink(path)
        with open(path, "w", encoding="ascii") as file:
            file.write("mine")
        wait_for(lambda: "cannot be put back" in s.log(), s.log, KEPT_S)
        with open(path, encoding="ascii") as file:
            check(file.read() == "mine", "somebody's file was overwritten")
        os.unlink(path)
        wait_back(s)
        check(s.log().count("cannot be put back") == 1, s.log())


def race(root):
    """of several that are started at once in one run directory one serves, and the others say which"""
    started = [sidecar(root, stderr=subprocess.PIPE) for _ in range(6)]
    try:
        wait_for(lambda: sum(s.process.poll() is None for s in started) == 1 and answers(started[0]), "not one is left", 30)
        winner = next(s for s in started if s.process.poll() is None)
        check(winner.get("/healthz")[1]["pid"] == winner.process.pid, "another one answers")
        for s in started:
            if s is not winner:
                words = s.process.stderr.read().decode()
                check(s.process.returncode == 1 and "another efs-sidecar (pid" in words, words)
    finally:
        for s in started:
            s.__exit__()


@contextlib.contextmanager
def volume(root, options):
    path = root.decode() + "/run"
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True, timeout=10)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True, timeout=10)


def fill_inodes(path):
    n = 0
    try:
        while True:
            os.mkdir(f"{path}/x{n}")
            n += 1
    except OSError:
        return n


def fill_bytes(path):
    with open(f"{path}/full", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def full(root):
    """the run volume is full: it starts and works all the same"""
    with volume(root, "size=64k") as path:
        fill_bytes(path)
        with sidecar(root) as s:
            wait_locks(s)
            wait_links(s)
            hold = Hold(s, "one")
            hold.until("granted")
            check(hold.release()[0] == 200, "release")
            check(efsctl(s, "health").returncode == 0, "health")
            wait_for(lambda: s.condition("TaskDirectoryReady")["status"] == "True", lambda: s.condition("TaskDirectoryReady"), 30)
            second = sidecar(root, stderr=subprocess.PIPE)
            check(second.process.wait(20) == 1 and b"another efs-sidecar (pid" in second.process.stderr.read(), "a second one")
            check(s.stop() == 0, s.log())


def no_inodes(root):
    """no inodes: none for lock or socket ends it with words; none for links is a condition, and locks work; made once there is room"""
    with volume(root, "nr_inodes=32") as path:
        n = fill_inodes(path)
        s = sidecar(root)
        check(s.process.wait(20) == 1, "it started")
        check("run_dir: nothing can be made in" in s.log() and "No space left on device" in s.log(), s.log())
        os.rmdir(f"{path}/x{n - 1}")  # for the lock
        s = sidecar(root)
        check(s.process.wait(20) == 1, "it started")
        check("api.sock" in s.log() and "No space left on device" in s.log(), s.log())
        for i in range(n - 5, n - 1):  # for the socket, the link to the mount and its two directories
            os.rmdir(f"{path}/x{i}")
        with sidecar(root) as s:
            wait_locks(s)
            hold = Hold(s, "one")
            hold.until("granted")
            hold.release()
            wait_for(lambda: s.condition("TaskDirectoryReady")["status"] == "False", lambda: s.condition("TaskDirectoryReady"), 30)
            found = s.condition("TaskDirectoryReady")
            check(found["reason"] == "NoLink" and "No space left on device" in found["message"] and "tasks/web-1" in found["message"], found)
            os.unlink(s.socket)  # its inode is freed by the close only
            wait_for(lambda: "cannot be put back" in s.log() and "No space left on device" in s.log(), s.log, KEPT_S)
            for i in range(n - 5):
                os.rmdir(f"{path}/x{i}")
            wait_back(s)
            wait_links(s)
            wait_for(lambda: s.condition("TaskDirectoryReady")["status"] == "True", lambda: s.condition("TaskDirectoryReady"), KEPT_S)
            check(s.stop() == 0, s.log())


def read_only(root):
    """a read-only run volume is named at the start, also where all is there from before"""
    with volume(root, "size=1m") as path:
        with sidecar(root) as s:
            wait_locks(s)
            wait_links(s)
            check(s.stop() == 0, s.log())
        subprocess.run(["mount", "-o", "remount,ro", path], check=True, timeout=10)
        s = sidecar(root)
        check(s.process.wait(20) == 1 and "Read-only file system" in s.log() and "run_dir" in s.log(), s.log())


if __name__ == "__main__":
    if "IN_A_NAMESPACE" not in os.environ:  # of mounts, for the volumes
        os.environ["IN_A_NAMESPACE"] = "1"
        flags = "-m" if os.geteuid() == 0 else "-rm"
        os.execvp("unshare", ["unshare", flags, sys.executable, *sys.argv])
    run(removed, the_gates_report, replaced, path_taken, race, full, no_inodes, read_only)
