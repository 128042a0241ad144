#!/usr/bin/env python3
"""efs-watch as child of the sidecar: frames, heartbeats, its end."""
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

from watchlib import PROGRAM, check, die_with_parent, fail, run, wait_for

HELLO, CHANGE, READY, STATUS, PONG, PING, STOP = 1, 2, 3, 4, 5, 64, 65
CREATE, RESYNC = 1, 7
SLOW_READER = 2


class Child:
    def __init__(self, root, *options):
        self.socket, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [PROGRAM, f"--child={theirs.fileno()}", *options, root], pass_fds=[theirs.fileno()],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=die_with_parent)
        theirs.close()
        self.data = b""

    def receive(self, seconds=10):
        """The next frame: (type, payload); None: the other end is closed."""
        end = time.monotonic() + seconds
        while True:
            if len(self.data) >= 8:
                length, kind, zero = struct.unpack_from("<IHH", self.data)
                check(zero == 0 and length <= 65536, "not a frame")
                if len(self.data) >= 8 + length:
                    payload, self.data = self.data[8:8 + length], self.data[8 + length:]
                    return kind, payload
            if not select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
                fail(f"no frame within {seconds} s")
            more = self.socket.recv(1 << 20)
            if not more:
                return None
            self.data += more

    def send(self, kind, payload=b""):
        self.socket.sendall(struct.pack("<IHH", len(payload), kind, 0) + payload)

    def until(self, kind, seconds=10):
        """Frames up to the first of that type: (those before, its payload)."""
        before = []
        while True:
            frame = self.receive(seconds)
            check(frame, f"closed: {self.process.poll()}")
            if frame[0] == kind:
                return before, frame[1]
            before.append(frame)

    def ping(self, nonce):
        """Changes that were told before the pong."""
        self.send(PING, struct.pack("<QI", nonce, 2))
        before, pong = self.until(PONG)
        check(struct.unpack_from("<Q", pong)[0] == nonce, "another nonce")
        return [decode(p) for k, p in before if k == CHANGE]

    def __enter__(self):
        kind, payload = self.receive()
        check(kind == HELLO and struct.unpack_from("<I", payload)[0] == 3, "no hello first")
        self.until(READY)
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            fail("it did not end when the socket was closed")
        if sys.exc_info()[0] is None:
            check(self.process.returncode == 0, f"exit code {self.process.returncode}")


def decode(payload):
    version, op, reason, _ = struct.unpack_from("<BBBB", payload)
    check(version == 1, "version")
    length = struct.unpack_from("<H", payload, 48)[0]
    return op, reason, payload[52:52 + length]


def ping_order(root):
    """A pong comes behind every change that happened before the ping, without waiting for the batch"""
    with Child(root, "--watch-batch=10s") as child:
        for nonce in range(20):
            names = [b"f%d-%d" % (nonce, i) for i in range(50)]
            for name in names:
                open(os.path.join(root, name), "w").close()
            told = child.ping(nonce)
            check(set(names) <= {p for _, _, p in told}, f"round {nonce}: {len(told)} changes")


def ping_after_overflow(root):
    """A ping in an overflowed queue is answered, behind the resync"""
    with Child(root) as child:
        child.process.send_signal(signal.SIGSTOP)
        for i in range(20000):
            open(b"%s/f%d" % (root, i), "w").close()
        child.send(PING, struct.pack("<QI", 7, 2))
        child.process.send_signal(signal.SIGCONT)
        before, pong = child.until(PONG)
        told = [decode(p) for k, p in before if k == CHANGE]
        check((RESYNC, 1, b"") in told, f"no resync in {told[:3]}")
        check(struct.unpack_from("<Q", pong)[0] == 7, "another nonce")
        check(any(k == CHANGE for k, _ in before), "nothing told")
        wait_for(lambda: child.ping(8) is not None, "no pong afterwards")


