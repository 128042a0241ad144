#!/usr/bin/env python3
"""The programs in docs/recipes.md, as they stand there, with a running sidecar."""
import hashlib
import os
import re
import subprocess

import locklib
from watchlib import check, die_with_parent, fail, run, wait_for

DOCUMENT = os.path.join(os.path.dirname(__file__), "../../docs/recipes.md")
BLOCK = re.compile(r"^```(python|php|js)\n((?:<\?php )?(?:#|//) (\S+)\n.*?)^```$", re.M | re.S)
RUNS = {"py": ["python3"], "php": ["php"], "mjs": ["node"]}
WORDS = {"py": "from Python\n", "php": "from PHP\n", "mjs": "from Node\n"}


def recipes(directory):
    """All of them, as files."""
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    found = BLOCK.findall(text)
    check(len(found) == text.count("\n```") // 2 == 15, f"{len(found)} programs in {text.count(chr(10) + '```') // 2} blocks")
    for _, program, name in found:
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(program)


class Recipe:
    """A running one; its words go to a file."""

    def __init__(self, s, name, *args):
        self.path = os.path.join(s.root, name)
        with open(self.path + ".out", "wb") as out:
            self.process = subprocess.Popen([*RUNS[name.rsplit(".", 1)[1]], self.path, *args], stdout=out, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, env=locklib.environment(s), preexec_fn=die_with_parent)

    def text(self):
        with open(self.path + ".out", encoding="utf-8") as file:
            return file.read()

    def wait_text(self, words):
        wait_for(lambda: words in self.text(), lambda: f"{self.path}: no {words!r} in {self.text()!r}", 30)

    def end(self, seconds=30):
        """Of one that ends by itself: its words."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            fail(f"{self.path} still runs: {self.text()!r}")
        check(code == 0, f"{self.path} ended with {code}: {self.text()!r}")
        return self.text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def sidecar(root):
    s = locklib.sidecar(root)
    recipes(s.root)
    return s


def all_of(kind):
    def test(root):
        with sidecar(root) as s:
            locklib.wait_locks(s)
            s.wait_watching()
            for suffix in RUNS:
                kind(s, suffix)
    test.__doc__, test.__name__ = kind.__doc__, kind.__name__
    return test


def path_in(s, *names):
    return os.path.join(s.mounts[0], *names)


def publish(s, suffix):
    """publish: the file, its size and digest; the name that is taken is refused"""
    target = f"uploads/{suffix}.txt"
    said = Recipe(s, f"publish.{suffix}", target).end().split()
    content = WORDS[suffix].encode()
    check(said == ["published", target, str(len(content)), hashlib.sha256(content).hexdigest()], f"{said}")
    with open(path_in(s, target), "rb") as file:
        check(file.read() == content, target)
    again = Recipe(s, f"publish.{suffix}", target)
    check(again.process.wait(30) != 0 and "Exists" in again.text(), f"the second publish: {again.text()}")


def claim(s, suffix):
    """claim: every file is processed, and gone when it is done"""
    queue = f"queue-{suffix}"
    os.mkdir(path_in(s, queue))
    for name in "one", "two":
        with open(path_in(s, queue, name), "w", encoding="utf-8") as file:
            file.write(f"content of {name}\n")
    with Recipe(s, f"claim.{suffix}", queue) as recipe:
        for name in "one", "two":
            recipe.wait_text(f"processed {name} content of {name}\n")
        wait_for(lambda: s.get("/v1/claims")[1].get("held") == 0, lambda: f"{s.get('/v1/claims')}", 20)
        left = [name for _, _, names in os.walk(path_in(s)) for name in names if name in ("one", "two")]
        check(not left, f"left: {left}")


def lock(s, suffix):
    """lock: a report under the lock's token, and the lock is given back"""
    outcome, path, token = Recipe(s, f"lock.{suffix}").end().split()
    check((outcome, path) == ("published", "report.txt"), f"{outcome} {path}")
    with open(path_in(s, "report.txt"), encoding="utf-8") as file:
        check(file.read() == f"by token {token}\n", f"the report is not of {token}")
    wait_for(lambda: s.get("/v1/locks")[1]["held"] == 0, "the lock is still held", 20)


def watch(s, suffix):
    """watch: what is published is told"""
    with Recipe(s, f"watch.{suffix}", f"watched-{suffix}") as recipe:
        def told():
            with open(path_in(s, f"watched-{suffix}", "file"), "w", encoding="utf-8") as file:
                file.write("x")
            return f" watched-{suffix}/file\n" in recipe.text()
        os.mkdir(path_in(s, f"watched-{suffix}"))
        wait_for(told, lambda: f"{recipe.path} was told {recipe.text()!r}", 30)


if __name__ == "__main__":
    run(*[all_of(kind) for kind in (publish, claim, lock, watch)])
