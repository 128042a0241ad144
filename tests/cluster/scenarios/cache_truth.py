"""no read through the cache is older than its mode's bound, none is mixed: rewrites within one tick, no close, no sidecar, stopped, killed and cut off; the check would notice"""

import json
import os
import time

from harness.errors import Failure, check, equal
from harness.sidecar import Sidecar

HOSTS = 2
DEADLINE_S = 400

FILES = int(os.environ.get("TRUTH_FILES") or 80)  # in each directory
BLOCKS, BOUND_S, TICK_FILES = 8, max(4, FILES // 20), 10
RUN_S = 60 + FILES
DIRS = "b", "p", "v"  # bounded, pinned and bounded, validate
REWRITES = 1000
CACHE = "/run/cache"
OPTIONS = (f"--profile=cache --cache-dir={CACHE} --cache-rules='b/**=bounded:{BOUND_S}s,p/**=bounded:{BOUND_S}s' --cache-pin='/p/**' "
           "--cache-min-free=0 --feed-poll=200ms --feed-poll-idle=500ms --watch-batch=50ms")

COMMON = """
import json, os, resource, struct, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
DIRS, FILES, BLOCKS, TICK_FILES = %r, %d, %d, %d
def content(version):
    return (version.to_bytes(8, "little") + b"." * 504) * BLOCKS
def write(path, version, how):
    to = path + ".new" if how == "rename" else path
    fd = os.open(to, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, content(version))
    os.fchmod(fd, 0o644)
    os.close(fd)
    if how == "rename":
        os.rename(to, path)
""" % (DIRS, FILES, BLOCKS, TICK_FILES)

# One look at every file: how many were copies, and the versions that were found in their blocks.
READ = COMMON + """
found, hits = {d: set() for d in DIRS}, {d: 0 for d in DIRS}
for d in DIRS:
    for i in range(FILES):
        with open(f"/mnt/data/{d}/{i}", "rb", buffering=0) as f:
            hits[d] += os.readlink(f"/proc/self/fd/{f.fileno()}").startswith("%s")
            data = f.read()
        found[d].add((len(data), *sorted({struct.unpack_from("<Q", data, at)[0] for at in range(0, len(data), 512)})))
print(json.dumps([hits, {d: sorted(v) for d, v in found.items()}]))
""" % CACHE

WRITE = COMMON + """
top, version, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for d in DIRS:
    os.makedirs(f"{top}/{d}", exist_ok=True)
    for i in range(FILES):
        write(f"{top}/{d}/{i}", version, how)
"""

# Every file, a few times in a row, each time on the server before the next; the last is the version that is told.
REWRITE = COMMON + """
last, rewrites = int(sys.argv[1]), int(sys.argv[2])
fds = [os.open(f"/mnt/data/{d}/{i}", os.O_WRONLY | os.O_DSYNC) for d in DIRS for i in range(FILES)]
some, ticks = fds[::max(1, len(fds) // 240)], []
for n in range(rewrites):
    fd = some[n * len(some) // rewrites]
    os.pwrite(fd, content(last - rewrites + 1 + n), 0)
    ticks.append((fd, os.fstat(fd).st_mtime_ns))
for fd in fds:
    os.pwrite(fd, content(last), 0)
print(len(ticks) - len(set(ticks)), flush=True)
"""

# No close, but the data are on the server.
HOLD = COMMON + """
import time
fds = []
for d in DIRS:
    for i in range(FILES):
        fds.append(os.open(f"/mnt/data/{d}/{i}", os.O_WRONLY))
        os.pwrite(fds[-1], content(int(sys.argv[1])), 0)
        os.fsync(fds[-1])
print("held", flush=True)
time.sleep(300)
"""

# On the server, whose clock stands still: two versions in all files of a directory, a second apart and with the same time stamps.
ONE_TICK = COMMON + """
import time
top, version, now = sys.argv[1], int(sys.argv[2]), int(time.time())
def put(version):
    time.clock_settime(time.CLOCK_REALTIME, now)
    for path in paths:
        write(path, version, "inplace")
    return [os.stat(path).st_ctime_ns for path in paths]
paths = [f"{top}/v/{i}" for i in range(TICK_FILES)]
began = put(version - 1)
time.sleep(1)
same = sum(a == b for a, b in zip(began, put(version)))
time.clock_settime(time.CLOCK_REALTIME, now + 1)
print(same)
"""

# Reads these files over and over, so that they are missed and copied.
READ_ON = COMMON + """
import time
while True:
    for i in range(TICK_FILES):
        with open(f"/mnt/data/v/{i}", "rb") as f:
            f.read()
    time.sleep(0.02)
"""

# A task reads what it wrote: in place, by a rename, over and over, on files that are hot.
OWN = COMMON + """
version, wrong = int(sys.argv[1]), 0
for turn in range(5):
    for how in "inplace", "rename":
        for d in DIRS:
            for i in range(0, FILES, 10):
                version += 1
                path = f"/mnt/data/{d}/{i}"
                write(path, version, how)
                with open(path, "rb") as f:
                    wrong += f.read() != content(version)
print(wrong)
"""


class Truth:
    def __init__(self, cluster):
        self.cluster, self.host, self.peer = cluster, cluster.host(1), cluster.host(2)
        self.version, self.hits, self.opens, self.reads = 0, 0, 0, 0
        self.shim = {"LD_PRELOAD": f"{cluster.build}/libefscache.so", "EFS_CACHE_DIR": CACHE}

    def start_reader(self, **how):
        return Sidecar(self.host, "/mnt/data", task="reader", options=OPTIONS, **how)

    def start_writer(self):
        return Sidecar(self.peer, "/mnt/data", task="writer", options="--feed-poll=200ms --feed-poll-idle=500ms --watch-batch=50ms")

    def write(self, how="inplace", host=None, top="/mnt/data"):
        self.version += 1
        (host or self.peer).run(["python3", "-c", WRITE, top, str(self.version), how], timeout=RUN_S)
        return time.monotonic()

    def read(self):
        began = time.monotonic()
        hits, found = json.loads(self.host.run(["python3", "-c", READ], timeout=RUN_S, env=self.shim).stdout)
        self.reads += len(DIRS) * FILES
        for kinds in found.values():
            for length, *versions in kinds:
                check(len(versions) == 1 and length == BLOCKS * 512 and versions[0] <= self.version, f"mixed, or not a version: {versions}, {length} bytes")
        return began, hits, {d: {v[1] for v in kinds} for d, kinds in found.items()}

    def follows(self, written, what, bound_s=BOUND_S):
        """Who asks at each open sees it at once, the others within the bound."""
        while True:
            began, _, found = self.read()
            equal(f"{what}: versions where each open asks", found["v"], {self.version})
            if all(found[d] == {self.version} for d in DIRS):
                return
            check(began < written + bound_s, f"{what}: {found} {began - written:.1f} s after {self.version} was written")

    def warm(self, what):
        """The cache is in use again; then it stays so."""
        end = time.monotonic() + RUN_S + 30
        while sum((hits := self.read()[1]).values()) < 0.9 * len(DIRS) * FILES:
            check(time.monotonic() < end, f"{what}: {hits} hits of {FILES} each")
        for _ in range(2):
            self.hits += sum(self.read()[1].values())
            self.opens += len(DIRS) * FILES

    def signal_watch(self, host, number):
        host.run(f"kill -{number} $(pidof efs-watch)")


def rewrites(truth):
    truth.version += REWRITES
    result = truth.peer.run(["python3", "-c", REWRITE, str(truth.version), str(REWRITES)], timeout=RUN_S)
    written = time.monotonic()
    same = int(result.stdout)
    check(same > REWRITES / 4, f"only {same} of {REWRITES} rewrites share a time stamp with another one")
    truth.cluster.log(f"{same} of {REWRITES} rewrites of the same size share the file's time stamp with another one")
    truth.follows(written, "rewrites within one tick")


def faults(truth, reader, writer):
    host, peer = truth.host, truth.peer

    reader.process.signal(19)
    truth.follows(truth.write(), "with the reader's sidecar stopped")
    equal("bounded hits while nobody keeps them fresh", truth.read()[1]["b"], 0)
    reader.process.signal(18)
    truth.warm("after it went on")

    truth.signal_watch(host, 19)
    truth.follows(truth.write("rename"), "with the reader's efs-watch stopped")
    truth.signal_watch(host, 18)
    truth.signal_watch(peer, 19)
    truth.follows(truth.write(), "with the writer's efs-watch stopped")
    truth.signal_watch(peer, 18)
    writer.process.signal(19)
    truth.follows(truth.write("rename"), "with the writer's sidecar stopped")
    truth.warm("with the writer's sidecar stopped")
    truth.follows(truth.write(), "with the writer's sidecar stopped, and copies")
    writer.process.signal(18)
    truth.signal_watch(host, 9)
    truth.signal_watch(peer, 9)
    truth.follows(truth.write("rename"), "with both efs-watch killed")
    truth.warm("after efs-watch")

    peer.link_down()
    truth.follows(truth.write(host=truth.cluster.server, top=truth.cluster.server.path("normal")), "with the writer cut off")
    peer.link_up()
    host.link_down()
    written = truth.write(host=truth.cluster.server, top=truth.cluster.server.path("normal"))
    time.sleep(BOUND_S)
    host.link_up()
    truth.follows(written, "after the reader was cut off", bound_s=BOUND_S)
    truth.warm("after the cuts")

    writer.process.signal(9)
    reader.process.signal(9)
    truth.follows(truth.write("rename"), "with both sidecars killed")
    reader = truth.start_reader()
    truth.follows(truth.write(), "with a new sidecar")
    truth.warm("with a new sidecar")
    return reader


def one_tick(truth):
    """Twice the same time stamps, read all the while: is what is read then the second version?"""
    readers = truth.host.spawn(["python3", "-c", READ_ON], env=truth.shim)
    truth.version += 2
    server = truth.cluster.server
    same = server.run(["python3", "-c", ONE_TICK, server.path("normal"), str(truth.version)], timeout=60).stdout.strip()
    truth.cluster.log(f"{same} of {TICK_FILES} files have the same time stamps as before")
    found = {}
    for _ in range(3):  # the last copies may be on their way
        found = truth.read()[2]["v"]
        check(truth.version - 1 not in found, f"{truth.version - 1} is read where each open asks, and {truth.version} is there")
        time.sleep(1)
    readers.kill()


def noticed(truth, reader):
    """Without the two seconds in which a file has to stand still, reads are old, and that is seen; with them it never happens."""
    one_tick(truth)
    reader.stop(15)
    reader = truth.start_reader(program=f"{truth.cluster.build}-hooks/efs-sidecar", env={"EFS_SIDECAR_OMIT": "settle"})
    truth.follows(truth.write(), "with a safeguard left out")
    for _ in range(10):
        try:
            one_tick(truth)
        except Failure as failure:
            truth.cluster.log(f"with `settle` left out: {failure}")
            return reader
    raise Failure("with `settle` left out no read was old: this scenario would notice nothing")


def published(truth, reader):
    """The next open after the event is new, and a program that watches the mirror is told."""
    mirror = truth.host.spawn(f"exec inotifywait -m -e moved_to --format=%f {CACHE}/mnt-data/p")
    mirror.wait_output("Watches established", 30)
    seen = reader.changes("?op=publish")
    truth.version += 1
    for d in DIRS:
        truth.peer.run(["sh", "-c", 'python3 -c "$1" "$2" >/run/new && efsctl publish --replace --keep /run/new "$3"', "sh",
                        COMMON + "sys.stdout.buffer.write(content(int(sys.argv[1])))", str(truth.version), f"{d}/7"], timeout=30)
        seen.wait_output(f'"{d}/7"', 30)
        check(truth.version in truth.read()[2][d], f"{d}/7 is old after its event")
    mirror.wait_output("^7$", 30)
    equal("the mirror's file", truth.host.run(["cmp", f"{CACHE}/mnt-data/p/7", "/mnt/data/p/7"]).rc, 0)


def run(cluster):
    truth = Truth(cluster)
    truth.host.mount()
    truth.peer.mount()
    writer = truth.start_writer()
    truth.write()
    reader = truth.start_reader()
    reader.ready(30)
    writer.ready(30)
    truth.warm("at first")
    for how in "inplace", "rename":
        truth.follows(truth.write(how), how)
    truth.warm("after writes")
    published(truth, reader)
    truth.follows(truth.write(host=cluster.server, top=cluster.server.path("normal")), "without a sidecar")

    truth.version += 1
    holder = truth.peer.spawn(["python3", "-c", HOLD, str(truth.version)])
    holder.wait_output("^held", 30)
    truth.follows(time.monotonic(), "written and not closed")
    holder.kill()
    rewrites(truth)
    equal("reads of a task that were not what it wrote", truth.host.run(["python3", "-c", OWN, str(truth.version)], timeout=RUN_S, env=truth.shim).stdout.strip(), "0")
    truth.version += 5 * 2 * len(DIRS) * FILES // 10
    truth.follows(truth.write(), "after its own writes")
    truth.warm("after rewrites")
    told = reader.get("/v1/cache").body["mounts"][0]
    check(told["invalidations"] >= FILES, f"the feed removed only {told['invalidations']} copies")
    reader = faults(truth, reader, writer)
    cluster.log(f"{truth.reads} reads, none too old, none mixed; {truth.hits} hits in {truth.opens} opens between faults")
    check(truth.hits >= 0.8 * truth.opens, f"{truth.hits} hits in {truth.opens} opens")
    noticed(truth, reader).stop(15)
