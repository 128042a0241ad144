"""Storms on several hosts at once, faults in between, and what every consumer must know at the end.

    chaos = Chaos(cluster, hosts=2, seed=7, options="--feed-poll=100ms")
    chaos.start()
    chaos.storm(5000, rate=40, faults=["kill_watch", "cut"])
    chaos.check()                   # every view equals the tree, and resyncs were said where one may be said only
    print(chaos.report())

A sidecar that ends is started again, as ECS would. Faults come one after the other, on hosts chosen by the seed, and are healed
before the next. Consumers' logs lie in the results directory.
"""

import collections
import os
import random
import time

from .errors import Broken, Failure, check
from .feedview import Consumer, Ticks, parse_list

# A convergence may need: lease (10 s) and grace of the server, the fence of a dead member, a few polls.
CONVERGE_S = 90
SETTLE_S = 3
LEASE_S = 10
SIGNALS = {"KILL": 9, "STOP": 19, "CONT": 18}
INTERVALS = ("--mount-probe-interval=2s --mount-stall-after=5s --lease-proof-interval=2s --lease-fence=10s --lock-proof-interval=2s "
             "--watch-batch=50ms --feed-poll=100ms --feed-poll-idle=100ms")


class Member:
    """A host with a sidecar and a consumer."""

    def __init__(self, chaos, number):
        self.chaos, self.number, self.host = chaos, number, chaos.cluster.host(number)
        self.sidecar = self.consumer = self.storm = None
        self.storm_count = self.storm_done = self.storm_rate = 0
        self.lives = 0
        self.retired = []  # consumers that went down with the host

    def boot(self):
        self.lives += 1
        self.host.mount()
        self.start_sidecar()
        path = os.path.join(self.chaos.cluster.results_dir, f"{self.host.name}.{self.lives}.changes")
        self.consumer = Consumer(self.host, self.chaos.tree, path)

    def start_sidecar(self):
        self.sidecar = self.host.spawn(f"exec {self.chaos.program} --task-name=task{self.number} {INTERVALS} {self.chaos.options} /mnt/data",
                                       env=self.chaos.env)

    def supervise(self):
        if self.host.alive() and not self.host.stopped and self.sidecar.poll() is not None:
            self.start_sidecar()

    def signal_watch(self, name):
        """To efs-watch. It may be between two lives."""
        self.host.run(["pkill", f"-{name}", "-P", str(self.sidecar.pid), "-x", "efs-watch"], check=False)

    def signal_sidecar(self, name):
        self.host.run(["kill", f"-{name}", str(self.sidecar.pid)], check=False)

    def start_storm(self, count, rate):
        self.storm_count, self.storm_done, self.storm_rate = count, 0, rate
        self.chaos.storms += 1
        name = f"{self.number}x{self.chaos.storms}"
        seed = self.chaos.random.randrange(1, 1 << 40)
        self.storm = self.host.spawn(["storm", "run", "/mnt/data", str(seed), str(count), name, str(rate)])

    def resume_storm(self):
        """After the death of the host."""
        left = self.storm_count - self.storm_done
        self.chaos.operations += self.storm_done
        if left > 0:
            self.start_storm(left, self.storm_rate)

    def storm_lines(self):
        output = self.storm.take_output() if self.storm else ""
        self.chaos.storm_log.writelines(f"{line} task{self.number}\n" for line in output.splitlines())
        return output.splitlines()


# name: what begins it, seconds until it is healed, what heals it, and whether changes or their observer may be lost by it
Fault = collections.namedtuple("Fault", "begin seconds heal lossy")


def kill_host(member):
    member.consumer.take()
    member.retired.append(member.consumer)
    member.host.kill()


def boot_host(member):
    member.host.boot()
    member.boot()
    member.resume_storm()


def overflow(member):
    member.host.run("sysctl -q fs.inotify.max_queued_events=16")
    member.signal_watch("KILL")  # the next instance has the short queue


def end_overflow(member):
    member.host.run("sysctl -q fs.inotify.max_queued_events=16384")
    member.signal_watch("KILL")


def nothing(_member):
    pass


FAULTS = {
    "kill_watch": Fault(lambda m: m.signal_watch("KILL"), 2, nothing, True),
    "kill_sidecar": Fault(lambda m: m.signal_sidecar("KILL"), 3, nothing, True),
    "stop_watch": Fault(lambda m: m.signal_watch("STOP"), 3, lambda m: m.signal_watch("CONT"), False),
    "stop_sidecar": Fault(lambda m: m.signal_sidecar("STOP"), 3, lambda m: m.signal_sidecar("CONT"), False),
    "stop_host": Fault(lambda m: m.host.stop(), 3, lambda m: m.host.cont(), False),
    "stop_host_long": Fault(lambda m: m.host.stop(), LEASE_S + 5, lambda m: m.host.cont(), True),
    "cut": Fault(lambda m: m.host.link_down(), 4, lambda m: m.host.link_up(), False),
    "cut_long": Fault(lambda m: m.host.link_down(), LEASE_S + 5, lambda m: m.host.link_up(), True),
    "restart_server": Fault(lambda m: m.host.cluster.server.restart_nfsd(), 2, nothing, False),
    "kill_host": Fault(kill_host, 1, boot_host, True),
}


