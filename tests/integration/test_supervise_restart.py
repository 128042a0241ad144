#!/usr/bin/env python3
"""A sidecar that is killed and started again in a living task, as ECS does by its restart policy."""
import json
import os
import signal
import subprocess
import time

from claimlib import Claimer
from locklib import EFSCTL, FENCE_S, Command, Hold, alive, children, environment, now_ms, read_number, sidecar, stamps, STAMP, wait_dead, wait_locks
from watchlib import check, die_with_parent, run, wait_for

FAST = "--feed-poll=100ms"


def kill(s, number):
    s.process.send_signal(number)
    s.process.wait(20)


def links(s):
    return [os.readlink(f"{s.run_dir}/{p}") for p in ("task", "mounts/" + s.mounts[0][1:].replace("/", "-") + "/task")]


def held_things(root, number):
    """What a task holds when its sidecar dies, and what becomes of it with the next sidecar."""
    with sidecar(root, FAST) as s:
        wait_locks(s)
        queue = f"{s.mounts[0]}/in"
        os.mkdir(queue)
        with open(f"{queue}/job", "w", encoding="ascii") as file:
            file.write("x")
        before = links(s)
        pidfile, stamp_path = f"{s.root}/pid", f"{s.root}/stamps"
        with Command(s, "lock", "one", "--", "sh", "-c", f'echo $$ >{pidfile}; exec python3 -c "$0" {stamp_path}', STAMP) as command:
            pid = read_number(pidfile)
            claim = Claimer(s, "in")
            claimed = claim.until("claimed")
            watcher = children(s.process.pid)[0]
            killed_ms = now_ms()
            kill(s, number)
            with sidecar(root, FAST) as again:
                # At once, while nothing is ready yet: waiting is the default.
                waiting = Hold(again, "one", timeout=60)
                check(command.wait(FENCE_S + 20) == 76, f"efsctl lock ended with {command.process.returncode}: {command.text()}")
                wait_dead([pid, watcher])
                stopped_ms = stamps(stamp_path)[-1]
                check(stopped_ms < killed_ms + FENCE_S * 1000, f"the command ran on for {stopped_ms - killed_ms:.0f} ms")
                granted = waiting.until("granted")
                check(granted["now_ms"] >= stopped_ms, "granted while the command ran")
                check(granted["now_ms"] - killed_ms < (2 * FENCE_S + 20) * 1000, "granted late")
                check(waiting.release()[0] == 200, "release")
                check(links(again) == before and os.path.isdir(before[0]), f"another directory: {before} {links(again)}")
                next_claim = Claimer(again, "in")
                found = next_claim.until("claimed")
                check(found["name"] == "job" and found["attempts"] == claimed["attempts"] + 1, f"{claimed} {found}")
                again.wait_watching()
                check(len(children(again.process.pid)) == 1, "more than one efs-watch")
                check("efs_sidecar_locks_granted_total" in again.get("/metrics")[1], "no metrics")
                slots = {m["feed"]["slot"] for m in again.status()["mounts"]}
                again.process.kill()
    return f"the command ended {(stopped_ms - killed_ms) / 1000:.1f} s, the lock was granted {(granted['now_ms'] - killed_ms) / 1000:.1f} s after, slot {slots}"


def killed(root):
    """SIGKILL, as for want of memory: locks end in time with 76, the next sidecar serves who waits after the fence; claims go back"""
    return held_things(root, signal.SIGKILL)


def crashed(root):
    """SIGABRT: the same"""
    return held_things(root, signal.SIGABRT)


def cursor(root):
    """watch --exec with a cursor goes on after the restart, with one resync, and misses nothing"""
    with sidecar(root, FAST) as s:
        s.wait_watching()
        state, out = f"{s.root}/cursor", f"{s.root}/out"

        def watch(sidecar_now):
            return subprocess.Popen([EFSCTL, "watch", "--json", f"--cursor-file={state}", s.mounts[0]], env=environment(sidecar_now),
                                    stdin=subprocess.DEVNULL, stdout=open(out, "ab"), stderr=subprocess.DEVNULL,
                                    preexec_fn=die_with_parent)

        def told():
            with open(out, encoding="utf-8") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        first = watch(s)
        wait_for(lambda: os.path.exists(state), "no cursor was written", 20)
        with open(f"{s.mounts[0]}/before", "w", encoding="ascii"):
            wait_for(lambda: any(c.get("path") == "before" for c in told()), told, 20)
        kill(s, signal.SIGKILL)
        with open(f"{s.mounts[0]}/between", "w", encoding="ascii"):
            pass
        first.wait(30)
        with sidecar(root, FAST) as again:
            second = watch(again)
            wait_for(lambda: any(c.get("op") == "resync" for c in told()), told, 30)
            again.wait_watching()
            with open(f"{s.mounts[0]}/after", "w", encoding="ascii"):
                wait_for(lambda: any(c.get("path") == "after" for c in told()), told, 20)
            second.kill()
            second.wait()
    return f"the watch of before ended with {first.returncode}"


def often(root):
    """killed again and again at once: it starts each time, one efs-watch, one socket, nothing is left behind"""
    with sidecar(root, FAST) as s:
        wait_locks(s)
        s.process.kill()
        s.process.wait()
    pids = []
    for i in range(8):
        with sidecar(root, FAST) as s:
            time.sleep(0.1 * i)
            pids += children(s.process.pid)
            s.process.kill()
            s.process.wait()
    with sidecar(root, FAST) as s:
        wait_locks(s)
        s.wait_watching()
        wait_dead(pids)
        names = sorted(os.listdir(s.run_dir))
        check(names == ["api.sock", "mounts", "sidecar.lock", "task"], names)
        check(s.condition("LocksReady")["message"].endswith("is held"), s.condition("LocksReady"))
        check(len(os.listdir(f"{s.mounts[0]}/.efs-sidecar/members")) == 1, os.listdir(f"{s.mounts[0]}/.efs-sidecar/members"))
        check(alive(children(s.process.pid)[0]) and s.stop() == 0, s.log())


if __name__ == "__main__":
    run(killed, crashed, cursor, often)
