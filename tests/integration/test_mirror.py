#!/usr/bin/env python3
"""Pinned directories: a complete mirror, which follows the share, is switched as a whole, and may be waited for."""
import json
import os
import subprocess

from cachelib import BLOCK, App, CacheSidecar, content, put
from watchlib import BUILD, check, die_with_parent, run, wait_for

EFSCTL = os.path.join(BUILD, "efsctl")
FILES = 40


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


def settings(root):
    """what cannot be pinned is refused at the start"""
    done = subprocess.run([os.path.join(BUILD, "efs-sidecar"), "--check", "--profile=cache", "--cache-pin=/a/*/b", root.decode()],
                          capture_output=True, text=True, timeout=60)
    check(done.returncode != 0 and "cache.pin: /a/*/b" in done.stdout + done.stderr, done)


run(mirror, commands, switch, settings)
