#!/usr/bin/env python3
"""Pinned directories: a complete mirror, which follows the share, is switched as a whole, and may be waited for."""
import json
import os
import signal
import subprocess
import tempfile
import threading

from cachelib import BLOCK, HOOKS, App, CacheSidecar, content, put
from watchlib import BUILD, check, die_with_parent, keeps_attributes, run, wait_for

EFSCTL = os.path.join(BUILD, "efsctl")
FILES = 40
KILLS = int(os.environ.get("MIRROR_KILLS", "1"))  # at each step


def tree(path):
    """What is there: relative path -> version, or None where a file is a mixture."""
    found = {}
    for top, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(top, name), "rb") as f:
                data = f.read()
            version = int.from_bytes(data[:8], "little")
            found[os.path.relpath(os.path.join(top, name), path)] = version if data == content(version, len(data)) else None
    return found


def efsctl(s, *words, code=0):
    done = subprocess.run([EFSCTL, "--run-dir=" + s.run_dir, "cache", *words], capture_output=True, text=True, timeout=90,
                          preexec_fn=die_with_parent)
    check(done.returncode == code, f"efsctl cache {words}: exit {done.returncode}, not {code}: {done.stdout} {done.stderr}")
    return done.stdout


def becomes(path, wanted):
    def is_so():
        try:
            return tree(path) == wanted
        except FileNotFoundError:
            return False
    wait_for(is_so, lambda: f"{path} has {sorted(tree(path).items())}, not {sorted(wanted.items())}", 60)


def fill(share):
    wanted = {}
    for i in range(FILES):
        name = f"d{i % 3}/f{i}" if i % 4 else f"f{i}"
        put(f"{share}/models/{name}", 1)
        wanted[name] = 1
    put(f"{share}/models/large", 1, 64 * BLOCK)
    put(f"{share}/other/f", 1)
    return {**wanted, "large": 1}


