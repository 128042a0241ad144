#!/usr/bin/env python3
"""libefscache.so with control files that are missing, short, garbage, or being scribbled over: programs read what is on the share, never
crash, and end."""
import os
import random
import signal
import struct
import subprocess
import time

from shimlib import READ, Cache
from watchlib import check, die_with_parent, run, wait_for

HEAD, ENTRY = 128, 64
FILES = 16


def filled(root):
    cache = Cache(root, 64)
    files = [cache.write(f"d/f{i}", f"file {i} of the share\n" * 200) for i in range(FILES)]
    cache.fill()
    return cache, files


def plain(files):
    return subprocess.run([READ, "threads", "1", "1", *files], check=True, capture_output=True, timeout=60).stdout


def same(cache, files, what):
    (text, code), counted = cache.run(READ, "threads", "2", "2", *files)
    check(code == 0 and text.split() == plain(files).split() * 2, f"{what}: exit {code}: {text}")
    return counted


def replace(path, content):
    with open(path + ".x", "wb") as file:
        file.write(content)
    os.rename(path + ".x", path)


def broken_files(root):
    """files that are short, long, empty, of another version, of another kind, or not to be opened mean no cache"""
    cache, files = filled(root)
    check(same(cache, files, "whole")["hits"] >= FILES * 2, "no hits to begin with")
    for name in ("mounts", "data.map", "data.app"):
        path = f"{cache.control}/{name}"
        with open(path, "rb") as file:
            good = file.read()
        wrong = [b"", good[:1], good[:-1], good + b"x", b"x" + good[1:], b"\xff" * len(good), b"\0" * len(good), good[:4096], good[:HEAD]]
        if name == "mounts":  # that the last mount is a longer name, or another mount is added, is a good list
            wrong = [w for w in wrong if w != good[:HEAD]]
        if name == "data.app":
            wrong.remove(b"\xff" * len(good))  # which is what applications may write, but for its head
        for i, content in enumerate(wrong):
            if content == good:
                continue
            replace(path, content)
            # cache_tool needs whole files to count: the output is what matters here
            done = subprocess.run([READ, "threads", "2", "2", *files], env=cache.environment(), capture_output=True, timeout=60)
            check(done.returncode == 0 and done.stdout.split() == plain(files).split() * 2, f"{name}, {i}: {done}")
            os.unlink(path)
            replace(path, good)
        for make in (os.mkdir, os.mkfifo, lambda p: os.symlink("/dev/zero", p), lambda p: os.symlink("nowhere", p)):
            os.unlink(path)
            make(path)
            done = subprocess.run([READ, "threads", "1", "1", *files], env=cache.environment(), capture_output=True, timeout=60)
            check(done.returncode == 0 and done.stdout == plain(files), f"{name} is no file: {done}")
            (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)
            replace(path, good)
    check(same(cache, files, "whole again")["hits"] >= FILES * 2, "no hits in the end")


def wrong_directory(root):
    """a cache directory that is missing, relative, too long or somebody else's means no cache"""
    cache, files = filled(root)
    for name in ("", "relative", "/nowhere", "/" + "x" * 5000, "/dev/null", cache.share):
        env = dict(cache.environment(), EFS_CACHE_DIR=name)
        done = subprocess.run([READ, "threads", "1", "1", *files], env=env, capture_output=True, timeout=60)
        check(done.returncode == 0 and done.stdout == plain(files), f"{name[:20]}: {done}")


def scribble(path, seed, seconds, keep):
    """Overwrites bytes of the file in place, as one who has it mapped does, but never `keep` at its start."""
    dice, size, end, n = random.Random(seed), os.path.getsize(path), time.monotonic() + seconds, 0
    with open(path, "r+b", buffering=0) as file:
        while time.monotonic() < end:
            file.seek(dice.randrange(keep, size))
            file.write(dice.randbytes(dice.choice((1, 4, 8, 64, 4096)))[:size - file.tell()])
            n += 1
            if n % 50 == 0:
                time.sleep(0.001)
    return n


def scribbled_app(root):
    """whatever is written to the .app file while programs run: they read the right content and end"""
    cache, files = filled(root)
    expected, seed = plain(files), random.randrange(1 << 30)
    with subprocess.Popen([READ, "threads", "4", "3000", *files], env=cache.environment(), stdout=subprocess.PIPE,
                          preexec_fn=die_with_parent) as reader:
        scribble(cache.control + "/data.app", seed, 4, 0)
        out, _ = reader.communicate(timeout=120)
        check(reader.returncode == 0 and out.split() == expected.split() * 4, f"seed {seed}: exit {reader.returncode}: {out}")


def scribbled_map(root):
    """whatever is written to the map while programs run: they open the copy or the share, and end"""
    cache, files = filled(root)
    expected, seed = plain(files), random.randrange(1 << 30)
    with subprocess.Popen([READ, "threads", "4", "3000", *files], env=cache.environment(), stdout=subprocess.PIPE,
                          preexec_fn=die_with_parent) as reader:
        scribble(cache.control + "/data.map", seed, 2, 0)
        with open(cache.control + "/data.map", "r+b") as file:  # and entries that look good but have odd or wild values
            for slot in range(64):
                file.seek(HEAD + slot * ENTRY)
                file.write(struct.pack("<II", 2 ** 32 - 1 - slot % 2, slot % 5))
        out, _ = reader.communicate(timeout=120)
        check(reader.returncode == 0 and out.split() == expected.split() * 4, f"seed {seed}: exit {reader.returncode}: {out}")


def shortened_while_running(root):
    """a file that becomes shorter, or empty, while it is mapped: no cache from then on, and no SIGBUS; a SIGBUS of another kind kills"""
    for name, keep in (("data.app", 0), ("data.app", 8192), ("data.map", 0)):
        cache, files = filled(root)
        with subprocess.Popen([READ, "threads", "4", "4000", *files], env=cache.environment(), stdout=subprocess.PIPE,
                              preexec_fn=die_with_parent) as reader:
            wait_for(lambda c=cache: c.counts()["hits"] > 100, "no hits")
            os.truncate(f"{cache.control}/{name}", keep)
            out, _ = reader.communicate(timeout=120)
            check(reader.returncode == 0 and out.split() == plain(files).split() * 4, f"{name}: exit {reader.returncode}: {out}")
    cache, files = filled(root)
    for script, code in (("import os; os.kill(os.getpid(), 7)", -signal.SIGBUS),
                         ("import mmap, os, sys\nf = open(sys.argv[1], 'r+b')\nm = mmap.mmap(f.fileno(), 0)\nf.truncate(0)\nm[0]", -signal.SIGBUS)):
        scratch = cache.write("../scratch", "x" * 8192)
        done = subprocess.run(["/usr/bin/python3", "-c", script, scratch], env=cache.environment(), timeout=60)
        check(done.returncode == code, f"{script}: {done.returncode}")


def replaced_while_running(root):
    """sidecars that come and go under a program: it goes on, with the right content"""
    cache, files = filled(root)
    with subprocess.Popen([READ, "threads", "4", "3000", *files], env=cache.environment(), stdout=subprocess.PIPE,
                          preexec_fn=die_with_parent) as reader:
        for i in range(20):
            cache.tool("init", "64" if i % 2 else "256")
            cache.fill()
        out, _ = reader.communicate(timeout=120)
        check(reader.returncode == 0 and out.split() == plain(files).split() * 4, f"exit {reader.returncode}: {out}")


if __name__ == "__main__":
    run(broken_files, wrong_directory, scribbled_app, scribbled_map, shortened_while_running, replaced_while_running)
