"""Locks on several hosts while everything is killed, cut and frozen.

    chaos = Chaos(cluster, seed=7)
    chaos.start()
    chaos.faults(["kill_sidecar", "cut_long"])      # each on a host and on locks that the seed chooses
    chaos.finish(500)                               # until so many were granted, and every lock can be had once more
    chaos.check()
    print(chaos.report())

Workers take the locks by `efsctl lock` in turns. A fault starts its own holders first, its victims, which would hold for longer than
it lasts; half of them do not heed SIGTERM, some are a child of what efsctl started. A sidecar that ends is started again, as ECS would. What commands say about themselves
leaves by their standard output: it is not on the share, and outlives their host.
"""

import os
import re
import time

from . import chaos
from .chaos import HOST_FAULTS, PAST_VALID_S, Fault, nothing
from .errors import Failure, check
from .locks import Command
from .lockview import History

NAMES = [f"lock{i}" for i in range(12)]
WORKERS, HOLD_MS = 3, 60
VICTIMS_WAIT_S = 25
LAST_TURN_S = 90  # the death of a host, the fence, and those who wait before


class Victim(Command):
    """It holds a lock when the fault comes. run is of lockview, None until it runs."""

    run = None

    def command(self):
        return self.run and self.run.pid

    def efsctl(self):
        return self.run and self.process.pid

    def guard(self):
        return self.run and int(self.host.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], check=False).stdout.strip() or 0)


class Member(chaos.Member):
    """A host with a sidecar and workers."""

    def __init__(self, storm, number):
        super().__init__(storm, number)
        self.workers, self.past_workers, self.victims, self.former = [], [], [], []
        self.fence_waits = {}  # of each of its sidecars

    def boot(self):
        self.collect()
        self.workers, self.past_workers, self.victims, self.former = [], [], [], []
        super().boot()

    def supervise(self):
        super().supervise()
        if self.is_up() and not self.workers and self.chaos.working:
            for _ in range(WORKERS):
                seed = str(self.chaos.random.randrange(1, 1 << 40))
                self.workers.append(self.host.spawn(["lockwork", "run", seed, "0", str(HOLD_MS)] + NAMES))

    def stop_workers(self):
        """What they started goes on, and is heard."""
        for worker in self.workers:
            worker.signal(9)
        self.past_workers += self.workers
        self.workers = []

    def collect(self):
        for process in self.workers + self.past_workers:
            self.note(process)
        for victim in self.victims + self.former:
            victim.run = self.note(victim.process) or victim.run

    def note(self, process):
        """The last Run that it tells of."""
        run = None
        for line in process.take_output().splitlines():
            self.chaos.signs.write(f"{self.life()}: {line}\n")
            run = self.chaos.history.add(self.life(), line)
        return run

    def count_fence_waits(self):
        """Of a sidecar that is about to end."""
        text = self.host.run("curl -sS --max-time 3 --unix-socket /run/efs-sidecar/api.sock http://sidecar/metrics", check=False).stdout
        found = re.search(r"^efs_sidecar_lock_fence_waits\w*(?:\{.*\})? ([0-9.e+]+)$", text, re.M)
        self.fence_waits[self.sidecar] = int(float(found[1])) if found else 0

    def signal_sidecar(self, name):
        if name == "KILL":
            self.count_fence_waits()
        super().signal_sidecar(name)

    def take(self, names):
        """A victim under each of these locks, as far as they can be had soon. A host that was cut off may refuse at first."""
        self.victims = [self.victim(name) for name in names]
        end = time.monotonic() + VICTIMS_WAIT_S
        while time.monotonic() < end and not all(v.run for v in self.victims):
            self.chaos.pause(0.05)
            for i, victim in enumerate(self.victims):
                if not victim.run and victim.process.poll() is not None:
                    self.former.append(victim)
                    self.chaos.pause(0.3)
                    self.victims[i] = self.victim(victim.name)
        check(any(v.run for v in self.victims), f"seed {self.chaos.seed}: nobody on {self.host.name} got any of {names}")

    def victim(self, name):
        choice = self.chaos.random
        return Victim(self.host, name, options="--wait=60s", stubborn=choice.random() < self.chaos.stubborn, family=choice.random() < 0.3)

    def signal_victims(self, name, whom):
        for pid in filter(None, [whom(victim) for victim in self.victims]):
            self.host.run(["kill", f"-{name}", str(pid)], check=False)

    def before_fault(self, fault):
        names, rest = self.chaos.names[:fault.victims], self.chaos.names[fault.victims:]
        self.chaos.names = rest + names
        self.take(names)
        running = [v.run for v in self.victims if v.run]
        return ", ".join(map(str, running)), {(run.name, run.token) for run in running}

    def after_fault(self):
        """The victims that are left end; what they still say is heard."""
        if self.host.alive():
            for victim in self.victims:
                victim.process.signal(15)
            self.signal_victims("KILL", Victim.command)
        self.former += self.victims
        self.victims = []

    def kill_host(self):
        self.count_fence_waits()
        super().kill_host()

    def freeze(self):
        """The command, and nobody is left who could prove its lock."""
        self.signal_victims("STOP", Victim.command)
        self.signal_sidecar("KILL")

    def freeze_guard(self):
        self.signal_victims("STOP", Victim.guard)
        self.signal_sidecar("KILL")