def mirror(root):
    """all of it is there, whatever its size and mode, stays when others are evicted, and follows every kind of change"""
    with CacheSidecar(root, "--cache-pin=/models/**", "--cache-file-max=4096", rules="models/d1/**=immutable") as s, App(s.cache_dir) as app:
        wanted = fill(s.share)
        s.wait_cache()
        s.wait_watching()
        at = s.copy("models")
        becomes(at, wanted)
        check(efsctl(s, "path", s.at("models")).strip() == at, "efsctl cache path")
        check(app.check({s.at("models/" + n): 1 for n in wanted if n != "large"}) == FILES, "what is pinned is not served")
        watcher = subprocess.Popen(["inotifywait", "-m", "-r", "-e", "moved_to", "--format", "%f", at], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        while "Watches established" not in watcher.stderr.readline():
            pass
        put(s.at("models/f0"), 2, publish=True)
        check(watcher.stdout.readline().strip() == "f0", "inotifywait on the mirror")
        watcher.kill()
        watcher.communicate()
        put(s.at("models/d1/f1"), 3)
        os.unlink(s.at("models/d2/f2"))
        os.rename(s.at("models/d0"), s.at("models/e"))
        put(s.at("models/new/dir/f"), 4)
        wanted = {("e/" + n[3:] if n.startswith("d0/") else n): v for n, v in wanted.items() if n != "d2/f2"}
        wanted.update({"f0": 2, "d1/f1": 3, "new/dir/f": 4})
        becomes(at, wanted)
        app.warm({s.at("models/" + n): v for n, v in wanted.items() if n != "large"})
        efsctl(s, "evict", s.at("models"))
        becomes(at, wanted)
        check(not os.path.exists(s.copy("other/f")), "what is not pinned is there")
        stats = json.loads(efsctl(s, "--json", "stats"))["mounts"][0]["warming"]
        check(stats["complete"] and stats["done"] == stats["files"] == len(wanted) and stats["failed"] == 0, stats)
        check(s.stop() == 0, "it did not end well")


def early(root):
    """what is written while the sidecar starts, after the first listing and before the first watch, is in the mirror as well"""
    with CacheSidecar(root, "--cache-pin=/**") as s:
        wanted = {}
        for i in range(3000):
            wanted[f"d{i % 20}/f{i}"] = 1
            put(s.at(f"d{i % 20}/f{i}"), 1)
        becomes(s.copy(""), wanted)
        check(s.stop() == 0, "it did not end well")


def commands(root):
    """efsctl cache warm and pin wait until all is there; a list of paths is warmed at the start; what cannot be is said"""
    listed = os.path.join(root.decode(), "warm")
    with open(listed, "w", encoding="ascii") as f:
        f.write("# hot\nother/f\n/nowhere/f\n")
    with CacheSidecar(root, "--cache-warm=" + listed, "--cache-ready-waits", rules="off/**=off,**=immutable") as s:
        wanted = fill(s.share)
        s.wait_cache()
        wait_for(lambda: s.get("/healthz")[1]["status"] == "ok", lambda: f"{s.get('/healthz')}")
        put(s.at("late/f"), 1)
        efsctl(s, "warm", "late/**")
        check(tree(s.copy("late")) == {"f": 1}, f"{tree(s.copy('late'))}")
        efsctl(s, "pin", s.at("models"))
        check(tree(s.copy("models")) == wanted, "what was pinned is not there")
        put(s.at("models/f0"), 2)
        becomes(s.copy("models"), {**wanted, "f0": 2})
        efsctl(s, "warm", "off/f", "../f", code=1)
        efsctl(s, "fry", code=64)
        check(f"pinned and warmed: {FILES + 1} files" in efsctl(s), efsctl(s))
        check(s.stop() == 0, "it did not end well")


def switch(root):
    """a version appears at once, and the one before it stays until the next; a restart keeps it"""
    options = ("--cache-pin=/models/**", "--cache-pin-switch")
    with CacheSidecar(root, *options, rules="**=immutable") as s:
        wanted = fill(s.share)
        s.wait_cache()
        s.wait_watching()
        current = os.path.join(s.cache_dir, ".current", s.name)
        becomes(current + "/models", wanted)
        check(efsctl(s, "path").strip() == current, "efsctl cache path")
        first = os.open(current, os.O_PATH)
        for name in wanted:
            put(s.at("models/" + name), 2, 64 * BLOCK if name == "large" else BLOCK)
        new = {name: 2 for name in wanted}
        seen = []
        def is_new():
            seen.append(tree(current + "/models"))
            return seen[-1] == new
        wait_for(is_new, lambda: f"{seen[-1]}", 60)
        check(all(t in (wanted, new) for t in seen), "a version was seen in parts")
        check(tree(f"/proc/self/fd/{first}/models") == wanted, "the version before was changed")
        check(s.stop() == 0, "it did not end well")
    with CacheSidecar(root, *options, rules="**=immutable") as s:
        check(tree(current + "/models") == new, "the version did not outlive its sidecar")
        s.wait_cache()
        put(s.at("models/f0"), 3)
        becomes(current + "/models", {**new, "f0": 3})
        check(s.stop() == 0, "it did not end well")


def spoil(s, wanted):
    """What must not be believed after the restart; returns what is to be fetched."""
    def at(name):
        return os.path.join(s.copy("models"), name)
    def rewrite(name, how):
        os.chmod(at(name), 0o644)
        how(at(name))
        os.chmod(at(name), 0o444)
    def overwrite(path):
        with open(path, "r+b") as f:
            f.write(b"wrong")
    put(s.at("models/f0"), 7)  # changed on the share meanwhile, at the same size
    put(s.at("models/f4"), 7, publish=True)
    put(s.at("models/large"), 7, 3 * BLOCK)
    os.unlink(s.at("models/d1/f1"))
    rewrite("d2/f2", overwrite)
    rewrite("d0/f3", lambda path: os.truncate(path, 8))
    rewrite("d1/f7", lambda path: os.removexattr(path, "user.efs"))
    os.replace(at("d2/f5"), at("d0/f6"))  # not its own record
    os.chmod(at("d0/f9"), 0o644)
    os.mkdir(at("d1/f10.d"))
    os.chmod(os.path.dirname(at("d1/f10.d")), 0o777)  # others may have changed d1
    os.symlink("/etc/passwd", at("link"))
    put(at("stray"), 1)
    spoilt = {"f0", "f4", "large", "d2/f2", "d0/f3", "d2/f5", "d0/f6", "d0/f9"} | {n for n in wanted if n.startswith("d1/")}
    now = {**wanted, "f0": 7, "f4": 7, "large": 7}
    del now["d1/f1"]
    return now, len(spoilt & now.keys())


def restart(root):
    """what an earlier sidecar copied, killed or stopped, is kept where it can be shown that it is the file still; also in versions"""
    options = ("--cache-pin=/models/**", "--cache-pin-switch")
    rules = "models/d0/**=immutable,models/d2/**=bounded:1m"
    with CacheSidecar(root, *options, rules=rules) as s:
        wanted = fill(s.share)
        s.wait_cache()
        current = os.path.join(s.cache_dir, ".current", s.name)
        becomes(current + "/models", wanted)
        before = os.stat(s.copy("models/d0/f15")).st_ino
        check(s.cache()["fetches"] == len(wanted) and s.cache()["warming"]["kept_files"] == 0, s.cache())
        s.process.kill()
        s.process.wait()
    put(s.copy("other/f"), 1)  # is not pinned
    with CacheSidecar(root, *options, rules=rules) as s, App(s.cache_dir) as app:
        check(tree(s.copy("models")) == wanted, "the mirror is not there while it is asked about")
        s.wait_cache()
        wait_for(lambda: s.cache()["warming"]["complete"], lambda: f"{s.cache()}")
        told = s.cache()
        check(told["fetches"] == 0 and told["warming"]["kept_files"] == told["warming"]["done"] == len(wanted), told)
        check(told["warming"]["kept_bytes"] == told["warming"]["done_bytes"] == (FILES + 64) * BLOCK, told)
        check(f"{len(wanted)} of them" in efsctl(s) and f"{len(wanted)} of them" in efsctl(s, "warm"), efsctl(s))
        check(os.stat(s.copy("models/d0/f15")).st_ino == before and not os.path.exists(s.copy("other")), "what is kept")
        app.warm({s.at("models/" + n): 1 for n in wanted if n != "large"})
        put(s.at("models/f8"), 2)
        wanted["f8"] = 2
        becomes(current + "/models", wanted)
        check(s.stop() == 0, "it did not end well")
    wanted, fetched = spoil(s, wanted)
    with CacheSidecar(root, *options, rules=rules) as s, App(s.cache_dir) as app:
        becomes(s.copy("models"), wanted)
        becomes(current + "/models", wanted)
        told = s.cache()
        check(told["fetches"] == fetched and told["warming"]["kept_files"] == len(wanted) - fetched, (fetched, told))
        app.warm({s.at("models/" + n): v for n, v in wanted.items() if n != "large"})
        check(s.stop() == 0, "it did not end well")


def killed(root):
    """SIGKILL at each step of keeping what was left, of filling and of switching: mirror and version are whole at every moment"""
    failures = []

    def rounds(step):
        top = os.path.join(root.decode(), step)
        os.mkdir(top)
        try:
            kill_at(top, step)
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(f"{step}: {error!r}")

    steps = [f"{work}.{n}" for work, last in (("restore", 4), ("fill", 9), ("version", 4)) for n in range(1, last + 1)]
    threads = [threading.Thread(target=rounds, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, f"{failures}")
    print(f"#   {len(steps) * KILLS} kills")


def kill_at(top, step):
    """Half of the files are others each time, and one is new."""
    options = ("--cache-pin=/**", "--cache-pin-switch")
    rules = "a/**=immutable,b/**=bounded:1m"
    names = [f"{d}/d{i % 2}/f{i}" for d in ("a", "b", "v") for i in range(6)]
    hooks = {"EFS_SIDECAR_OMIT": "settle"}
    wanted, whole = {}, []
    for kill in range(KILLS + 1):
        wanted.update({name: kill for i, name in enumerate(names) if kill == 0 or (i + kill) % 2})
        wanted[f"v/new/{kill}"] = kill
        for name, version in wanted.items():
            if version == kill:
                put(os.path.join(top, "share", name), version, 16 * BLOCK, publish=bool(kill % 2))
        whole = [*whole[-1:], dict(wanted)]
        if kill > 0:
            victim = CacheSidecar(top, *options, rules=rules, env={**hooks, "EFS_SIDECAR_KILL_AT": step}, program=HOOKS)
            code = victim.process.wait(90)
            check(code == -signal.SIGKILL, f"it ended with {code}: {victim.log()}")
            found = tree(victim.copy(""))
            check(all(found[n] in (whole[0].get(n), wanted[n]) for n in found), f"kill {kill}: {found}")
            check(tree(os.path.join(victim.cache_dir, ".current", victim.name)) in whole, f"kill {kill}: the version is not whole")
        with CacheSidecar(top, *options, rules=rules, env=hooks, program=HOOKS) as s:
            becomes(s.copy(""), wanted)
            becomes(os.path.join(s.cache_dir, ".current", s.name), wanted)
            wait_for(lambda: s.cache()["warming"]["complete"], "it does not end")
            told = s.cache()
            check(told["files"] == len(wanted) and (kill == 0 or told["warming"]["kept_files"] > 0), told)
            s.process.kill()
            s.process.wait()


def settings(root):
    """what cannot be pinned is refused at the start"""
    done = subprocess.run([os.path.join(BUILD, "efs-sidecar"), "--check", "--profile=cache", "--cache-pin=/a/*/b", root.decode()],
                          capture_output=True, text=True, timeout=60)
    check(done.returncode != 0 and "cache.pin: /a/*/b" in done.stdout + done.stderr, done)


if not keeps_attributes("/dev/shm"):  # what is kept over a restart is known by them
    os.environ["WATCH_TEST_DIR"] = tempfile.gettempdir()
run(mirror, early, commands, switch, restart, killed, settings)
