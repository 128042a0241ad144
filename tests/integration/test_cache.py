#!/usr/bin/env python3
"""The cache of real sidecars, read through libefscache.so: right bytes, within its room, whatever is killed or full."""
import contextlib
import datetime
import errno
import glob
import json
import os
import signal
import subprocess
import sys
import threading
import time

from cachelib import BLOCK, HOOKS, SHIM, App, CacheSidecar, put
from locklib import efsctl
from watchlib import check, keeps_attributes, run, wait_for

STEPS = 9
KILLS = int(os.environ.get("CACHE_KILLS", "1"))  # at each step
OLD_FILES = int(os.environ.get("CACHE_OLD", "50000"))
MIB = 1024 * 1024


def modes(root):
    """each mode is served after two misses; a rewrite is seen at once, by name or in place; counts and cost are told"""
    with CacheSidecar(root, rules="i/**=immutable,b/**=bounded:30s,off/**=off") as s, App(s.cache_dir) as app:
        versions = {s.at(f"{d}/f{i}"): 1 for d in ("i", "b", "v", "off") for i in range(10)}
        for path in versions:
            put(path, 1)
        s.wait_cache()
        s.wait_watching()
        served = {p: v for p, v in versions.items() if "/off/" not in p}
        app.warm(served)
        check(app.check(versions) == 30, "files that are not to be cached are")
        check(os.path.exists(s.copy("i/f0")) and os.path.exists(s.copy("b/f0")), "the copies are not where programs find them")
        check(os.path.exists(s.copy("v/f0", ".validate")) and not os.path.exists(s.copy("v/f0")), "copies to be validated")
        check(os.stat(s.copy("i/f0")).st_mode & 0o7777 == 0o444, "the mode of a copy")
        told_of_itself(s, "i/f0")
        told_of_itself(s, "v/f0", ".validate")
        for publish in False, True:
            for path in served:
                put(path, 2 + publish, publish=publish)
            now = {p: 2 + publish for p in served if "/v/" in p}
            app.check(now)  # each open asks
            wait_for(lambda: not os.path.exists(s.copy("i/f9")) and not os.path.exists(s.copy("b/f9")), "the feed says so")
            app.warm({p: 2 + publish for p in served})
        told = s.cache()
        check(told["ready"] and told["files"] == 30 and told["opens"]["hits"] >= 90 and told["opens"]["absent"] >= 60, told)
        check(told["fetches"] == 90 and told["fetched_bytes"] == 90 * BLOCK and told["failed"]["error"] == 0, told)
        check([r["files"] for r in told["rules"]] == [10, 10, 0, 10], told["rules"])
        check(told["rules"][1]["dollars_month"] > 0 and told["rules"][3]["dollars_per_million_opens"] > 0.1, told["rules"])
        check(told["cost"]["calls"] > 200 and told["cost"]["dollars"] > 0, told["cost"])
        check(s.status()["mounts"][0]["cache"]["files"] == 30, "the status")
        check('CacheFiles{' in s.get("/metrics")[1] or "cache_files" in s.get("/metrics")[1].lower(), "the metrics")
        check(s.stop() == 0, "it did not end well")


def told_of_itself(sidecar, path, tree=""):
    """fstat of the copy is stat of the file, where the volume can keep that."""
    if not keeps_attributes(sidecar.share):
        return
    check(len(os.getxattr(sidecar.copy(path, tree), "user.efs")) == 56, f"the copy of {path} has no origin")
    script = "import os, sys; sys.exit(0 if os.path.samestat(os.fstat(os.open(sys.argv[1], 0)), os.stat(sys.argv[1])) else 'two files')"
    subprocess.run([sys.executable, "-c", script, sidecar.at(path)], env=dict(os.environ, LD_PRELOAD=SHIM, EFS_CACHE_DIR=sidecar.cache_dir),
                   check=True, timeout=60)


