"""The cluster that scenarios get: one server, N hosts, the network between them. Lives in a sandbox (see run)."""

import os
import subprocess
import time

from . import server as nfs
from .channel import Reader
from .errors import Broken, Failure, check
from .host import Host
from .machine import SCRATCH
from .server import Server

DISK_BYTES = 4 << 30  # sparse


def sh(*argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Broken(f"{' '.join(argv)} ended with {done.returncode}: {done.stdout.strip()}")


class Network:
    """A bridge, and a tap for each network device of each machine. A cut tap is out of the bridge: nobody is told."""

    def __init__(self):
        self.cut_taps = set()
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "cluster", "type", "bridge", "forward_delay", "0", "stp_state", "0")
        sh("ip", "link", "set", "cluster", "up")

    def add(self, tap):
        sh("ip", "tuntap", "add", "dev", tap, "mode", "tap")
        sh("ip", "link", "set", tap, "master", "cluster", "up")

    def cut(self, tap):
        sh("ip", "link", "set", tap, "nomaster")
        self.cut_taps.add(tap)

    def join(self, tap):
        if tap in self.cut_taps:
            sh("ip", "link", "set", tap, "master", "cluster")
            self.cut_taps.discard(tap)


class Cluster:
    def __init__(self, top, build, results, hosts, boot_timeout, host_memory):
        self.top, self.build, self.boot_timeout = top, build, boot_timeout
        self.here = os.path.join(top, "tests/cluster")
        self.path = f"{build}:{build}/tests:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.boot_dir = self.results_dir = results
        self.log_file = None
        self.started_at = time.monotonic()
        self.reader = Reader()
        self.prepare_sandbox()
        self.network = Network()
        self.server = Server(self, f"{SCRATCH}/export.img")
        self.hosts = [Host(self, n + 1, host_memory) for n in range(hosts)]

    def host(self, number):
        """Task host `number`, from 1."""
        check(1 <= number <= len(self.hosts),
              f"there are {len(self.hosts)} hosts; a scenario that needs more says HOSTS = {number}")
        return self.hosts[number - 1]

    # -- boot and reset --

    def prepare_sandbox(self):
        """All that is written outside the results lies in this tmpfs and goes with the sandbox."""
        sh("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", SCRATCH)
        with open(f"{SCRATCH}/hosts", "w", encoding="ascii") as f:
            f.write(f"127.0.0.1 localhost\n{nfs.ADDRESS} {nfs.NAME}\n")
        sh("mount", "--bind", f"{SCRATCH}/hosts", "/etc/hosts")
        sh("mount", "--bind", "/dev/null", os.path.realpath("/etc/resolv.conf"))
        with open(f"{SCRATCH}/export.img", "wb") as f:
            f.truncate(DISK_BYTES)
        sh("mkfs.ext4", "-q", "-F", f"{SCRATCH}/export.img")

    def machines(self):
        return [self.server] + self.hosts

    def boot(self):
        for machine in self.machines():
            for tap in machine.taps:
                self.network.add(tap)
            machine.start()
        for machine in self.machines():
            machine.wait_ready()
        try:
            for process in [machine.configure() for machine in self.machines()]:
                process.wait(self.boot_timeout, check=True)
        except Failure as e:
            raise Broken(f"the cluster cannot be set up: {e}") from e

    def reset(self):
        """Whatever a scenario did: everything is connected, running, unmounted and empty again. Broken if not."""
        try:
            self.server.cont()
            for host in self.hosts:
                host.reset()
            self.server.reset()
        except Failure as e:
            raise Broken(str(e)) from e

    # -- for scenarios --

    def wait_until(self, condition, timeout, what, every=0.1):
        """The first true value that condition() returns, or Failure naming what did not happen. Of its commands only
        those of the last round are logged."""
        end = time.monotonic() + timeout
        while True:
            start = self.log_file.tell()
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"{what}: not within {timeout} s")
            self.log_file.truncate(start)
            self.log_file.seek(start)
            time.sleep(every)

    def log(self, text, stamp=True):
        """A line in the scenario's log, which is shown when it fails."""
        if self.log_file:
            self.log_file.write(f"{time.monotonic() - self.started_at:9.3f} {text}\n" if stamp else f"{'':9} {text}\n")
