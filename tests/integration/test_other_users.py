#!/usr/bin/env python3
"""Run and cache directory that every user of the task may write to: what the sidecar made there stays, what others made is told."""
import os
import shutil
import socket
import stat
import subprocess
import sys

from cachelib import CacheSidecar, put
from locklib import efsctl
from shimlib import Cache
from sidecarlib import Sidecar
from watchlib import check, run, wait_for

SIDECAR, APP = 1000, 2000
AS_SIDECAR = ("setpriv", f"--reuid={SIDECAR}", f"--regid={SIDECAR}", "--clear-groups")
AS_APP = ("setpriv", f"--reuid={APP}", f"--regid={APP}", "--clear-groups")
REFUSED_S = 30

# Tries to take away and to replace what is at each path; prints those where it could.
ATTACK = """
import os, sys
for path in sys.argv[1:]:
    for what in (lambda: os.rename(path, path + ".moved"), lambda: os.unlink(path), lambda: os.rmdir(path), lambda: os.chmod(path, 0o777),
                 lambda: os.symlink("/etc", path + ".x") or os.rename(path + ".x", path)):
        try:
            what()
            print(path)
        except OSError:
            pass
    try:
        os.unlink(path + ".x")
    except OSError:
        pass
"""


def volume(root, name, mode, owner=0):
    """As a task's: made with the owner and mode that the image has."""
    path = os.path.join(root.decode(), name)
    os.mkdir(path)
    os.chown(path, owner, owner)
    os.chmod(path, mode)
    return path


def task(root, run=0o1777, cache=0o1777, owner=0):
    os.chmod(root, 0o755)
    os.chmod(volume(root, "share", 0o755, SIDECAR), 0o755)
    return volume(root, "run", run, owner), volume(root, "cache", cache)


def sidecar(root):
    return CacheSidecar(root, "--api-mode=0666", "--task-name=web-1", rules="**=immutable", wrapper=AS_SIDECAR)


def started(root):
    return Sidecar(root, wrapper=AS_SIDECAR)


def as_app(*argv, **more):
    return subprocess.run([*AS_APP, *argv], capture_output=True, text=True, timeout=60, check=False, **more)


def attack(*tops):
    paths = [os.path.join(top, name) for top in tops for name in os.listdir(top)]
    check(len(paths) >= 3 * len(tops), f"only {paths}")
    before = {p: (os.lstat(p).st_ino, os.lstat(p).st_mode) for p in paths}
    done = as_app("/usr/bin/python3", "-c", ATTACK, *paths)
    check(done.returncode == 0 and not done.stdout, f"another user changed {done.stdout} {done.stderr}")
    check(before == {p: (os.lstat(p).st_ino, os.lstat(p).st_mode) for p in paths}, "something is different")


def keeps(root):
    """in sticky directories of root's another user can take and replace nothing; he reads status and, with the image's link, the task's directory"""
    run_dir, cache = task(root)
    os.symlink("mounts/.task", f"{run_dir}/task")  # as the image has it
    with sidecar(root) as s:
        s.wait_cache()
        wait_for(lambda: s.condition("TaskDirectoryReady")["status"] == "True", lambda: s.condition("TaskDirectoryReady"))
        check(s.status()["run_dir"] == {"path": run_dir, "protected": True}, s.status()["run_dir"])
        check(os.path.realpath(f"{run_dir}/task") == f"{s.share}/tasks/web-1", os.path.realpath(f"{run_dir}/task"))
        check(os.lstat(f"{run_dir}/task").st_uid == os.stat(run_dir).st_uid, "nobody else can follow the link where fs.protected_symlinks is 1")
        attack(run_dir, f"{run_dir}/mounts", cache, f"{cache}/.control", f"{cache}/.validate")
        check(efsctl(s, "health").returncode == 0 and "chmod" not in efsctl(s, "status").stdout, s.log())
        check(s.stop() == 0, s.log())
    with sidecar(root) as s:  # what an earlier one of the same user made is no obstacle
        s.wait_cache()
        check(s.stop() == 0, s.log())


def makes_sticky(root):
    """a directory of its own that lacks the bit gets it, and its links are followed as before"""
    run_dir, cache = task(root, 0o777, 0o777, SIDECAR)
    os.chown(cache, SIDECAR, SIDECAR)
    with sidecar(root) as s:
        s.wait_cache()
        wait_for(lambda: os.path.islink(f"{run_dir}/task"), s.log)
        check([stat.S_IMODE(os.stat(p).st_mode) for p in (run_dir, cache)] == [0o1777, 0o1777], "not sticky")
        check(os.lstat(f"{run_dir}/task").st_uid == SIDECAR and s.status()["run_dir"]["protected"], s.status()["run_dir"])
        attack(run_dir, cache)