class Chaos:
    def __init__(self, cluster, hosts=2, seed=1, options="", omit=None):
        """omit: with programs that leave out this safeguard (lib/test_hook.h)."""
        self.cluster, self.seed, self.options = cluster, seed, options
        self.env = {"EFS_SIDECAR_OMIT": omit} if omit else None
        self.program = f"{cluster.build}-hooks/efs-sidecar" if omit else "efs-sidecar"
        self.random = random.Random(seed)
        self.members = [Member(self, n + 1) for n in range(hosts)]
        self.marks = {}  # path to (ticks, number of the host)
        self.operations = self.storms = 0
        self.faults = []
        self.ticks = Ticks(cluster)
        self.storm_log = open(os.path.join(cluster.results_dir, "storms"), "a", encoding="utf-8", buffering=1)

    def start(self):
        for member in self.members:
            member.boot()
        for member in self.members:
            member.consumer.wait_started()
        for member in self.members:  # what the others made when they started is no change
            member.consumer.take()
            member.consumer.view.start(self.tree())

    def tree(self):
        """What is really there, asked behind the clients' backs."""
        return parse_list(self.cluster.server.run(["storm", "list", self.cluster.server.path()], timeout=60).stdout)

    # -- storms and faults --

    def storm(self, count, rate, faults=()):
        """`count` operations, shared by the hosts; the faults spread over the time that takes."""
        for member in self.members:
            member.start_storm(count // len(self.members), rate)
        faults = list(faults)
        for name in faults:
            self.pause(1.5 + self.random.random())
            self.fault(name, self.random.choice(self.members))
        while any(self.storming(m) for m in self.members):
            self.pause(0.2)

    def storming(self, member):
        return member.storm is not None and member.storm.poll() is None

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.collect()
            if time.monotonic() >= end:
                return
            time.sleep(0.1)

    def collect(self):
        for member in self.members:
            member.supervise()
            member.consumer.take()
            for line in member.storm_lines():
                self.note_storm(member, line.split())

    def note_storm(self, member, words):
        if words[0] == "M":
            self.marks[words[2]] = (int(words[1]), member.number)
            member.storm_done = int(words[3])
        elif words[0] == "done":
            self.operations += int(words[1])

    def fault(self, name, member):
        fault = FAULTS[name]
        self.cluster.log(f"FAULT {name} on {member.host.name}")
        self.faults.append(name)
        fault.begin(member)
        if name == "kill_host":
            time.sleep(fault.seconds)
        else:
            self.pause(fault.seconds)
        fault.heal(member)

    # -- the end --

    def check(self, converge_s=CONVERGE_S, settle_s=SETTLE_S):
        for member in self.members:
            if member.storm and (member.storm.poll() or 0) > 0:
                raise Failure(f"the storm on {member.host.name}: {member.storm.stderr}")
        end = time.monotonic() + converge_s
        while True:  # equal, and still so when nothing more can be on its way
            self.converge(end - time.monotonic())
            self.pause(settle_s)
            found = self.differences()
            if not found:
                break
            if time.monotonic() > end:
                self.fail_if_different(found)
        self.check_resyncs()

    def differences(self):
        tree = self.tree()
        return {m.host.name: found for m in self.members if (found := m.consumer.view.differences(tree))}

    def converge(self, timeout):
        start = time.monotonic()
        self.collect()
        while found := self.differences():
            if time.monotonic() - start > timeout:
                self.fail_if_different(found)
            self.pause(0.5)
        self.converged_s = time.monotonic() - start

    def fail_if_different(self, found):
        if not found:
            return
        words = [f"{host}: {len(lines)} differences, {'; '.join(lines[:6])}" for host, lines in found.items()]
        raise Failure(f"seed {self.seed}, after {self.operations} operations and {self.faults}: view and tree differ. " + ". ".join(words))

    def check_resyncs(self):
        """None where nothing was lost, else at most one per fault and subtree. A directory that is renamed while it is being read for the
        first time is read again under a resync of its own, which loses nothing."""
        allowed = sum(FAULTS[name].lossy for name in self.faults)
        for member in self.members:
            counts = collections.Counter(path for path, reason in member.consumer.resyncs if reason != "renamed")
            worst = max(counts.values(), default=0)
            check(worst <= allowed, f"seed {self.seed}: {member.host.name} was told {worst} resyncs of one subtree, "
                  f"{allowed} faults may lose something ({self.faults}): {member.consumer.resyncs}")

    # -- figures --

    def latencies_ms(self):
        """Of each marker at each consumer on another host: from made to told."""
        found = []
        for member in self.members:
            for path, (ticks, number) in self.marks.items():
                told = member.consumer.first_told.get(path)
                if told and number != member.number:
                    found.append(told - ticks)
        ms = self.ticks.ms(1)
        return sorted(ticks * ms for ticks in found)

    def report(self):
        late = self.latencies_ms()
        figures = f"p50 {late[len(late) // 2]:.0f} ms, p99 {late[len(late) * 99 // 100]:.0f} ms of {len(late)}" if late else "none"
        lines = [f"seed {self.seed}: {self.operations} operations, {len(self.faults)} faults, converged after {self.converged_s:.1f} s; "
                 f"change to event on another host: {figures}"]
        for member in self.members:
            reasons = collections.Counter(reason for _, reason in member.consumer.resyncs)
            lines.append(f"  {member.host.name}: {member.consumer.lines} lines, {member.consumer.attached} connections, resyncs {dict(reasons)}")
        return "\n".join(lines)
