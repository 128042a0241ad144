#!/usr/bin/env python3
"""Signals at any time, and the sidecar as process 1 of a PID namespace."""
import os
import signal
import subprocess
import time

from locklib import Hold, children, sidecar, wait_locks
from sidecarlib import PROGRAM, Sidecar
from watchlib import check, run, wait_for

ORPHANS = 1000


def ignored(root):
    """SIGHUP, SIGUSR1, SIGUSR2 and SIGPIPE change nothing"""
    with sidecar(root) as s:
        wait_locks(s)
        hold = Hold(s, "one")
        hold.until("granted")
        for number in signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE:
            s.process.send_signal(number)
        hold.until("valid")
        check(hold.release()[0] == 200, "the lock was lost")
        check(s.status()["mounts"][0]["watch"]["restarts"] == 0, "efs-watch was started again")


def during_start(root):
    """SIGTERM at any moment of the start ends it in order, with 0 and without a socket left"""
    late = 0
    for i in range(12):
        s = Sidecar(f"{root.decode()}/{i}")
        try:
            blocked = f"/proc/{s.process.pid}/status"
            mask = 1 << (signal.SIGTERM - 1)

            def is_ready():
                with open(blocked, encoding="ascii") as file:
                    fields = dict(line.split(":", 1) for line in file)
                return (int(fields["SigBlk"], 16) | int(fields["SigCgt"], 16)) & mask
            end = time.monotonic() + 20
            while not is_ready():  # without a pause: the start takes a few milliseconds
                check(time.monotonic() < end, "SIGTERM is neither held back nor caught")
            time.sleep(0.001 * i)
            late += os.path.exists(s.socket)
            check(s.stop(20) == 0, f"code {s.process.returncode}: {s.log()}")
            check(not os.path.exists(s.socket), "the socket is left")
        finally:
            s.__exit__()
    return f"{late} of 12 came after the socket was there"


def twice(root):
    """with a lock that nobody gives back SIGTERM waits, and a second one does not"""
    with sidecar(root, "--stop-timeout=60s") as s:
        wait_locks(s)
        hold = Hold(s, "one")
        hold.until("granted")
        s.process.terminate()
        wait_for(lambda: "stopping on signal 15" in s.log(), s.log, 20)
        time.sleep(1.5)
        check(s.process.poll() is None, "it did not wait for the lock")
        begin = time.monotonic()
        check(s.stop(20) == 0, s.log())
        seconds = time.monotonic() - begin
        check(seconds < 15, f"it took {seconds:.1f} s")
    return f"{seconds:.1f} s after the second"


def zombies(pid):
    n = 0
    for child in children(pid):
        try:
            with open(f"/proc/{child}/stat", encoding="ascii") as file:
                n += file.read().rsplit(")", 1)[1].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            pass
    return n


def process_one(root):
    """as process 1 it waits for orphans, restarts efs-watch among them, and ends on SIGTERM"""
    wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        wrapper.insert(1, "--map-root-user")
    top = root.decode()
    script = f"{top}/sidecar"
    with open(script, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nexec {" ".join(wrapper)} {os.path.realpath(PROGRAM)} "$@"\n')
    os.chmod(script, 0o755)
    with sidecar(root, program=script) as s:
        one = children(s.process.pid)[0]
        s.wait_watching()
        watch = children(one)[0]
        # What is executed into the container leaves its children to process 1.
        code = ("import os\n"
                "if os.fork() == 0:\n"
                "    for i in range(%d):\n"
                "        if os.fork() == 0:\n"
                "            os.setsid()\n"
                "            import time; time.sleep(0.3); os._exit(0)\n"
                "    os._exit(0)\n"
                "os.wait()\n") % (ORPHANS // 4)
        for _ in range(4):
            subprocess.run(["nsenter", f"--target={one}", "--user", "--pid", "python3", "-c", code] if os.geteuid() != 0 else
                           ["nsenter", f"--target={one}", "--pid", "python3", "-c", code], check=True, timeout=60)
            if s.status()["mounts"][0]["watch"]["restarts"] == 0:
                os.kill(watch, signal.SIGKILL)
        wait_for(lambda: len(children(one)) <= 1 and zombies(one) == 0, lambda: f"{len(children(one))} children, {zombies(one)} zombies", 60)
        wait_for(lambda: s.status()["mounts"][0]["watch"]["restarts"] >= 1, "efs-watch was not started again", 60)
        s.wait_watching()
        os.kill(one, signal.SIGTERM)
        check(s.process.wait(20) == 0, s.log())
    return f"{ORPHANS} orphans"


if __name__ == "__main__":
    run(ignored, during_start, twice, process_one)