def tells(root):
    """where the bit cannot be set: a warning, efsctl status, /v1/status; nothing is cached, and CacheReady says what to change"""
    run_dir, cache = task(root, 0o777, 0o777)
    with sidecar(root) as s:
        s.wait_cache("False")
        message = s.condition("CacheReady")["message"]
        check("every user of this task may replace what is in " + cache in message and "chmod 1777" in message, message)
        check(s.status()["run_dir"]["protected"] is False, s.status()["run_dir"])
        check(f"every user of this task may replace the socket and the links in {run_dir}" in s.log(), s.log())
        check(f"the links in {run_dir}: set its sticky bit" in efsctl(s, "status").stdout, efsctl(s, "status").stdout)
        os.chmod(cache, 0o1777)
        s.wait_cache()
        os.chmod(run_dir, 0o1777)
        check(s.status()["run_dir"]["protected"] is True, s.status()["run_dir"])


def refuses(root):
    """what another user made before it started, under each name that it uses, is told with his uid"""
    run_dir, cache = task(root)

    def ends(*words):
        s = started(root)
        check(s.process.wait(REFUSED_S) == 1, "it started")
        check(all(w in s.log() for w in words), s.log())

    lock = f"{run_dir}/sidecar.lock"
    for mode in (0o644, 0o666):
        check(as_app("/usr/bin/python3", "-c", f"import os; os.close(os.open('{lock}', os.O_CREAT)); os.chmod('{lock}', {mode})").returncode == 0, "")
        ends("run_dir: in " + run_dir, "sidecar.lock was made by uid 2000", "Remove it")
        os.unlink(lock)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{run_dir}/api.sock")
        other.listen()
        os.chown(f"{run_dir}/api.sock", APP, APP)
        os.chmod(f"{run_dir}/api.sock", 0o777)
        ends("api.sock", "is in use by another process", "uid 2000")
    ends("api.sock", "cannot be removed", "uid 2000")
    os.unlink(f"{run_dir}/api.sock")
    shutil.rmtree(f"{run_dir}/mounts", ignore_errors=True)  # of one that got so far
    for name in ("mounts", "task"):
        check(as_app(*(("ln", "-s", "/tmp") if name == "task" else ("mkdir",)), f"{run_dir}/{name}").returncode == 0, name)
    for name in (".control", ".validate"):
        check(as_app("mkdir", f"{cache}/{name}").returncode == 0, name)
    with sidecar(root) as s:
        def words(condition, *expected):
            wait_for(lambda: all(w in s.condition(condition)["message"] for w in expected), lambda: s.condition(condition))
            check(s.condition(condition)["status"] == "False", s.condition(condition))

        words("TaskDirectoryReady", f"in {run_dir}", "mounts was made by uid 2000")
        words("CacheReady", f"in {cache}", ".control was made by uid 2000")
        os.rmdir(f"{run_dir}/mounts")
        os.rmdir(f"{cache}/.control")
        words("TaskDirectoryReady", f"the link {run_dir}/task cannot be made", "another user has made what is there")
        words("CacheReady", ".validate was made by uid 2000")
        os.unlink(f"{run_dir}/task")
        os.rmdir(f"{cache}/.validate")
        check(as_app("mkdir", f"{cache}/{s.name}").returncode == 0, "tree")
        words("CacheReady", "another user has made")
        os.rmdir(f"{cache}/{s.name}")
        s.wait_cache()
        wait_for(lambda: s.condition("TaskDirectoryReady")["status"] == "True", lambda: s.condition("TaskDirectoryReady"))


def believes(root):
    """an application reads no copy where somebody else could have put it: a directory that is not sticky, a tree of another user's"""
    cache = Cache(root)
    put(f"{cache.share}/file", 1)
    cache.fill("immutable", "file")
    expected = open(f"{cache.share}/file", "rb").read().decode()

    def reads(hit):
        cache.reads(f"{cache.share}/file", expected, hit=hit)

    reads(True)
    os.chmod(cache.dir, 0o1777)
    reads(True)
    os.chmod(cache.dir, 0o777)
    reads(False)
    os.chmod(cache.dir, 0o755)
    for name in ("data", ".validate", ".control", ".validate/data"):
        path = os.path.join(cache.dir, name)
        os.chown(path, APP, APP)
        reads(False)
        os.chown(path, 0, 0)
        os.chmod(path, 0o775)
        reads(False)
        os.chmod(path, 0o755)
        reads(True)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("ok # skip: only root has two users to try with")
        sys.exit(0)
    run(keeps, makes_sticky, tells, refuses, believes)
