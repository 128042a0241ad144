"""an application behind the cache reads nothing older than the mode's bound and no mixture, while a peer writes and things die"""

import json
import time

from harness.errors import check
from harness.sidecar import Sidecar

HOSTS = 2
DEADLINE_S = 240

FILES, BLOCKS = 40, 16
BOUND_S = 4
CACHE = "/run/cache"
OPTIONS = f"--profile=cache --cache-dir={CACHE} --cache-rules='b/**=bounded:{BOUND_S}s' --cache-min-free=0"

# One look at every file: how many were copies, and the versions that were found in their blocks.
READER = """
import json, os, struct, sys
found, hits = {"b": set(), "v": set()}, {"b": 0, "v": 0}
for d in found:
    for i in range(%d):
        with open(f"/mnt/data/{d}/{i}", "rb", buffering=0) as f:
            hits[d] += os.readlink(f"/proc/self/fd/{f.fileno()}").startswith("%s")
            data = f.read()
        found[d].add(tuple(sorted({struct.unpack_from("<Q", data, at)[0] for at in range(0, len(data), 512)})) + (len(data),))
print(json.dumps({"found": {d: sorted(v) for d, v in found.items()}, "hits": hits}))
""" % (FILES, CACHE)

# All files get a version, in every 512 bytes: in place and of the same size, or beside it and renamed.
WRITER = """
import os, sys
top, version, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
data = (version.to_bytes(8, "little") + b"." * 504) * %d
for d in "b", "v":
    os.makedirs(f"{top}/{d}", exist_ok=True)
    for i in range(%d):
        path = f"{top}/{d}/{i}"
        to = path + ".new" if how == "rename" else path
        fd = os.open(to, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, data)
        os.fchmod(fd, 0o644)
        os.close(fd)
        if how == "rename":
            os.rename(to, path)
""" % (BLOCKS, FILES)


class Truth:
    def __init__(self, cluster):
        self.cluster, self.host, self.peer = cluster, cluster.host(1), cluster.host(2)
        self.version, self.hits, self.opens = 0, 0, 0

    def start(self, **how):
        sidecar = Sidecar(self.host, "/mnt/data", task="reader", options=OPTIONS, **how)
        sidecar.wait("CacheReady", "True", "Ready", 30)
        return sidecar

    def write(self, how="inplace", host=None, top="/mnt/data"):
        """The next version everywhere; when the last write had ended."""
        self.version += 1
        (host or self.peer).run(["python3", "-c", WRITER, top, str(self.version), how], timeout=60)
        return time.monotonic()

    def read(self, steady=False):
        """When the opens began, hits and versions; nothing is mixed or from the future."""
        began = time.monotonic()
        out = json.loads(self.host.run(["python3", "-c", READER], timeout=60,
                                       env={"LD_PRELOAD": f"{self.cluster.build}/libefscache.so", "EFS_CACHE_DIR": CACHE}).stdout)
        for kinds in out["found"].values():
            for *versions, length in kinds:
                check(len(versions) == 1 and length == BLOCKS * 512 and versions[0] <= self.version,
                      f"a mixture, or no version at all: {versions}, {length} bytes")
        if steady:
            self.hits += sum(out["hits"].values())
            self.opens += 2 * FILES
        return began, out["hits"], {d: {v[0] for v in kinds} for d, kinds in out["found"].items()}

    def follows(self, written, what):
        """Who asks at each open sees it at once, the others within the bound."""
        while True:
            began, _, found = self.read()
            check(found["v"] == {self.version}, f"{what}: {found['v']} where each open asks, not {self.version}")
            if found["b"] == {self.version}:
                return
            check(began < written + BOUND_S, f"{what}: {found['b']} is older than {BOUND_S} s, {self.version} is there")

    def warm(self, what):
        """The cache is in use again; then it stays so."""
        end = time.monotonic() + 60
        while sum(self.read()[1].values()) < 2 * FILES * 0.9:
            check(time.monotonic() < end, f"{what}: {self.read()} are hits")
        for _ in range(3):
            self.read(steady=True)


def run(cluster):
    truth = Truth(cluster)
    truth.host.mount()
    truth.peer.mount()
    writing = Sidecar(truth.peer, "/mnt/data", task="writer")
    truth.write()
    sidecar = truth.start()
    sidecar.ready(30)
    writing.ready(30)
    truth.warm("at first")

    for how in "inplace", "rename":
        truth.follows(truth.write(how), how)
        told = sidecar.get("/v1/cache").body["mounts"][0]
        truth.warm(how)
    check(told["invalidations"] >= FILES, f"the feed removed only {told['invalidations']} copies")

    # Behind everybody's back, without a sidecar.
    truth.follows(truth.write(host=cluster.server, top=cluster.server.path("normal")), "on the server")

    # Nothing is heard and nothing is done: the bound runs out by itself.
    sidecar.process.signal(19)
    written = truth.write()
    truth.follows(written, "with the sidecar stopped")
    _, hits, _ = truth.read()
    check(hits["b"] == 0, f"{hits} copies are used although nobody keeps them fresh")
    sidecar.process.signal(18)
    truth.warm("after it went on")

    writing.process.signal(9)
    sidecar.process.signal(9)
    truth.follows(truth.write("rename"), "with the sidecar killed")
    sidecar = truth.start()
    truth.follows(truth.write(), "with a new sidecar")
    truth.warm("with a new sidecar")
    cluster.log(f"{truth.hits} hits in {truth.opens} opens between faults")
    check(truth.hits >= 0.8 * truth.opens, f"{truth.hits} hits in {truth.opens} opens")
    sidecar.stop(15)
