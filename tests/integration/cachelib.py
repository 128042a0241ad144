"""A sidecar with a cache on local directories, and an application that opens files through libefscache.so."""
import json
import os
import subprocess
import sys
import time

from sidecarlib import PROGRAM, Sidecar
from watchlib import BUILD, check, die_with_parent, fail, wait_for

SHIM = os.path.join(BUILD, "libefscache.so")
HOOKS = os.path.join(os.path.dirname(PROGRAM) + "-hooks", "efs-sidecar")
BLOCK = 512

# Reads the files that it is told, and answers for each: was it a copy, its length, the versions in it.
APP = """
import json, os, struct, sys
cache = sys.argv[1] + "/"
for line in sys.stdin:
    answers = []
    for path in json.loads(line):
        try:
            with open(path, "rb", buffering=0) as f:
                hit = os.readlink(f"/proc/self/fd/{f.fileno()}").startswith(cache)
                data = b"".join(iter(lambda: f.read(1 << 20), b""))
            answers.append([hit, len(data), sorted({struct.unpack_from("<Q", data, at)[0] for at in range(0, len(data) - 7, 512)})])
        except OSError as error:
            answers.append([False, -error.errno, []])
    print(json.dumps(answers), flush=True)
"""


def content(version, size):
    """A version in every 512 bytes."""
    return (version.to_bytes(8, "little") + b"." * (BLOCK - 8)) * (size // BLOCK)


def put(path, version, size=BLOCK, publish=False):
    """Written in place, or beside it and renamed; readable for all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    to = path + ".new" if publish else path
    with open(to, "wb") as f:
        f.write(content(version, size))
        os.fchmod(f.fileno(), 0o644)
    if publish:
        os.rename(to, path)


class App:
    def __init__(self, cache_dir, preload=SHIM):
        env = dict(os.environ, LD_PRELOAD=preload, EFS_CACHE_DIR=cache_dir)
        self.process = subprocess.Popen([sys.executable, "-c", APP, cache_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=env, preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def read(self, paths):
        """[hit, length or -errno, versions] of each."""
        self.process.stdin.write(json.dumps(paths).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            fail(f"the application ended with {self.process.wait(10)}")
        return json.loads(line)

    def check(self, versions, size=BLOCK):
        """Every path has its version, whole; how many came from a copy."""
        hits = 0
        for path, (hit, length, found) in zip(versions, self.read(list(versions))):
            check(length == size and found == [versions[path]],
                  f"{path}: {length} bytes of version {found}, not {size} of {versions[path]} ({'copy' if hit else 'source'})")
            hits += hit
        return hits

    def warm(self, versions, size=BLOCK, share=1.0, seconds=60):
        """Read until that share of them are hits."""
        end = time.monotonic() + seconds
        while (hits := self.check(versions, size)) < share * len(versions):
            if time.monotonic() > end:
                fail(f"{hits} of {len(versions)} are hits after {seconds} s")
            time.sleep(0.1)


class CacheSidecar(Sidecar):
    def __init__(self, root, *options, cache_dir=None, rules="", **more):
        top = root if isinstance(root, str) else root.decode()
        os.chmod(top, 0o755)
        self.cache_dir = cache_dir or os.path.join(top, "cache")
        self.share = os.path.join(top, "share")
        os.makedirs(self.share, exist_ok=True)
        rules = ["--cache-rules=" + rules] if rules else []
        super().__init__(root, "--profile=cache", "--cache-dir=" + self.cache_dir, "--cache-min-free=0", *rules, *options, **more)
        self.name = self.share.lstrip("/").replace("/", "-")

    def at(self, path):
        return os.path.join(self.share, path)

    def copy(self, path, tree=""):
        return os.path.join(self.cache_dir, tree, self.name, path)

    def wait_cache(self, status="True"):
        wait_for(lambda: self.condition("CacheReady")["status"] == status,
                 lambda: f"CacheReady does not become {status}: {self.condition('CacheReady')}")

    def cache(self):
        return self.get("/v1/cache")[1]["mounts"][0]

    def post(self, what, **body):
        return self.request("POST", "/v1/cache/" + what, json.dumps(body))
