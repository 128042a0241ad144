"""One user-mode Linux: boots, runs commands, dies."""

import os
import shlex
import signal
import subprocess

from .channel import Channel, Process
from .errors import Broken, Failure, check

SCRATCH = "/dev/shm"  # a private tmpfs of the sandbox
LOG_LINES_MAX = {True: 10, False: 60}  # of a command that worked, that failed


class Machine:
    """A running kernel and the line to its agent. `cluster.host(n)` and `cluster.server` are such machines."""

    def __init__(self, cluster, name, number, macs, memory="192M", disk=None):
        self.cluster, self.name, self.macs, self.memory, self.disk = cluster, name, macs, memory, disk
        self.taps = [f"{name}.{i}" for i in range(len(macs))]
        self.uml = self.channel = None
        self.stopped = False
        cpus = sorted(os.sched_getaffinity(0))
        self.cpu = cpus[number % len(cpus)]

    # -- life --

    def start(self):
        """Starts the kernel; wait_ready() waits for it. Two steps, so that machines boot side by side."""
        self.channel = Channel(self.name, self.cluster.reader)
        fd = self.channel.guest_end.fileno()
        # On one processor: the kernel and its processes are a ptrace ping-pong, 3 to 8 times slower across two.
        argv = ["taskset", "-c", str(self.cpu), "linux.uml", f"mem={self.memory}",
                "rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1", f"ssl0=fd:{fd}", f"uml_dir={SCRATCH}", f"umid={self.name}",
                f"init={self.cluster.build}/tests/cluster-agent", "panic=1",
                f"TOP={self.cluster.top}", f"PATH={self.cluster.path}", "LC_ALL=C.UTF-8"]
        argv += [f"vec{i}:transport=tap,ifname={tap},depth=64,mac={mac}"
                 for i, (tap, mac) in enumerate(zip(self.taps, self.macs))]
        if self.disk:
            argv.append(f"ubd0={self.disk}")
        env = dict(os.environ, LD_PRELOAD=f"{self.cluster.build}/tests/uml-xstate.so", TMPDIR=SCRATCH, PATH=self.cluster.path)
        with open(self.console_path(), "ab") as console:
            self.uml = subprocess.Popen(argv, env=env, pass_fds=[fd], stdin=subprocess.DEVNULL, stdout=console,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self.channel.guest_end.close()

    def wait_ready(self):
        try:
            if self.channel.wait_for(lambda: self.channel.ready, self.cluster.boot_timeout):
                return
            why = f"did not boot within {self.cluster.boot_timeout} s"
        except Broken:
            why = "died while booting"
        raise Broken(f"{self.name} {why}; end of its console:\n{self.console()[-2000:]}")

    def configure(self):
        """The command that makes it ready for use, running; boot() of the cluster waits for all of them."""
        raise NotImplementedError

    def boot(self):
        """Boots it again after kill()."""
        check(not self.alive(), f"{self.name} is up")
        self.log("boot")
        self.start()
        self.wait_ready()
        self.configure().wait(self.cluster.boot_timeout, check=True)

    def kill(self):
        """Death of the machine: nothing is flushed, no connection is closed."""
        self.log("killed")
        if self.alive():
            os.killpg(self.uml.pid, signal.SIGKILL)
            self.uml.wait()
            self.channel.wait_for(lambda: self.channel.closed, 5)
        self.stopped = False

    def alive(self):
        return self.uml is not None and self.uml.poll() is None

    def stop(self):
        """Freezes it as a whole (SIGSTOP): its peers see silence."""
        self.log("stopped")
        os.kill(self.uml.pid, signal.SIGSTOP)
        self.stopped = True

    def cont(self):
        if self.stopped:
            self.log("continued")
            os.kill(self.uml.pid, signal.SIGCONT)
            self.stopped = False

    # -- commands --

    def argv(self, command, env, user):
        """A string goes through sh, a list is executed as it is, which saves 15 ms."""
        argv = ["sh", "-c", command] if isinstance(command, str) else [str(a) for a in command]
        if user is not None:
            argv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"] + argv
        if env:
            argv = ["env"] + [f"{k}={v}" for k, v in env.items()] + argv
        return argv

    def spawn(self, command, env=None, user=None):
        """Starts a command and returns its Process. Programs in build/ and build/tests/ are found by name."""
        shown = command if isinstance(command, str) else shlex.join(str(a) for a in command)
        self.log(f"$ {shown}" + (f" (user {user})" if user is not None else "") + (f" (env {env})" if env else ""))
        return Process(self, self.argv(command, env, user), shown)

    def run(self, command, timeout=10, check=True, env=None, user=None):
        """Runs a command to its end: Result(rc, stdout, stderr, seconds). Failure when it takes too long, or ends
        with another code than 0 unless check=False."""
        process = self.spawn(command, env, user)
        try:
            return process.wait(timeout, check)
        except Failure:
            process.kill()
            raise

    def write(self, path, text):
        """A small file on this machine."""
        self.run(["sh", "-c", 'printf %s "$1" >"$2"', "write", text, path])

    def read(self, path):
        return self.run(["cat", path]).stdout

    def kill_spawned(self):
        """What scenarios started, not what serves since boot."""
        for process in list(self.channel.processes.values()):
            if process.poll() is None:
                process.kill()

    # -- logs --

    def log(self, text):
        self.cluster.log(f"{self.name}: {text}")

    def log_end(self, process):
        """What became of a command, once."""
        if process.logged:
            return
        process.logged = True
        end = "runs on" if process.returncode is None else f"rc {process.returncode} after {process.seconds:.3f} s"
        self.log(f"[{process.pid}] {end}: {process.shown[:60]}")
        for text in (process.stdout, process.stderr):
            for line in text.splitlines()[-LOG_LINES_MAX[process.returncode == 0]:]:
                self.cluster.log("    " + line, stamp=False)

    def log_unwaited(self):
        """At the end of a scenario: the output of what nobody waited for."""
        for process in list(self.channel.processes.values()):
            self.log_end(process)

    def console_path(self):
        return os.path.join(self.cluster.boot_dir, self.name + ".console")

    def console(self, offset=0):
        with open(self.console_path(), "rb") as f:
            f.seek(offset)
            return f.read().decode(errors="replace").replace("\r", "")

    def console_size(self):
        return os.path.getsize(self.console_path())
