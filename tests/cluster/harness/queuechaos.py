"""Uploads that are published, claimed and processed on several hosts while everything is killed, cut and frozen.

    chaos = Chaos(cluster, seed=7)
    chaos.start()
    chaos.faults(["kill_writer", "cut_long"])       # each on a host that the seed chooses
    chaos.finish(2000)                              # until so many were uploaded, and all of them are processed
    chaos.check()
    print(chaos.report())

Each host is a task with an app that uploads (into the task's directory, then `efsctl publish`), one that processes (`efsctl claim`), one that
reads what is there, and one that publishes a token under a lock. What ends is started again. They speak on the console of their
kernel, which is a file outside the share.
"""

import collections
import os
import re
import time

from . import chaos
from .chaos import HOST_FAULTS, PAST_VALID_S, Fault, nothing
from .errors import Failure, check
from .locks import SETTINGS
from .queueview import Queue

UPLOADS, CONFIG = "/mnt/data/uploads", "/mnt/data/config"
BATCH, MAX_ATTEMPTS = 4, 6
PREFIX = "queue: "
SETTLE_S = 150  # the death of a host, its fence, a round of the reaper, attempts of poison
# What may be there in the end beside directories: the state, the records of who claims, and what an app that was killed had written.
OWN = re.compile(r"^(\.efs-sidecar/.*|config|tasks/[^/]+/(config-[^/]+|\.owner|\.claims/[^/]+/(\.owner|\d+\.queue)))$")

CLAIMS = re.compile(r"^(tasks/[^/]+/\.claims)/([^/]+)/")


class App:
    """A program that is started again when it ends, with another number."""

    PAUSE_S = 0.4

    def __init__(self, member, command):
        self.member, self.command = member, command
        self.process, self.starts, self.ended = None, 0, 0

    def supervise(self):
        if self.process and self.process.poll() is None:
            return
        if self.process and not self.ended:
            self.ended = time.monotonic()
        if not self.process or time.monotonic() >= self.ended + self.PAUSE_S:
            self.starts, self.ended = self.starts + 1, 0
            self.process = self.member.host.spawn(self.command(self.starts))

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.runs():
            self.process.signal(number)


class Member(chaos.Member):
    """A host with a sidecar and apps."""

    OPTIONS = f"{SETTINGS} --claim-max-attempts={MAX_ATTEMPTS}"

    def __init__(self, storm, number):
        super().__init__(storm, number)
        self.offset, self.rest = self.host.console_size(), ""
        self.dir = f"/mnt/data/tasks/{self.host.name}"
        self.forget()

    def forget(self):
        """The apps ended with the host."""
        self.writers = [App(self, self.upload), App(self, self.config)]
        self.others = [App(self, self.claim), App(self, lambda n: ["queuework", "read", UPLOADS])]

    def upload(self, n):
        return ["queuework", "upload", f"{self.host.name}-{self.lives}-{n}", self.dir, UPLOADS]

    def config(self, _n):
        return f"while :; do efsctl lock --wait=5s config -- queuework config {self.dir} {CONFIG}; sleep 1; done"

    def claim(self, _n):
        return ["efsctl", "claim", f"--batch={BATCH}", UPLOADS, "--", "queuework", "process", "{}"]

    def boot(self):
        self.collect()
        self.forget()
        super().boot()

    def supervise(self):
        super().supervise()
        if self.is_up() and self.chaos.serving:
            for app in (self.writers if self.chaos.working else []) + self.others:
                app.supervise()

    def collect(self):
        with open(self.host.console_path(), "rb") as file:
            file.seek(self.offset)
            data = file.read()
        self.offset += len(data)
        lines = (self.rest + data.decode(errors="replace").replace("\r", "")).split("\n")
        self.rest = lines.pop()
        for line in lines:
            if line.startswith(PREFIX):
                self.chaos.signs.write(f"{self.life()}: {line[len(PREFIX):]}\n")
                self.chaos.history.add(self.life(), line[len(PREFIX):])

    def processor(self):
        return self.others[0]

    def signal_all(self, name, comm):
        """efsctl is who claims, one process for each file at once, and publishes; efsctl-guard, queuework-run."""
        self.host.run(["pkill", f"-{name}", "-x", comm], timeout=60, check=False)  # slow while the machine is busy

    def stop_writers(self):
        for app in self.writers:
            app.signal(9)

    def recover(self):
        return self.host.spawn(["queuework", "recover", self.dir, UPLOADS])


