"""Hosts with sidecars to which faults happen, what lockchaos and queuechaos have in common.

A fault happens to one host, for a while; others may have theirs meanwhile, and one host is always left alone. A sidecar that ends is
started again, as ECS would.
"""

import collections
import random
import time

from . import feed
from .errors import Failure, check
from .feedview import Ticks
from .locks import FENCE_S, LEASE_S, SETTINGS, VALID_S

READY_S = 90

# begin(member), seconds until heal(member), on how much of what the member has, and what cannot be proven from then on: all that the
# host holds ("host"), what this is about ("victims"), or nothing that a check follows from
Fault = collections.namedtuple("Fault", "begin seconds heal victims unproven")
PAST_VALID_S, PAST_LEASE_S = VALID_S + 2, LEASE_S + 3


def nothing(_member):
    pass


class Member:
    """A host with a sidecar."""

    OPTIONS = SETTINGS

    def __init__(self, chaos, number):
        self.chaos, self.host = chaos, chaos.cluster.host(number)
        self.sidecar = None
        self.supervised = True
        self.lives = 0
        self.fault = self.fault_since = self.heal_at = None

    def boot(self):
        self.lives += 1
        self.host.mount()
        self.start_sidecar()

    def life(self):
        return f"{self.host.name} life {self.lives}"

    def start_sidecar(self):
        self.sidecar = self.host.spawn(f"exec {self.chaos.program} --task-name={self.host.name} {feed.INTERVALS} {self.OPTIONS} /mnt/data",
                                       env=self.chaos.env)

    def is_up(self):
        return self.host.alive() and not self.host.stopped

    def supervise(self):
        if not self.is_up() or not self.supervised:
            return
        code = self.sidecar.poll()
        if code is not None:
            if code != -9:
                self.chaos.problems.append(f"efs-sidecar on {self.host.name} ended with {code}: {self.sidecar.stderr[-500:]}")
            self.start_sidecar()

    def collect(self):
        """What was said there since."""
        raise NotImplementedError

    def gives_out_locks(self):
        return self.host.run(["efsctl", "lock", "--try", f"of-{self.host.name}", "--", "true"], check=False).rc == 0

    def signal_sidecar(self, name):
        self.host.run(["kill", f"-{name}", str(self.sidecar.pid)], check=False)

    def kill_host(self):
        self.host.kill()

    def boot_host(self):
        self.host.boot()
        self.boot()

    def before_fault(self, fault):
        """Whatever it is to happen to; words about it for the log, and {(name, token)} of it where a check follows from that."""
        return "", None

    def after_fault(self):
        pass


HOST_FAULTS = {
    "kill_sidecar": Fault(lambda m: m.signal_sidecar("KILL"), 1, nothing, 3, "host"),
    "stop_sidecar": Fault(lambda m: m.signal_sidecar("STOP"), PAST_VALID_S, lambda m: m.signal_sidecar("CONT"), 2, "host"),
    "kill_host": Fault(lambda m: m.kill_host(), 1, lambda m: m.boot_host(), 3, None),
    "stop_host": Fault(lambda m: m.host.stop(), LEASE_S + FENCE_S + 3, lambda m: m.host.cont(), 3, "host"),
    "cut": Fault(lambda m: m.host.link_down(), 4, lambda m: m.host.link_up(), 2, None),
    "cut_long": Fault(lambda m: m.host.link_down(), PAST_LEASE_S, lambda m: m.host.link_up(), 3, "host"),
    "restart_server": Fault(lambda m: m.host.cluster.server.restart_nfsd(), 1, nothing, 2, None),
}


class Chaos:
    def __init__(self, cluster, member, history, faults, hosts=3, seed=1, omit=None):
        """member: a class. omit: with a sidecar that leaves out this safeguard (lib/test_hook.h)."""
        self.cluster, self.seed, self.history, self.fault_table = cluster, seed, history, faults
        self.env = {"EFS_SIDECAR_OMIT": omit} if omit else None
        self.program = f"{cluster.build}-hooks/efs-sidecar" if omit else "efs-sidecar"
        self.random = random.Random(seed)
        self.problems, self.done = [], collections.Counter()
        self.ticks = Ticks(cluster)
        self.members = [member(self, n + 1) for n in range(hosts)]
        self.working = False

    def start(self, working=True):
        for member in self.members:
            member.boot()
        for member in self.members:
            self.cluster.wait_until(member.gives_out_locks, 60, f"{member.host.name} gives out locks")
        self.working, self.began = working, time.monotonic()

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while True:
            for member in self.members:
                if member.fault and time.monotonic() >= member.heal_at:
                    self.heal(member)
                member.supervise()
                member.collect()
            if time.monotonic() >= end:
                return
            time.sleep(0.1)

    def faults(self, names):
        """One after the other begins; one host is always left alone."""
        for name in names:
            self.fault(name, self.next_member())
        while any(m.fault for m in self.members):
            self.pause(0.1)

    def next_member(self):
        order = self.random.sample(self.members, len(self.members))
        end = time.monotonic() + READY_S
        while True:
            self.pause(0.1)
            free = [m for m in order if not m.fault]
            ready = next((m for m in free if m.gives_out_locks()), None) if len(free) > 1 else None
            if ready:
                return ready
            check(time.monotonic() < end, f"seed {self.seed}: no host gives out locks within {READY_S} s after {dict(self.done)}")

    def fault(self, name, member):
        fault = self.fault_table[name]
        words, victims = member.before_fault(fault)
        self.cluster.log(f"FAULT {name} on {member.host.name}: {words}")
        self.done[name] += 1
        before = self.now()
        fault.begin(member)
        after = self.now()
        if fault.unproven:
            self.history.unproven(member.life(), after, VALID_S * 1000, name, None if fault.unproven == "host" else victims)
        member.fault, member.fault_since, member.heal_at = fault, before, time.monotonic() + fault.seconds

    def heal(self, member):
        fault, member.fault = member.fault, None
        if member.host.stopped:
            self.history.frozen(member.life(), member.fault_since, self.now())
        fault.heal(member)
        member.after_fault()

    def now(self):
        """By the counter that all machines share."""
        return self.ticks.read()[0]

    def fail_if(self, found, after):
        check(not found, f"seed {self.seed}, after {after} and {dict(self.done)}: {len(found)} problems: " + "; ".join(found[:8]))


def check_checker(cluster, cases, begin, finish, sound=True):
    """With the safeguard that a case is named after left out, its words are among what the checker says; sound: else it says nothing.
    begin(omit) is a Chaos that was started, finish(chaos) brings it to an end."""
    wrong = []
    for case, words in cases.items():
        said = verdict(cluster, case, case.__name__, begin, finish)
        if not any(words in line for line in said):
            wrong.append(f"without {case.__name__} the checker found no \"{words}\", only {said}")
        if sound and (said := verdict(cluster, case, None, begin, finish)):
            wrong.append(f"{case.__name__}, nothing left out: {said}")
    check(not wrong, "; ".join(wrong))


def verdict(cluster, case, omit, begin, finish):
    """What the checker says."""
    chaos = begin(omit)
    try:
        case(chaos)
        chaos.faults([])
        finish(chaos)
        said = chaos.verdict()
    except Failure as failure:
        said = [str(failure)]
    cluster.log(f"{case.__name__}, omitting {omit}: {'; '.join(said[:3]) or 'nothing to report'}")
    cluster.reset()
    return said
