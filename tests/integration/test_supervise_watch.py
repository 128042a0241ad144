#!/usr/bin/env python3
"""An efs-watch that does not live: what the sidecar says, that the rest goes on, and that it recovers by itself."""
import os
import shutil
import signal
import time

from locklib import Hold, children, efsctl, sidecar, wait_locks
from watchlib import BUILD, check, run, wait_for

SCRIPT = """#!/bin/sh
case $(cat "%(mode)s") in
    exits) echo "the floor is wet" >&2; exit 3;;
    logs) echo '{"level":"error","program":"efs-watch","msg":"no \\"more\\" watches"}' >&2; exit 1;;
    hangs) exec sleep 1000;;
    *) exec "%(real)s" "$@";;
esac
"""


class Place:
    """A sidecar with an efs-watch beside it that does what it is told."""

    def __init__(self, root, mode, *options):
        top = root.decode()
        self.mode_path, self.program = f"{top}/mode", f"{top}/bin/efs-watch"
        os.mkdir(f"{top}/bin")
        shutil.copy(os.path.join(BUILD, "efs-sidecar"), f"{top}/bin")
        self.mode(mode)
        with open(self.program, "w", encoding="ascii") as file:
            file.write(SCRIPT % {"mode": self.mode_path, "real": os.path.realpath(os.path.join(BUILD, "efs-watch"))})
        os.chmod(self.program, 0o755)
        self.sidecar = sidecar(root, *options, program=f"{top}/bin/efs-sidecar", env={"PATH": "/usr/bin:/bin"})

    def mode(self, mode):
        with open(self.mode_path + ".new", "w", encoding="ascii") as file:
            file.write(mode)
        os.rename(self.mode_path + ".new", self.mode_path)

    def feed(self):
        return self.sidecar.condition("FeedReady")

    def wait_feed(self, status, *words):
        wait_for(lambda: self.feed()["status"] == status and all(w in self.feed()["message"] for w in words),
                 lambda: f"FeedReady is not {status} with {words}: {self.feed()}", 60)

    def staleness_ms(self):
        return self.sidecar.status()["mounts"][0]["feed"]["staleness_ms"]


def ends_at_once(root):
    """it ends at once: how often and why, in FeedReady; locks, claims, publish go on; staleness grows; it recovers"""
    place = Place(root, "exits", "--mount-stall-after=5s")
    with place.sidecar as s:
        place.wait_feed("False", "3 times in a row", "ended with code 3", 'It said "the floor is wet"', "Locks, claims and publishing go on")
        check(place.feed()["reason"] == "WatcherFailing", place.feed())
        check("the floor is wet" in s.log(), "what it says is not passed on")
        wait_locks(s)
        hold = Hold(s, "one")
        hold.until("granted")
        check(hold.release()[0] == 200, "a lock could not be given back")
        task = f"{s.mounts[0]}/tasks/web-1"
        with open(f"{task}/file", "w", encoding="ascii") as file:
            file.write("x")
        status, answer = s.request("POST", "/v1/publish", '{"from":"tasks/web-1/file","to":"in/file","mkdir":true}')
        check(status == 200 and os.path.exists(f"{s.mounts[0]}/in/file"), f"publish: {status} {answer}")
        done = efsctl(s, "claim", "--once", f"{s.mounts[0]}/in", "--", "rm", "{}")
        check(done.returncode == 0 and not os.path.exists(f"{s.mounts[0]}/in/file"), f"claim: {done} {os.listdir(s.mounts[0] + '/in')}")
        before = place.staleness_ms()
        wait_for(lambda: place.staleness_ms() > max(before, 3000), lambda: f"staleness {place.staleness_ms()}", 30)
        check("FeedStaleness" in str(s.get("/v1/metrics")[1]), "no metric says it")
        place.mode("good")
        place.wait_feed("True")
        check(place.staleness_ms() is None or place.staleness_ms() < 3000, f"staleness {place.staleness_ms()}")
        check(s.health_ms() < 2000, "slow")
        check(s.stop() == 0, s.log())


def ends_otherwise(root):
    """the reason of a log line, a program that may not be executed, one that hangs at its start: each is said"""
    place = Place(root, "logs", "--mount-stall-after=2s")
    with place.sidecar as s:
        place.wait_feed("False", 'ended with code 1. It said "no "more" watches"')
        os.chmod(place.program, 0o644)
        place.wait_feed("False", "cannot be executed", f"{place.program} cannot be executed: Permission denied")
        os.chmod(place.program, 0o755)
        place.mode("hangs")
        place.wait_feed("False", "did not answer and was killed")
        check(s.condition("MountReady")["status"] == "True", "the mount was blamed")
        check(s.status()["mounts"][0]["watch"]["restarts"] >= 3, s.status()["mounts"][0]["watch"])


def dies_while_it_works(root):
    """a crash whenever it works: after three in a row FeedReady stays False while it runs, restarts get rarer, WatchRestarts counts;
    while it hangs the sidecar stops in time"""
    place = Place(root, "good", "--mount-stall-after=10s")
    with place.sidecar as s:
        times = []
        for n in range(4):
            wait_for(lambda: s.status()["mounts"][0]["watch"]["state"] == "ready", lambda: f"it does not work: {place.feed()}", 60)
            expected = ("True", "Watching") if n < 3 else ("False", "WatcherFailing")
            wait_for(lambda: (place.feed()["status"], place.feed()["reason"]) == expected, lambda: f"{n} ends: {place.feed()}", 30)
            times.append(time.monotonic())
            os.kill(children(s.process.pid)[0], signal.SIGABRT)
            place.wait_feed("False", f"ended {n + 1} ")
        pauses = [b - a for a, b in zip(times, times[1:])]
        check(pauses[-1] > pauses[0] + 0.5, f"no back-off: {pauses}")
        check("ended 4 times in a row: it was ended by signal 6 (Aborted)" in place.feed()["message"], place.feed())
        changed = [line for line in s.log().splitlines() if '"FeedReady"' in line]
        check(changed and "WatcherFailing" in changed[-1] and sum("WatcherFailing" in line for line in changed) == 1, f"it flaps: {changed}")
        counts = [line for line in s.get("/metrics")[1].splitlines() if line.startswith("efs_sidecar_watch_restarts_total")]
        check(len(counts) == 1 and float(counts[0].split()[-1]) == 4, f"{counts}")
        place.mode("hangs")
        wait_for(lambda: children(s.process.pid), "it is not started again", 60)
        check(s.stop(15) == 0, s.log())
    return "pauses " + ", ".join(f"{p:.1f} s" for p in pauses)


if __name__ == "__main__":
    run(ends_at_once, ends_otherwise, dies_while_it_works)
