#!/usr/bin/env python3
"""efsctl top in a terminal of two sizes and as text, efsctl metrics, and how they leave the terminal."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from sidecarlib import Sidecar
from watchlib import BUILD, check, die_with_parent, run, wait_for

EFSCTL = os.path.join(BUILD, "efsctl")


class Terminal:
    """`efsctl top` in a terminal of its own, and what that shows: enough of a terminal for what top sends."""

    def __init__(self, sidecar, columns, rows, *args):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.resize(columns, rows)
        self.slave = slave
        self.process = subprocess.Popen([EFSCTL, "--run-dir=" + sidecar.run_dir, "top", *args], stdin=slave, stdout=slave, stderr=slave,
                                        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0), die_with_parent()))
        self.output = b""

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            self.output += os.read(self.master, 65536)
            seconds = 0.02
        return self.output.decode()

    def screens(self):
        """What was drawn, as lists of lines; the last may be incomplete."""
        return [re.sub(r"\x1b\[\??[0-9]*[a-zA-Z]|\r", "", s).rstrip("\n").split("\n") for s in self.read().split("\x1b[H")[1:]]

    def wait(self, *words, seconds=30):
        """A whole screen, drawn from now on, that has one of the words."""
        drawn = len(self.screens())
        found = []

        def has():
            found[:] = [s for s in self.screens()[drawn:-1] if any(w in "\n".join(s) for w in words)]
            return found
        wait_for(has, lambda: f"no {words!r} in {self.screens()[-1:]}", seconds)
        return found[-1]

    def end(self):
        """The exit code, after the terminal was found as it was."""
        wait_for(lambda: (self.read(), self.process.poll() is not None)[1], "top does not end", 5)
        for on, off in (("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?25l", "\x1b[?25h"), ("\x1b[?7l", "\x1b[?7h")):
            check(self.output.decode().count(on) == self.output.decode().count(off) > 0, f"{on!r} without {off!r}")
            check(self.output.decode().rfind(on) < self.output.decode().rfind(off), f"{on!r} comes last")
        check(termios.tcgetattr(self.slave) == self.before, "the terminal's modes are not as they were")
        return self.process.returncode


def start(root, *options):
    return Sidecar(root, "--task-name=web-1", "--mount-probe-interval=1s", *options, mounts=("data=fs-0123456789abcdef0", "other"))


def efsctl(sidecar, *args, timeout=20):
    return subprocess.run([EFSCTL, "--run-dir=" + sidecar.run_dir, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False)


def check_size(screen, terminal):
    check(len(screen) <= terminal.rows, f"{len(screen)} lines on {terminal.rows} rows")
    wide = [line for line in screen if len(line) > terminal.columns]
    check(not wide, f"wider than {terminal.columns}: {wide}")


def live(root):
    """two sizes, a resize, changes as they come, and q"""
    with start(root) as sidecar:
        sidecar.wait_watching()
        with Terminal(sidecar, 80, 24, "--interval=1s") as terminal:
            screen = terminal.wait("FEED")
            check_size(screen, terminal)
            check(screen[0].startswith("efs-sidecar ") and "task web-1" in screen[0], f"{screen}")
            check(sum(" ready " in line for line in screen) == 4, f"{screen}")
            for i in range(50):
                with open(os.path.join(sidecar.root, "data", f"f{i}"), "wb"):
                    pass
            terminal.wait(" 50 ", " 51 ")  # the task's directory is one more, if the watch was there before it
            terminal.resize(40, 8)
            check_size(terminal.wait("MOUNT"), terminal)
            check(max(map(len, terminal.screens()[-2])) == 40, "the width is not used")
            os.write(terminal.master, b"xq")
            check(terminal.end() == 0, "exit code")
        with Terminal(sidecar, 200, 60) as terminal:
            check_size(terminal.wait("MOUNT"), terminal)
            os.write(terminal.master, b"\x03")
            check(terminal.end() == -signal.SIGINT, "^C")


def signals(root):
    """whatever ends it, or stops it for a while, leaves the terminal as it was"""
    with start(root) as sidecar:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV):
            with Terminal(sidecar, 80, 24, "--interval=1s") as terminal:
                terminal.wait("MOUNT")
                check(termios.tcgetattr(terminal.slave) != terminal.before, "the keys are echoed")
                terminal.process.send_signal(number)
                check(terminal.end() == -number, f"exit code {terminal.process.returncode} after signal {number}")
        with Terminal(sidecar, 80, 24, "--interval=1s") as terminal:
            terminal.wait("MOUNT")
            os.write(terminal.master, b"\x1a")
            wait_for(lambda: termios.tcgetattr(terminal.slave) == terminal.before, "^Z leaves the modes", 5)
            check(terminal.read().endswith("\x1b[?1049l"), "^Z leaves the screen")
            terminal.process.send_signal(signal.SIGCONT)
            terminal.wait("MOUNT")
            os.write(terminal.master, b"q")
            check(terminal.end() == 0, "exit code")


def sidecar_gone(root):
    """while the sidecar is silent or gone, top says so above what it knew, and goes on when it is back"""
    with start(root) as sidecar:
        with Terminal(sidecar, 80, 24, "--interval=1s") as terminal:
            terminal.wait("MOUNT")
            sidecar.process.send_signal(signal.SIGSTOP)
            screen = terminal.wait("did not answer")
            check_size(screen, terminal)
            check(any("MOUNT" in line for line in screen), f"{screen}")
            sidecar.process.send_signal(signal.SIGCONT)
            wait_for(lambda: terminal.screens()[-2][0].startswith("efs-sidecar "), "it does not recover", 10)
            sidecar.stop()
            terminal.wait("no sidecar")
            os.write(terminal.master, b"q")
            check(terminal.end() == 0, "exit code")
        result = efsctl(sidecar, "top")
        check(result.returncode == 69 and not result.stdout and result.stderr.startswith("efsctl: no sidecar"), f"{result}")


def text(root):
    """into a pipe, or with --once: one look, no control characters, rates of the time between"""
    with start(root) as sidecar:
        sidecar.wait_watching()
        for args in (("top",), ("top", "--once", "--interval=1s")):
            begun = time.monotonic()
            result = efsctl(sidecar, *args)
            check(result.returncode == 0 and not result.stderr, f"{result}")
            check(time.monotonic() - begun < 5, "it took too long")
            check("\x1b" not in result.stdout and all(len(line) <= 80 for line in result.stdout.splitlines()), result.stdout)
            check(re.search(r"requests [0-9.]+/s", result.stdout) and "FEED" in result.stdout, result.stdout)
        with Terminal(sidecar, 80, 24, "--once", "--interval=1s") as terminal:
            wait_for(lambda: (terminal.read(), terminal.process.poll() is not None)[1], "--once does not end", 5)
            check("\x1b" not in terminal.read() and "MOUNT" in terminal.read(), terminal.read())
        for args in (("top", "--interval=1"), ("top", "--interval=999ms"), ("top", "--interval=x"), ("metrics", "--interval=5s"), ("metrics", "--watch", "--interval=0"),
                     ("metrics", "--cost", "--json"), ("metrics", "--region=eu-west-1")):
            expected = 0 if args == ("top", "--interval=1") else 64
            result = efsctl(sidecar, *args)
            check(result.returncode == expected, f"{args}: {result}")


def metrics(root):
    """metrics: the table in 80 columns, with meanings where there is room, JSON as the API has it, --watch"""
    with start(root) as sidecar:
        wait_for(lambda: "canary_write_latency_seconds_count" in sidecar.get("/metrics")[1], "the canary", 10)
        result = efsctl(sidecar, "metrics")
        told = json.loads(efsctl(sidecar, "metrics", "--json").stdout)
        check(result.returncode == 0 and not result.stderr, f"{result}")
        lines = result.stdout.splitlines()
        check(all(len(line) <= 80 for line in lines if not line.startswith("Mount")), result.stdout)
        for group in told["groups"]:
            for metric in group["metrics"]:
                check(any(line.split()[:1] == [metric["name"]] for line in lines), f"no {metric['name']} in {result.stdout}")
        check(f"Mount {sidecar.root}/data (fs-0123456789abcdef0)" in lines, result.stdout)
        with Terminal(sidecar, 160, 50, "--once") as terminal:
            terminal.process.wait(10)
            wide = subprocess.run([EFSCTL, "--run-dir=" + sidecar.run_dir, "metrics"], stdin=terminal.slave, stdout=terminal.slave,
                                  stderr=subprocess.STDOUT, timeout=10, check=False)
            check(wide.returncode == 0 and "asked for, else 0" in terminal.read(), terminal.read())
        with open(os.path.join(sidecar.root, "watched"), "wb") as out:
            watching = subprocess.Popen([EFSCTL, "--run-dir=" + sidecar.run_dir, "metrics", "--watch", "--interval=200ms"],
                                        stdout=out, stderr=out, preexec_fn=die_with_parent)

        def watched():
            with open(out.name, encoding="utf-8") as file:
                return file.read()
        wait_for(lambda: watched().count("Heartbeat") >= 3, watched, 10)
        sidecar.stop()
        wait_for(lambda: watching.poll() is not None, "--watch goes on without a sidecar", 10)
        check(watching.returncode == 69 and "no sidecar" in watched(), watched()[-300:])


if __name__ == "__main__":
    run(live, signals, sidecar_gone, text, metrics)
