"""A share, a cache of it that cache_tool fills, and programs with libefscache.so before libc."""
import os
import subprocess

from watchlib import BUILD, check, die_with_parent, keeps_attributes

TOOL = os.path.join(BUILD, "tests/cache_tool")
WORK = os.path.join(BUILD, "tests/shim_work")
READ = os.path.join(BUILD, "tests/shim_read")
SHIM = os.path.join(BUILD, "libefscache.so")
DEADLINE_S = 60


class Cache:
    def __init__(self, root, slots=4096):
        self.root = os.path.realpath(root.decode())
        self.share, self.dir = self.root + "/share", self.root + "/cache"
        self.control = self.dir + "/.control"
        os.makedirs(self.share, exist_ok=True)
        os.chmod(self.root, 0o755)
        self.tool("init", str(slots))

    def tool(self, *words):
        return subprocess.run([TOOL, self.dir, "data", self.share, *words], check=True, capture_output=True, text=True,
                              timeout=DEADLINE_S).stdout

    def fill(self, how="immutable", *paths):
        """These, or whatever is on the share."""
        paths = paths or [os.path.relpath(os.path.join(top, f), self.share) for top, _, files in os.walk(self.share) for f in files]
        self.tool("fill", how, *paths)

    def copies(self):
        return [os.path.join(top, f) for top, _, files in os.walk(self.dir) for f in files if not top.startswith(self.control)]

    def keeps_origins(self):
        return keeps_attributes(self.share)

    def forget_origins(self):
        """As on a volume that has no extended attributes."""
        if not self.keeps_origins():
            return
        for path in self.copies():
            os.chmod(path, 0o644)
            os.removexattr(path, "user.efs")
            os.chmod(path, 0o444)

    def write(self, path, text):
        full = os.path.join(self.share, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        return full

    def counts(self):
        return {name: int(n) for name, _, n in (line.partition("=") for line in self.tool("counts").split())}

    def environment(self, library=SHIM, **more):
        return dict(os.environ, LD_PRELOAD=library, EFS_CACHE_DIR=self.dir, **more)

    def run(self, *argv, library=SHIM, cwd=None, stdin=None, **more):
        """What the program printed and its exit code, and what the counters counted meanwhile."""
        before = self.counts()
        env = self.environment(library, **more) if library else dict(os.environ)
        done = subprocess.run(argv, env=env, cwd=cwd or self.share, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, input=stdin,
                              timeout=DEADLINE_S, preexec_fn=die_with_parent)
        after = self.counts()
        return (done.stdout, done.returncode), {name: after[name] - before[name] for name in after}

    def reads(self, path, expected, *, hit=True, why=None, **more):
        """cat prints that, from the cache or not, and why not."""
        (text, code), counted = self.run("cat", path, **more)
        check((text, code) == (expected.encode(), 0), f"{path}: {text!r} (exit {code}), not {expected!r}: {counted}")
        check(counted["hits"] == (1 if hit else 0), f"{path}: {counted}")
        check(not why or counted[why] >= 1, f"{path} was not {why}: {counted}")