def commands(root):
    """evict and warm, and what is refused"""
    with CacheSidecar(root, rules="off/**=off") as s, App(s.cache_dir) as app:
        versions = {s.at(f"d/f{i}"): 1 for i in range(20)}
        for path in versions:
            put(path, 1)
        s.wait_cache()
        names = [f"d/f{i}" for i in range(20)]
        check(s.post("warm", paths=[*names, "off/x", "../x", ".efs-sidecar/board"]) == (200, {"copies": 20, "refused": 3}), "warm")
        wait_for(lambda: s.cache()["files"] == 20, lambda: f"{s.cache()}")
        check(app.check(versions) == 20, "what was warmed is not served")
        check(s.post("evict", paths=["d/f3", "d/none"], mount=s.share) == (200, {"copies": 1, "refused": 0}), "evict a file")
        check(s.post("evict", paths=["d"])[1]["copies"] == 19 and app.check(versions) == 0, "evict a directory")
        check(not os.path.exists(s.copy("d", ".validate")), "its directory is left")
        for body, words in (({}, "paths"), ({"paths": []}, "1 to 1000"), ({"paths": [1]}, "entry 1"), ({"paths": "d"}, "list"),
                            ({"paths": ["d"], "color": 1}, "color"), ({"paths": ["d"], "mount": 5}, "mount")):
            status, answer = s.post("evict", **body)
            check(status == 400 and words in answer["message"], f"{body}: {status} {answer}")
        check(s.post("warm", paths=["d"], mount="/nowhere")[0] == 404, "another mount")
        check(s.get("/v1/cache/warm")[0] == 405, "GET")


def told_why(root):
    """efsctl cache warm says of which files there is no copy, and why; it succeeds when what was asked for could be taken"""
    with CacheSidecar(root) as s:
        def warm(*paths):
            done = efsctl(s, "cache", "warm", *paths)
            return done.returncode, done.stdout + done.stderr

        for path in "up/day/a", "up/b", "open/c":
            put(s.at(path), 1)
        os.chmod(s.at("up/day"), 0o2770)  # as efsctl publish --mkdir makes them
        s.wait_cache()
        for paths, code, words in (
                (["up/day/a"], 1, ["0 files", "no copy of up/day/a: not everybody may read it", "cache.as", "(EACCES)", "rights 1"]),
                ([s.at("up/day")], 1, ["no copy of up/day", "rights"]),
                (["gone"], 1, ["no copy of gone: it is not there", "(ENOENT)", "gone 1"]),
                (["gone", "open"], 1, ["gone 1"]),
                (["up"], 0, ["no copy of up/day", "rights"]),  # of what was asked for there is something
                (["open"], 0, [])):
            got = warm(*paths)
            check(got[0] == code and all(w in got[1] for w in words), f"{paths}: {got}")
            check(words or "no copy" not in got[1], f"{paths}: {got}")
        report = s.post("report", paths=["up/day/a", "open"])
        check(report[0] == 200 and report[1]["first"] == {"path": "up/day/a", "reason": "rights", "error": "EACCES"}, f"{report}")
        check(report[1]["copies"] == report[1]["files"] == report[1]["refused"] == 1 and report[1]["pending"] == 0, f"{report}")


def bind(what, where):
    os.makedirs(where, exist_ok=True)
    os.makedirs(what, exist_ok=True)
    subprocess.run(["mount", "--bind", what, where], check=True, timeout=10)


def one_device(root):
    """of two mounts of one file system what an application writes counts for the one that it is on, by whatever name"""
    with volume(root, "16m") as disk:
        paths = [os.path.join(root.decode(), name) for name in ("share", "share2", "elsewhere")]
        for path, below in zip(paths, ("a", "b", "a")):
            bind(os.path.join(disk, below), path)
        try:
            with CacheSidecar(root, mounts=("share", "share2")) as s:
                def writes():
                    return [m["opens"]["writes"] for m in s.get("/v1/cache")[1]["mounts"]]

                def write(path):
                    subprocess.run(["dd", "if=/dev/null", "of=" + path, "status=none"], check=True, timeout=60,
                                   env=dict(os.environ, LD_PRELOAD=SHIM, EFS_CACHE_DIR=s.cache_dir))

                wait_for(lambda: all(m["ready"] for m in s.get("/v1/cache")[1]["mounts"]), "the caches are not ready")
                for n in range(3):
                    write(paths[0] + f"/f{n}")
                write(paths[1] + "/f")
                wait_for(lambda: writes() == [3, 1], lambda: f"{writes()}")
                write(paths[2] + "/f")  # which of the two is not known by this name
                write(paths[1] + "/f")
                wait_for(lambda: writes()[1] >= 2 and sum(writes()) == 6, lambda: f"{writes()}")
        finally:
            for path in paths:
                subprocess.run(["umount", "--lazy", path], check=True, timeout=10)


