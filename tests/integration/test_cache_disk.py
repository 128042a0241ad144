#!/usr/bin/env python3
"""The cache on a disk that hangs or fails: the sidecar goes on, says so, and every open is right."""
import contextlib
import os
import subprocess
import sys
import threading

from cachelib import App, CacheSidecar, put
from watchlib import check, run, wait_for

AS_ROOT = os.path.join(os.path.dirname(__file__), "..", "as-root")
MIB = 1024 * 1024
FILES = 10


def system(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@contextlib.contextmanager
def disk(root):
    """A file system of its own on a block device, and the device's name."""
    top = root.decode()
    with open(top + "/image", "wb") as file:
        file.truncate(64 * MIB)
    system("mkfs.ext4", "-q", top + "/image")
    os.mkdir(top + "/disk")
    system("mount", "-o", "loop,errors=remount-ro", top + "/image", top + "/disk")
    try:
        yield top + "/disk", os.path.basename(system("findmnt", "-no", "SOURCE", top + "/disk"))
    finally:
        system("umount", "--lazy", top + "/disk")


@contextlib.contextmanager
def warmed(root, where):
    """A sidecar with its cache there, an application, and files that are hits."""
    with CacheSidecar(root, "--mount-stall-after=2s", cache_dir=where + "/cache") as s, App(s.cache_dir) as app:
        versions = {s.at(f"f{i}"): 1 for i in range(FILES)}
        for path in versions:
            put(path, 1)
        s.wait_cache()
        app.warm(versions)
        yield s, app, versions


def says(sidecar, reason):
    wait_for(lambda: sidecar.condition("CacheReady")["reason"] == reason, lambda: f"{sidecar.condition('CacheReady')}")
    check(sidecar.get("/healthz")[1]["status"] == "ok" and sidecar.get("/healthz")[1]["loop_lag_ms"] < 1500, sidecar.get("/healthz"))


def hangs(root):
    """a disk that hangs: the sidecar answers and says so; what waits for the disk gets the right file when it is back, all others without"""
    with disk(root) as (where, _), warmed(root, where) as (s, app, versions):
        answers = []
        system("fsfreeze", "--freeze", where)
        try:
            reader = threading.Thread(target=lambda: answers.extend(app.read(list(versions))))
            reader.start()
            for path in versions:
                put(path, 2)
            says(s, "DiskHangs")
            check(s.get("/v1/cache")[0] == 200 and s.condition("MountReady")["status"] == "True", "what needs no disk answers")
            with App(s.cache_dir, preload="") as other:
                check(other.check(dict.fromkeys(versions, 2)) == 0, "copies without the library")
        finally:
            system("fsfreeze", "--unfreeze", where)
        reader.join(60)
        check([length for _, length, _ in answers] == [512] * FILES and all(found in ([1], [2]) for *_, found in answers), f"{answers}")
        s.wait_cache()
        app.warm(dict.fromkeys(versions, 2))
        check(s.stop() == 0, "it did not end well")


def fails(root):
    """a disk whose file system became read-only: nothing old is read, the condition says why nothing is copied"""
    with disk(root) as (where, device), warmed(root, where) as (s, app, versions):
        with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w", encoding="utf-8") as file:
            file.write("1")
        app.check(versions)
        for version in 2, 3:
            versions = dict.fromkeys(versions, version)
            for path in versions:
                put(path, version)
            for _ in range(10):
                check(app.check(versions) == 0, "copies on a disk that cannot be written")
        wait_for(lambda: app.check(versions) == 0 and s.condition("CacheReady")["reason"] == "DiskReadOnly", lambda: f"{s.condition('CacheReady')}")
        says(s, "DiskReadOnly")
        check(s.process.poll() is None, s.log())


if __name__ == "__main__":
    if os.geteuid() != 0:
        os.execv(AS_ROOT, [AS_ROOT, sys.executable, *sys.argv])
    if os.environ.get("CACHE_TEST_MOUNTS") != str(os.getpid()):
        os.environ["CACHE_TEST_MOUNTS"] = str(os.getpid())  # exec keeps the pid
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    run(hangs, fails)