def pings_under_load(root):
    """Heartbeats are answered while events flood in"""
    code = """
import os, sys
root = sys.argv[1].encode()
while True:
    for i in range(1000):
        with open(b"%s/f%d" % (root, i), "w") as f: f.write("x")
        os.rename(b"%s/f%d" % (root, i), b"%s/g%d" % (root, i))
"""
    load = subprocess.Popen([sys.executable, "-c", code, root.decode()], preexec_fn=die_with_parent)
    slowest = 0
    try:
        with Child(root) as child:
            for nonce in range(20):
                start = time.monotonic()
                child.ping(nonce)
                slowest = max(slowest, time.monotonic() - start)
                time.sleep(0.05)
    finally:
        load.kill()
        load.wait()
    check(slowest < 2, f"the slowest took {slowest:.1f} s")
    return f"slowest {slowest * 1000:.0f} ms"


def stopped_child(root):
    """A child that does not run answers no ping"""
    with Child(root) as child:
        child.process.send_signal(signal.SIGSTOP)
        child.send(PING, struct.pack("<QI", 1, 2))
        check(not select.select([child.socket], [], [], 1)[0], "an answer from a stopped process")


def status_and_blind(root):
    """The status counts, and names what is blind"""
    for i in range(12):
        os.mkdir(b"%s/d%d" % (root, i))
    child = Child(root, "--watch-max-dirs=3")
    kind, _ = child.receive()
    check(kind == HELLO, "no hello first")
    _, ready = child.until(READY)
    directories, scanning, blind = struct.unpack_from("<III", ready)
    listed = struct.unpack_from("<I", ready, 144)[0]
    code, length = struct.unpack_from("<IH", ready, 148)
    check((directories, scanning, blind, listed) == (3, 0, 10, 8), struct.unpack_from("<III", ready))
    check(os.strerror(code) == os.strerror(122) and ready[154:154 + length].startswith(b"d"), "blind")
    for i in range(10):
        os.rmdir(b"%s/d%d" % (root, i))
    end = time.monotonic() + 30  # what is gone is counted off after a while
    while blind and time.monotonic() < end:
        _, status = child.until(STATUS, 30)
        directories, _, blind = struct.unpack_from("<III", status)
    check(blind == 0 and directories == 3, f"{directories} watched, {blind} blind")
    child.__exit__()


def stop(root):
    """STOP tells what is pending and ends it"""
    child = Child(root, "--watch-batch=10s").__enter__()
    open(root + b"/f", "w").close()
    child.ping(1)
    open(root + b"/g", "w").close()
    time.sleep(0.2)
    child.send(STOP)
    told = []
    while (frame := child.receive()):
        if frame[0] == CHANGE:
            told.append(decode(frame[1]))
    check((CREATE, 0, b"g") in told, f"told {told}")
    check(child.process.wait(5) == 0, "exit code")


def sigterm(root):
    """SIGTERM ends it at once, also when nobody reads"""
    child = Child(root, "--watch-batch=0ms").__enter__()
    for i in range(30000):
        open(b"%s/f%d" % (root, i), "w").close()
    time.sleep(0.3)
    child.process.terminate()
    check(child.process.wait(1) == 0, "exit code")


def parent_killed(root):
    """It dies with the sidecar"""
    code = """
import os, socket, subprocess, sys, time
ours, theirs = socket.socketpair()
child = subprocess.Popen([sys.argv[1], "--child=%d" % theirs.fileno(), sys.argv[2]], pass_fds=[theirs.fileno(), ours.fileno()])
ours.recv(1)
print(child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code, PROGRAM, root.decode()],
                              stdout=subprocess.PIPE, preexec_fn=die_with_parent)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()

    def gone():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                return stat.read().rsplit(") ", 1)[1][0] == "Z"
        except FileNotFoundError:
            return True
    wait_for(gone, "it lives on without its parent", 5)


def nonsense(root):
    """What is no frame ends the conversation with words"""
    for data, words in ((b"\xff" * 8, b"what is no frame"), (struct.pack("<IHH", 0, 99, 0), b"type 99")):
        child = Child(root).__enter__()
        child.socket.sendall(data)
        check(child.process.wait(5) == 1, "exit code")
        errors = child.process.stderr.read()
        check(words in errors, errors)


if __name__ == "__main__":
    run(ping_order, ping_after_overflow, pings_under_load, stopped_child, status_and_blind, stop,
        sigterm, parent_killed, nonsense)