def last_counts(root):
    """what applications counted just before the sidecar was stopped is in its last metrics"""
    with CacheSidecar(root, "--metrics-set=all", "--metrics-interval=1h", rules="**=immutable") as s, App(s.cache_dir) as app:
        versions = {s.at(f"f{i}"): 1 for i in range(20)}
        for path in versions:
            put(path, 1)
        s.wait_cache()
        app.warm(versions)
        hits = 0

        def is_told():
            nonlocal hits
            before, hits = hits, s.cache()["opens"]["hits"]
            return hits == before > 0

        wait_for(is_told, "the hits are not told")
        time.sleep(6)  # with no miss for five seconds it looks once a second
        for _ in range(10):
            hits += app.check(versions)
        check(s.stop() == 0, "it did not end well")
        with open(s.out_path, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        found = sum(line["CacheHits"] for line in lines if "CacheHits" in line)
        check(found == hits, f"{found} of {hits} hits are in the metrics")


def rights(root):
    """only what everybody may read is copied"""
    with CacheSidecar(root) as s, App(s.cache_dir) as app:
        put(s.at("open"), 1)
        put(s.at("private"), 1)
        put(s.at("closed/f"), 1)
        os.chmod(s.at("private"), 0o640)
        os.chmod(s.at("closed"), 0o750)
        os.symlink("open", s.at("link"))
        s.wait_cache()
        paths = {s.at(p): 1 for p in ("open", "private", "closed/f", "link")}
        app.warm({s.at("open"): 1})
        for _ in range(3):
            check(app.check(paths) <= 1, "a copy of what not everybody may read")
        wait_for(lambda: s.cache()["failed"]["rights"] == 2, lambda: f"{s.cache()['failed']}")
        check(s.cache()["files"] == 1, f"{s.cache()}")
        os.chmod(s.at("open"), 0o600)
        wait_for(lambda: s.cache()["files"] == 0, "it is served to everybody still")


@contextlib.contextmanager
def volume(root, size):
    """A disk of its own, of this size."""
    path = os.path.join(root.decode(), "volume")
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", path], check=True, timeout=10)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True, timeout=10)


def used_bytes(path):
    """Of the whole volume at one moment, with what is unlinked and open still."""
    now = os.statvfs(path)
    return (now.f_blocks - now.f_bfree) * now.f_frsize


def cap(root):
    """ten misses of 50 MiB at once, and of 20, never fill more than the 100 MiB that they may, files and fills together"""
    with volume(root, "1g") as disk, CacheSidecar(root, "--cache-size=100MiB", "--cache-files=1000", cache_dir=disk + "/cache",
                                                  program=HOOKS, env={"EFS_SIDECAR_OMIT": "settle"}) as s:
        names = [f"f{i}" for i in range(20)]
        for i, name in enumerate(names):
            with open(s.at(name), "wb") as f:
                f.truncate((50 if i < 10 else 20) * MIB)
            os.chmod(s.at(name), 0o644)
        s.wait_cache()
        empty = used_bytes(disk)  # but for the map
        enough, samples = threading.Event(), []

        def watch():
            while not enough.is_set():
                samples.append(used_bytes(disk) - empty)
                time.sleep(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            end = time.monotonic() + 60
            while s.cache()["fetches"] < 50 and time.monotonic() < end:
                s.post("warm", paths=names[:10])
                s.post("warm", paths=names)
        finally:
            enough.set()
            watcher.join()
        told = s.cache()
        check(told["fetches"] >= 50 and told["evictions"] >= 40, f"{told}")
        check(max(samples) > 80 * MIB, f"at most {max(samples)} bytes were seen: the cache was not full")
        check(max(samples) <= 100 * MIB, f"{max(samples)} bytes are more than 100 MiB")
        print(f"#   {len(samples)} samples, at most {max(samples) / MIB:.1f} MiB; {told['fetches']} fetches")


def fill(path):
    """Until there is no room."""
    try:
        with open(path, "ab", buffering=0) as f:
            while f.write(b"x" * (MIB // 4)):
                pass
    except OSError as error:
        check(error.errno == errno.ENOSPC, f"{error}")


def free_share(path):
    now = os.statvfs(path)
    return now.f_bavail / now.f_blocks


def full_disk(root):
    """the cache volume is filled by others, again and again: every open is right, and room is given back"""
    with volume(root, "24m") as disk:
        with CacheSidecar(root, "--cache-files=2000", "--cache-min-free=25", cache_dir=disk + "/cache") as s, \
                App(s.cache_dir) as app:
            versions = {s.at(f"f{i}"): i + 1 for i in range(60)}
            for path, version in versions.items():
                put(path, version, MIB // 2)
            s.wait_cache()
            for _ in range(2):
                app.warm(versions, MIB // 2, share=0.2)
                check(free_share(disk) >= 0.25, "less is free than others are to have")
                end = time.monotonic() + 60
                while s.condition("CacheReady")["reason"] != "DiskFull":  # what is given back, they take
                    check(time.monotonic() < end, f"room is not given back: {s.cache()}")
                    fill(disk + "/other")
                    app.check(versions, MIB // 2)
                check(s.cache()["files"] == 0, f"{s.cache()}")
                os.unlink(disk + "/other")
                s.wait_cache()
            app.warm(versions, MIB // 2, share=0.2)
            check(s.process.poll() is None and s.cache()["failed"]["error"] == 0, f"{s.cache()}")


def killed(root):
    """SIGKILL at each step of a fill: what is served is whole and right, before and after the restart, also by path"""
    size, threads, failures = 3 * MIB // 2, [], []

    def rounds(step):
        top = os.path.join(root.decode(), f"step{step}")
        os.mkdir(top)
        try:
            for kill in range(KILLS):
                one_kill(top, step, kill + 1, size)
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(f"step {step}: {error}")

    for step in range(1, STEPS + 1):
        threads.append(threading.Thread(target=rounds, args=(step,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    check(not failures, f"{failures}")


def one_kill(top, step, version, size):
    names = [f"i/{version}/d{i}/f" for i in range(4)]  # new ones: what is immutable is not rewritten
    versions = {os.path.join(top, "share", n): version for n in names}
    rules = "i/**=immutable"
    for path in versions:
        put(path, version, size)
    hooks = {"EFS_SIDECAR_KILL_AT": f"fill.{step}", "EFS_SIDECAR_OMIT": "settle"}
    victim = CacheSidecar(top, rules=rules, env=hooks, program=HOOKS)
    with App(victim.cache_dir) as app:
        end = time.monotonic() + 60
        while victim.process.poll() is None:
            check(time.monotonic() < end, f"it was not killed at fill.{step}")
            app.check(versions, size)
            time.sleep(0.02)
        check(victim.process.returncode == -signal.SIGKILL, f"it ended with {victim.process.returncode}: {victim.log()}")
        app.check(versions, size)
        for path in versions:
            copy = victim.copy(os.path.relpath(path, victim.share))
            if os.path.exists(copy):
                with open(copy, "rb") as a, open(path, "rb") as b:
                    check(a.read() == b.read(), f"{copy} is not whole after fill.{step}")
        with CacheSidecar(top, rules=rules, env={"EFS_SIDECAR_OMIT": "settle"}, program=HOOKS) as s:
            s.wait_cache()
            check(not glob.glob(s.cache_dir + "/.tmp/*/*"), "a fill that was begun is left")
            app.warm(versions, size)
            wait_for(lambda: not s.cache()["removing_old"], "what was left is not removed")
            check(os.listdir(s.cache_dir + "/.old") == [], "what was left is not removed")


def old_tree(root):
    """what an earlier sidecar left does not keep this one from starting, and goes; also where what is pinned is kept"""
    for options in (), ("--cache-pin=/**",):
        start_with_old(root, options)


def start_with_old(root, options):
    top = os.path.join(root.decode(), f"n{len(options)}")
    os.mkdir(top)
    name = os.path.join(top, "share").lstrip("/").replace("/", "-")
    old = os.path.join(top, "cache", name)
    for i in range(OLD_FILES):
        if i % 1000 == 0:
            os.makedirs(f"{old}/d{i // 1000}")
        os.mknod(f"{old}/d{i // 1000}/{i}")
    with CacheSidecar(top, *options) as s, App(s.cache_dir) as app:
        s.wait_cache()
        put(s.at("f"), 1)
        app.warm({s.at("f"): 1}, seconds=600)
        wait_for(lambda: not s.cache()["removing_old"], "it does not go", 600)
        check(os.listdir(s.cache_dir + "/.old") == [], "it did not go")
        check(os.listdir(s.copy("", "" if options else ".validate")) == ["f"], os.listdir(s.copy("")))
        with open(s.err_path, encoding="utf-8") as f:
            log = [json.loads(line) for line in f]

    def told(words):
        times = [line["time"] for line in log if words in str(line)]
        check(times, f"no {words} in {log}")
        return datetime.datetime.fromisoformat(times[0].rstrip("Z")).timestamp()

    started, gone = told("efs-sidecar 0"), told(f"{OLD_FILES} files that")
    ready = told("'reason': 'Warming'" if options else "'condition': 'CacheReady', 'status': 'True'")
    print(f"#   {OLD_FILES} files: ready after {(ready - started) * 1000:.0f} ms, gone after {(gone - started) * 1000:.0f} ms")
    check(ready - started < (gone - started) / 2, "it was waited for")


def spoiled(root):
    """what applications write, or take away, is no trouble; two sidecars do not share a cache"""
    with CacheSidecar(root) as s, App(s.cache_dir) as app:
        versions = {s.at(f"f{i}"): 1 for i in range(5)}
        for path in versions:
            put(path, 1)
        s.wait_cache()
        app.warm(versions)
        control = f"{s.cache_dir}/.control/{s.name}"
        with open(control + ".app", "r+b") as f:
            f.seek(128)
            f.write(os.urandom(600 * 1024))
        app.check(versions)
        wait_for(lambda: s.get("/v1/cache")[0] == 200, "it answers")
        for path in versions:
            os.unlink(s.copy(os.path.basename(path), ".validate"))
        app.check(versions)
        other = os.path.join(root.decode(), "other")
        os.makedirs(other)
        run_dir = os.path.join(other, "run")
        with CacheSidecar(other, "--run-dir=" + run_dir, cache_dir=s.cache_dir) as second:
            second.wait_cache()  # another name
        s.wait_cache()
        check(s.process.poll() is None, s.log())


def replaced(root):
    """the mount is another one now, with the same names: its cache begins anew"""
    with CacheSidecar(root) as s, App(s.cache_dir) as app:
        versions = {s.at(f"f{i}"): 1 for i in range(5)}
        for version in 1, 2:
            for path in versions:
                put(path, version)
                versions[path] = version
            s.wait_cache()
            app.warm(versions)
            if version == 1:
                os.rename(s.share, s.share + ".old")
        check(app.check(versions) == 5 and "its cache begins anew" in s.log(), s.log())


def no_place(root):
    """a directory that cannot be made is a condition that says so, not an end"""
    with CacheSidecar(root, cache_dir="/proc/version/cache") as s:
        s.wait_cache("False")
        condition = s.condition("CacheReady")
        check(condition["reason"] == "NotOpened" and "/proc/version/cache cannot be made" in condition["message"], condition)
        check(s.post("warm", paths=["d"])[0] == 503, "warm")


if __name__ == "__main__":
    if os.environ.get("CACHE_TEST_MOUNTS") != str(os.getpid()):
        flags = "-m" if os.geteuid() == 0 else "-rm"
        os.environ["CACHE_TEST_MOUNTS"] = str(os.getpid())  # exec keeps the pid
        os.execvp("unshare", ["unshare", flags, sys.executable, *sys.argv])
    run(modes, commands, told_why, one_device, last_counts, rights, cap, full_disk, killed, old_tree, spoiled, replaced, no_place)
