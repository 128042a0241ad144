"""the whole task under load with faults for an hour: nothing lost, nothing mixed, memory, descriptors and threads flat: make soak

Three hosts do what `make chaos-queue` does: uploads, publish, claims, locks, while apps, sidecars and hosts are killed, cut off and frozen.
Beside it each reads hot files through the cache, one of them renews those, and a stream of changes and of metrics is read. The sidecar
of the first host is never killed itself, so what it uses can be compared over the time.
"""

import os
import random
import time

from harness import queuechaos
from harness.errors import check
from harness.queuechaos import APP_FAULTS, FAULTS, App
from harness.resources import Usage

HOSTS = 3
DEADLINE_S = 86400
SAMPLE_S, FAULTS_PER_ROUND = 15, 6
KILLS = "kill_sidecar", "kill_host"
HOT, FILES, BLOCKS, BOUND_S = "/mnt/data/hot", 200, 8, 4
CACHE = "/run/cache"

# Ends with 3 when a file is not one version in every block; else says now and then how many opens were copies.
READ = f"""
import os, sys, time
opens = hits = turns = 0
while True:
    for i in range({FILES}):
        try:
            f = open(f"{HOT}/{{i}}", "rb", buffering=0)
        except OSError:
            continue
        with f:
            opens += 1
            hits += os.readlink(f"/proc/self/fd/{{f.fileno()}}").startswith("{CACHE}")
            data = f.read()
            if len(data) != {BLOCKS * 512} or len({{data[at:at + 8] for at in range(0, len(data), 512)}}) != 1:
                print(f"mixed: {{i}}: {{len(data)}} bytes {{data[:8]}}", file=sys.stderr)
                sys.exit(3)
    turns += 1
    if turns % 20 == 0:
        print(opens, hits, flush=True)
    time.sleep(1)
"""
WRITE = f"""
import os, time
os.makedirs("{HOT}", exist_ok=True)
version = time.time_ns()
def renew(i):
    global version
    version += 1
    with open("{HOT}/.new", "wb") as f:
        f.write((version.to_bytes(8, "little") + b"." * 504) * {BLOCKS})
    os.rename("{HOT}/.new", f"{HOT}/{{i}}")
for i in range({FILES}):
    if not os.path.exists(f"{HOT}/{{i}}"):
        renew(i)
while True:
    time.sleep(0.5)
    renew(version % {FILES})
"""


class Hot(App):
    """Says with its exit code what it found."""

    def supervise(self):
        if self.process and self.process.poll() == 3 and not self.ended:
            self.member.chaos.problems.append(f"{self.member.life()}: {self.process.stderr[-300:]}")
        super().supervise()

    def counts(self):
        """(opens, hits) of this run of it."""
        words = self.process.stdout.splitlines()[-1:] if self.process else []
        return tuple(map(int, words[0].split())) if words and len(words[0].split()) == 2 else (0, 0)


class Member(queuechaos.Member):
    OPTIONS = (f"{queuechaos.Member.OPTIONS} --profile=cache --cache-dir={CACHE} --cache-rules='hot/**=bounded:{BOUND_S}s' --cache-min-free=0 "
               "--metrics-interval=10s")

    def forget(self):
        super().forget()
        shim = f"{self.chaos.cluster.build}/libefscache.so"
        self.hot = Hot(self, lambda n: ["env", f"LD_PRELOAD={shim}", f"EFS_CACHE_DIR={CACHE}", "python3", "-c", READ])
        self.others += [self.hot, App(self, lambda n: "curl -sN --unix-socket /run/efs-sidecar/api.sock http://sidecar/v1/changes >/dev/null"),
                        App(self, lambda n: "curl -s --unix-socket /run/efs-sidecar/api.sock http://sidecar/metrics >/dev/null; exec sleep 15")]
        if self.host.number == 2:
            self.others.append(App(self, lambda n: ["python3", "-c", WRITE]))


class Soak(queuechaos.Chaos):
    MEMBER = Member

    def __init__(self, cluster, seed):
        super().__init__(cluster, seed=seed)
        self.usage, self.sampled, self.kills = Usage(), 0, False

    def left(self):
        return [name for name in super().left() if not name.startswith("hot/")]

    def next_member(self):
        """The sidecar of the first host lives from the beginning to the end."""
        member = super().next_member()
        while self.kills and member is self.members[0]:
            self.pause(1)
            member = super().next_member()
        return member

    def faults(self, names):
        for name in names:
            self.kills = name in KILLS
            super().faults([name])

    def pause(self, seconds):
        super().pause(seconds)
        if self.working and time.monotonic() >= self.sampled + SAMPLE_S:
            self.sampled = time.monotonic()
            for member in self.members:
                if member.is_up() and not member.fault:
                    self.usage.sample(member.host, member.life())


def run(cluster):
    seconds = int(os.environ.get("SOAK_SECONDS") or 3600)
    seed = int(os.environ.get("SEED") or time.time())
    choice = random.Random(seed)
    soak = Soak(cluster, seed)
    soak.start()
    while time.monotonic() < soak.began + seconds:
        soak.working = True
        names = choice.choices(list(FAULTS), k=FAULTS_PER_ROUND) + choice.choices(APP_FAULTS, k=2)
        choice.shuffle(names)
        soak.faults(names)
        opens, hits = soak.members[0].hot.counts()
        cluster.log(f"{time.monotonic() - soak.began:.0f} s: {soak.uploaded()} uploads, {hits} of {opens} opens of hot files were copies")
        soak.finish(soak.uploaded())
        soak.check()
    long_s = seconds / 2
    report = f"{soak.report()}\nhot files: {hits} of {opens} opens were copies\n{soak.usage.table(long_s)}"
    with open(os.path.join(cluster.results_dir, "report"), "w", encoding="utf-8") as file:
        file.write(report + "\n")
    growth = soak.usage.growth(long_s)
    check(not growth, f"seed {seed}: {'; '.join(growth)}\n{report}")
    check(hits > opens / 2, f"seed {seed}: only {hits} of {opens} opens of hot files were copies")
