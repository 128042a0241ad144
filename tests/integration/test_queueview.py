#!/usr/bin/env python3
"""The checker of queues (tests/cluster/harness/queueview.py) notices each way in which a queue can fail, and nothing else."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../cluster"))
from harness.queueview import Queue  # noqa: E402
from test_lockview import TICKS_PER_MS, judge, line  # noqa: E402


def queue(*signs):
    """Signs are (kind, life, ms, name, token or reason, pid)."""
    found = Queue()
    for kind, life, ms, name, token, pid in signs:
        found.add(life, line(kind, life, ms, name, token, pid))
    return found


def upload(name, ms=0, life="a"):
    return [("W", life, ms, name, "0.1", 1), ("P", life, ms + 5, name, "0.0", 1)]


def work(name, life, begin, end, attempts=0, kind="L"):
    pid = 1000 + begin
    return [("E", life, begin, name, f"0.{attempts}", pid), (kind, life, end, name, f"0.{attempts}", pid)]


def frozen(found, life, begin, end):
    found.frozen(life, begin * TICKS_PER_MS, end * TICKS_PER_MS)
    return found


def unproven(found, life, begin, valid_ms):
    found.unproven(life, begin * TICKS_PER_MS, valid_ms, "cut")
    return found


ONE = upload("q-1") + work("q-1", "b", 10, 50)
POISON = upload("p-1") + work("p-1", "b", 10, 50, 0, "F") + work("p-1", "b", 60, 70, 1, "F")
TOKENS = [("C", "a", 1, "config", "5.1", 1), ("T", "b", 2, "config", "5.1", 2), ("C", "a", 3, "config", "5.2", 1)]

# what happened, what the share has in the end, and what the checker must say to that: a part of each sentence
CASES = (
    ("processed once", queue(*ONE), [], []),
    ("not processed", queue(*upload("q-1")), [], ["q-1, written on a, was never processed"]),
    ("written, publish unknown, not processed", queue(*upload("q-1")[:1]), [], ["was never processed"]),
    ("begun only", queue(*upload("q-1"), *work("q-1", "b", 10, 50)[:1]), [], ["was never processed"]),
    ("failed, then done", queue(*upload("f-1"), *work("f-1", "b", 10, 50, 0, "F"), *work("f-1", "a", 60, 70, 1)), [], []),
    ("by two at once", queue(*ONE, *work("q-1", "a", 30, 40)), [], ["two commands at once for 10.0 ms"]),
    ("again after it was done, a fault", queue(*ONE, *work("q-1", "a", 60, 70, 1)), [], []),
    ("again after it was done, more than faults", queue(*ONE, *work("q-1", "a", 60, 70, 1), *work("q-1", "a", 80, 90, 1)), [],
     ["2 files were processed again after they were done; the faults explain 1"]),
    ("the attempts go back", queue(*upload("f-1"), *work("f-1", "b", 10, 50, 2, "F"), *work("f-1", "a", 60, 70, 1)), [],
     ["attempts were forgotten"]),
    ("alive after its time", unproven(queue(*upload("l-1"), *work("l-1", "b", 10, 9900)), "b", 100, 8000), [], ["alive 1800 ms past the end"]),
    ("half visible", queue(*ONE, ("X", "b", 20, "q-1", "short", 3)), [], ["q-1 on b: short"]),
    ("taken away while it was worked on", queue(*ONE, ("X", "b", 20, "q-1", "gone", 3)), [], ["q-1 on b: gone"]),
    ("taken away while all was frozen", frozen(queue(*ONE, ("X", "b", 9100, "q-1", "gone", 3)), "b", 100, 9000), [], []),
    ("half visible after a thaw", frozen(queue(*ONE, ("X", "b", 9100, "q-1", "digest", 3)), "b", 100, 9000), [], ["q-1 on b: digest"]),
    ("two publishers of one name", queue(*ONE, ("P", "b", 7, "q-1", "0.0", 9)), [], ["q-1 was published 2 times"]),
    ("left in a claim directory", queue(*ONE), ["tasks/b/.claims/3-1/1.0/q-1"], ["tasks/b/.claims/3-1/1.0/q-1 was left behind"]),
    ("a dead letter", queue(*POISON), ["uploads/.dead/2.ab/p-1"], []),
    ("poison that is gone", queue(*POISON), [], ["p-1, written on a, was never processed"]),
    ("among the dead letters without its attempts", queue(*ONE), ["uploads/.dead/4.ab/q-1"], ["uploads/.dead/4.ab/q-1 was left behind"]),
    ("a dead letter that is somewhere else, too", queue(*POISON), ["uploads/.dead/2.ab/p-1", "uploads/p-1"], ["uploads/p-1 was left behind"]),
    ("tokens grow", queue(*TOKENS, ("T", "b", 4, "config", "5.2", 2)), [], []),
    ("a token that goes back", queue(*TOKENS, ("T", "b", 4, "config", "5.2", 2), ("T", "b", 5, "config", "5.1", 2)), [],
     ["a stale token won", "token (5, 2) was published, in the end there is (5, 1)"]),
    ("a publish that is lost", queue(*TOKENS), [], ["in the end there is (5, 1)"]),
)


if __name__ == "__main__":
    judge((name, found.problems(1 / TICKS_PER_MS, left, 1), wanted) for name, found, left, wanted in CASES)
