"""The control line to one machine: commands go in, output and exit status come back (agent.c is the other end).

One thread reads the lines of all machines and keeps what arrives; whoever waits for something waits on `news`.
"""

import os
import re
import selectors
import signal
import socket
import struct
import threading
import time
from collections import namedtuple

from .errors import Broken, Failure, check

RUN, KILL, CLEAN = 1, 2, 3
STARTED, OUT, ERR, EXIT, CLEANED, READY = 16, 17, 18, 19, 20, 21
HEAD = struct.Struct("=III")
ARGV_BYTES_MAX = 60 * 1024
OUTPUT_BYTES_MAX = 64 * 1024 * 1024

news = threading.Condition()
Result = namedtuple("Result", "rc stdout stderr seconds")


class Reader(threading.Thread):
    """Reads every line of the cluster, so that a chatty machine never waits for a scenario that sleeps."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.start()

    def add(self, channel):
        self.selector.register(channel.sock, selectors.EVENT_READ, channel)

    def run(self):
        while True:
            # epoll lets a socket be added while this waits; the timeout is for the moment when there is none
            for key, _ in self.selector.select(0.1):
                if not key.data.receive():
                    self.selector.unregister(key.fileobj)
                    key.fileobj.close()


class Channel:
    def __init__(self, name, reader):
        self.name = name
        self.sock, self.guest_end = socket.socketpair()
        self.buffer = bytearray()
        self.processes = {}
        self.ready = self.closed = False
        self.cleaned = None
        self.last_id = 0
        reader.add(self)

    def receive(self):
        """Called by the reader. False at the end of the line."""
        try:
            data = self.sock.recv(256 * 1024)
        except OSError:
            data = b""
        with news:
            self.buffer += data
            while len(self.buffer) >= HEAD.size:
                kind, number, length = HEAD.unpack_from(self.buffer)
                if len(self.buffer) < HEAD.size + length:
                    break
                self.dispatch(kind, number, bytes(self.buffer[HEAD.size:HEAD.size + length]))
                del self.buffer[:HEAD.size + length]
            if not data:
                self.closed = True
            news.notify_all()
        return bool(data)

    def dispatch(self, kind, number, payload):
        process = self.processes.get(number)
        if kind == READY:
            self.ready = True
        elif kind == CLEANED:
            self.cleaned = struct.unpack("=i", payload)[0]
        elif process is None:
            return
        elif kind == STARTED:
            process.pid = struct.unpack("=i", payload)[0]
        elif kind == EXIT:
            process.ended(struct.unpack("=i", payload)[0])
        elif kind in (OUT, ERR):
            process.feed(kind, payload)

    def send(self, kind, number=0, payload=b""):
        try:
            self.sock.sendall(HEAD.pack(kind, number, len(payload)) + payload)
        except OSError as e:
            raise Broken(f"{self.name} is gone") from e

    def wait_for(self, condition, timeout):
        """True when the condition came true, False when the time is up, Broken when the machine is gone."""
        with news:
            news.wait_for(lambda: condition() or self.closed, timeout)
            if condition():
                return True
            if self.closed:
                raise Broken(f"{self.name} is gone")
            return False

    def clean(self, timeout):
        """Everything back to the state after boot; returns how many processes would not die."""
        self.cleaned = None
        self.processes.clear()
        self.send(CLEAN)
        if not self.wait_for(lambda: self.cleaned is not None, timeout):
            raise Broken(f"the agent of {self.name} does not answer")
        return self.cleaned


class Process:
    """A command that runs on a machine, as host.spawn() returns it."""

    def __init__(self, machine, argv, shown):
        check(sum(len(a.encode()) + 1 for a in argv) < ARGV_BYTES_MAX, f"the command is too long: {shown[:80]} ...")
        self.machine, self.channel, self.shown = machine, machine.channel, shown
        self.pid = self.returncode = None
        self.chunks = {OUT: bytearray(), ERR: bytearray()}
        self.started_at = time.monotonic()
        self.seconds = None
        self.logged = False
        self.channel.last_id += 1
        self.channel.processes[self.channel.last_id] = self
        self.channel.send(RUN, self.channel.last_id, b"".join(a.encode() + b"\0" for a in argv))
        if not self.channel.wait_for(lambda: self.pid is not None, 10):
            raise Broken(f"{machine.name} does not answer")
        if self.pid < 0:
            raise Failure(f"{machine.name} cannot start {shown!r}: {os.strerror(-self.pid)}")

    def feed(self, kind, data):
        if len(self.chunks[kind]) < OUTPUT_BYTES_MAX:
            self.chunks[kind] += data

    def ended(self, status):
        self.seconds = time.monotonic() - self.started_at
        self.returncode = os.waitstatus_to_exitcode(status)

    @property
    def stdout(self):
        return self.chunks[OUT].decode(errors="replace")

    @property
    def stderr(self):
        return self.chunks[ERR].decode(errors="replace")

    def take_output(self):
        """The whole lines that it has written to stdout since the last call; they are forgotten here."""
        with news:
            out = self.chunks[OUT]
            end = out.rfind(b"\n") + 1
            data = bytes(out[:end])
            del out[:end]
        return data.decode(errors="replace")

    @property
    def output(self):
        """All it has written so far."""
        return self.stdout + self.stderr

    def poll(self):
        """The exit code, negative for a signal, or None while it runs."""
        return self.returncode

    def signal(self, number):
        """To the process itself; see kill() for what it started."""
        self.machine.log(f"signal {signal.Signals(number).name} to {self.pid}")
        self.channel.send(KILL, 0, struct.pack("=ii", number, self.pid))

    def kill(self):
        """SIGKILL to the process and all that it started in its session's first group."""
        if self.returncode is None:
            self.channel.send(KILL, 0, struct.pack("=ii", signal.SIGKILL, -self.pid))

    def wait(self, timeout=10, check=False):
        """Result(rc, stdout, stderr, seconds), or Failure when it does not end in time (it then goes on running)."""
        if not self.channel.wait_for(lambda: self.returncode is not None, timeout):
            raise Failure(f"{self.machine.name}: {self.shown!r} did not end within {timeout} s\n{self.output[-2000:]}")
        result = Result(self.returncode, self.stdout, self.stderr, self.seconds)
        self.machine.log_end(self)
        if check and result.rc != 0:
            raise Failure(f"{self.machine.name}: {self.shown!r} ended with {result.rc}\n{self.output[-2000:]}")
        return result

    def wait_output(self, pattern, timeout=10):
        """The match of a regular expression in what it writes, as soon as it is there."""
        regex = re.compile(pattern, re.M)
        try:
            found = self.channel.wait_for(lambda: regex.search(self.output) or self.returncode is not None, timeout)
        except Broken as e:
            raise Failure(f"{self.machine.name}: {self.shown!r}: {e}") from e
        match = regex.search(self.output)
        if not match:
            why = f"within {timeout} s" if not found else f"before it ended with {self.returncode}"
            raise Failure(f"{self.machine.name}: {self.shown!r} did not print {pattern!r} {why}\n{self.output[-2000:]}")
        return match