FAULTS = {
    "kill_command": Fault(lambda m: m.signal_victims("KILL", Victim.command), 0.5, nothing, 1, None),
    "term_efsctl": Fault(lambda m: m.signal_victims("TERM", Victim.efsctl), 0.5, nothing, 1, None),
    "kill_efsctl": Fault(lambda m: m.signal_victims("KILL", Victim.efsctl), 0.5, nothing, 1, "victims"),
    "kill_guard": Fault(lambda m: m.signal_victims("KILL", Victim.guard), 0.5, nothing, 1, None),
    "stop_efsctl": Fault(lambda m: m.signal_victims("STOP", Victim.efsctl), PAST_VALID_S,
                         lambda m: m.signal_victims("CONT", Victim.efsctl), 2, "victims"),
    "freeze_command": Fault(Member.freeze, PAST_VALID_S, nothing, 3, "host"),
    "freeze_guard": Fault(Member.freeze_guard, PAST_VALID_S, nothing, 3, "host"),
    **HOST_FAULTS,
}


class Chaos(chaos.Chaos):
    def __init__(self, cluster, hosts=3, seed=1, omit=None):
        super().__init__(cluster, Member, History(), FAULTS, hosts, seed, omit)
        self.names = list(NAMES)  # those whose last fault is longest ago come first
        self.random.shuffle(self.names)
        self.stubborn = 0.5
        self.signs = open(os.path.join(cluster.results_dir, "signs"), "a", encoding="utf-8", buffering=1)

    def granted(self):
        return len(self.history.runs)

    def finish(self, granted, timeout=24 * 3600):
        self.working = True
        end = time.monotonic() + timeout
        while self.granted() < granted:
            check(time.monotonic() < end, f"seed {self.seed}: only {self.granted()} of {granted} acquisitions within {timeout} s")
            self.pause(0.5)
        self.seconds = time.monotonic() - self.began
        self.working = False
        for member in self.members:
            member.stop_workers()
        last = [Victim(self.members[0].host, name, ms=1, options=f"--wait={LAST_TURN_S}s") for name in NAMES]
        self.members[0].former += last
        try:
            self.cluster.wait_until(lambda: self.pause(0.2) or all(v.process.poll() is not None for v in last), LAST_TURN_S + 10,
                                    "all locks had once more")
        except Failure as failure:
            self.problems.append(str(failure))
        for victim in last:
            if victim.process.poll() != 0:
                self.problems.append(f"{victim.name} could not be had in the end: {victim.process.stderr[-300:]}")
        for member in self.members:
            member.count_fence_waits()

    def fence_waits(self):
        return sum(sum(member.fence_waits.values()) for member in self.members)

    def verdict(self):
        return self.problems + self.history.problems(self.ticks.ms(1))

    def check(self):
        self.fail_if(self.verdict(), f"{self.granted()} acquisitions")

    def report(self):
        history = self.history
        return (f"seed {self.seed}: {self.granted()} acquisitions of {len(NAMES)} locks on {len(self.members)} hosts in {self.seconds:.0f} s, "
                f"{self.fence_waits()} unclean take-overs, {sum(self.done.values())} faults; clocks related within {history.uncertainty_ms * 1000:.0f} us; "
                f"alive {max(history.late_ms, 0):.0f} ms past the end of a lock at most, {history.thawed_ms:.0f} ms after a thaw")