FAULTS = {
    "kill_writer": Fault(lambda m: m.writers[0].signal(9), 0.5, nothing, 0, None),
    "kill_publish": Fault(lambda m: m.writers[0].signal(10), 0.5, nothing, 0, None),
    "kill_command": Fault(lambda m: m.signal_all("KILL", "queuework-run"), 0.5, nothing, 0, None),
    "term_claim": Fault(lambda m: m.processor().signal(15), 0.5, nothing, 0, None),
    "kill_efsctl": Fault(lambda m: m.signal_all("KILL", "efsctl"), 0.5, nothing, 0, "host"),
    "kill_guard": Fault(lambda m: m.signal_all("KILL", "efsctl-guard"), 0.5, nothing, 0, None),
    "stop_efsctl": Fault(lambda m: m.signal_all("STOP", "efsctl"), PAST_VALID_S, lambda m: m.signal_all("CONT", "efsctl"), 0, "host"),
    **HOST_FAULTS,
}
APP_FAULTS = ("kill_writer", "kill_publish", "kill_command", "kill_guard")


class Chaos(chaos.Chaos):
    MEMBER = Member

    def __init__(self, cluster, hosts=3, seed=1, omit=None):
        super().__init__(cluster, self.MEMBER, Queue(), FAULTS, hosts, seed, omit)
        self.serving = True
        self.signs = open(os.path.join(cluster.results_dir, "signs"), "a", encoding="utf-8", buffering=1)
        self.server = Observer(self)

    def start(self, working=True):
        self.serving = False
        super().start(working)
        self.members[0].host.run(["mkdir", "-p", UPLOADS])
        self.server.start()
        self.serving = True

    def pause(self, seconds):
        super().pause(seconds)
        self.server.collect()

    def uploaded(self):
        return len(self.history.written)

    def wait_uploaded(self, count, timeout):
        end = time.monotonic() + timeout
        while self.uploaded() < count:
            check(time.monotonic() < end, f"seed {self.seed}: only {self.uploaded()} of {count} uploads within {timeout} s")
            self.pause(0.5)

    def finish(self, uploads, timeout=24 * 3600):
        self.wait_uploaded(uploads, timeout)
        self.stop_writers()
        self.settle()

    def stop_writers(self):
        """What they left in their directories is published."""
        self.working = False
        for member in self.members:
            member.stop_writers()
        self.pause(1)
        left = [member.recover() for member in self.members]
        self.until(lambda: all(p.poll() is not None for p in left), 60, "what writers left is published")
        self.problems += [f"recovery: {p.stderr[-300:]}" for p in left if p.poll() != 0]

    def settle(self, timeout=SETTLE_S):
        def settled():
            left = self.left()
            return not self.history.waiting(left) and not self.history.check_left(left)
        self.until(settled, timeout, "all is processed and nothing is left")
        self.seconds = time.monotonic() - self.began

    def until(self, condition, timeout, what):
        try:
            self.cluster.wait_until(lambda: self.pause(0.5) or condition(), timeout, what)
        except Failure as failure:
            self.problems.append(f"{failure}")

    def left(self):
        """The files that the share has, asked behind the clients' backs."""
        path = self.cluster.server.path()
        found = self.cluster.server.run(["find", path, "-ignore_readdir_race", "-type", "f", "-printf", "%P\\n"], timeout=30).stdout.splitlines()
        return [name for name in found if not OWN.match(name)] + self.former_claims(found)

    @staticmethod
    def former_claims(found):
        """A task claims in one directory; those of its earlier lives have to go."""
        of_task = collections.defaultdict(set)
        for match in filter(None, map(CLAIMS.match, found)):
            of_task[match[1]].add(match[2])
        return [f"{claims}: {', '.join(sorted(lives))}" for claims, lives in of_task.items() if len(lives) > 1]

    def verdict(self):
        return self.problems + self.history.problems(self.ticks.ms(1), self.left(), self.repeats())

    def repeats(self):
        """What was done when its claim could not be ended any more is done again: at most a batch of each claimer that was hit."""
        return sum(n * (BATCH + 1) * (len(self.members) if name == "restart_server" else 1) for name, n in self.done.items())

    def check(self):
        self.fail_if(self.verdict(), f"{self.uploaded()} uploads")

    def report(self):
        queue, history = self.history, self.history.history
        returned = sum(1 for run in history.runs.values() if run.token[1] > 0)
        dead = len(queue.dead_letters(self.left()))
        return (f"seed {self.seed}: {self.uploaded()} uploads on {len(self.members)} hosts in {self.seconds:.0f} s, {len(history.runs)} runs, "
                f"{returned} after a failure, {queue.repeated()} again after they were done, {dead} dead letters, {len(queue.tokens)} publishes "
                f"under a lock; {sum(self.done.values())} faults; clocks related within {history.uncertainty_ms * 1000:.0f} us; alive "
                f"{max(history.late_ms, 0):.0f} ms past the end of a claim at most, {history.thawed_ms:.0f} ms after a thaw")


class Observer(Member):
    """Who sees on the server which token is published."""

    def __init__(self, storm):
        self.chaos, self.host = storm, storm.cluster.server
        self.offset, self.rest, self.lives = self.host.console_size(), "", 1

    def start(self):
        self.host.spawn(["queuework", "follow", f"{self.host.path()}/config"])
