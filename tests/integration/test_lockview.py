#!/usr/bin/env python3
"""The checker of locks (tests/cluster/harness/lockview.py) notices each way in which a lock can fail, and nothing else."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../cluster"))
from harness.lockview import History  # noqa: E402

TICKS_PER_MS = 2_000_000
BOOT = {"a": 1000, "b": 90000}  # what the clocks of two kernels say at 0 ms


def line(kind, life, ms, name, token, pid, read_us=10):
    """A sign of life at ms on the common clock, whose reading took a while."""
    ticks = int(ms * TICKS_PER_MS)
    return (f"{kind} {ticks - read_us * TICKS_PER_MS // 2000} {int((ms + BOOT[life]) * 1000)} {ticks + read_us * TICKS_PER_MS // 2000} "
            f"{name} {token} {pid}")


def history(*runs):
    """Runs are (life, token, begin, end) under one name, with a beat in the middle."""
    found = History()
    for pid, (life, token, begin, end) in enumerate(runs):
        for kind, ms in ("E", begin), ("B", (begin + end) / 2), ("L", end):
            found.add(life, line(kind, life, ms, "x", token, pid))
    return found


def frozen(found, life, begin, end):
    found.frozen(life, begin * TICKS_PER_MS, end * TICKS_PER_MS)
    return found


def unproven(found, life, begin, valid_ms, only=None):
    found.unproven(life, begin * TICKS_PER_MS, valid_ms, "cut", only)
    return found


def with_line(found, life, text):
    found.add(life, text)
    return found


# what happened, and what the checker must say to that: a part of each sentence
CASES = (
    ("one after the other", history(("a", "1.1", 0, 50), ("b", "1.2", 51, 90)), []),
    ("at once on two hosts", history(("a", "1.1", 0, 50), ("b", "1.2", 49, 90)), ["two commands at once for 1.0 ms"]),
    ("at once, one within the other", history(("a", "1.1", 0, 500), ("b", "1.2", 40, 90), ("b", "1.3", 100, 120)),
     ["two commands at once for 50.0 ms", "two commands at once for 20.0 ms"]),
    ("closer than the clocks are known", with_line(with_line(History(), "a", line("E", "a", 10, "x", "1.1", 1, 4000)),
                                                   "b", line("E", "b", 9.5, "x", "1.2", 2, 4000)), ["tokens do not increase"]),
    ("the same token twice", history(("a", "1.1", 0, 50), ("b", "1.1", 51, 90)), ["tokens do not increase"]),
    ("a token that goes back", history(("a", "1.9", 0, 50), ("b", "1.10", 51, 90), ("a", "1.2", 91, 99)), ["1.2 on a"]),
    ("a new generation", history(("a", "1.9", 0, 50), ("b", "2.1", 51, 90)), []),
    ("alive after its time", unproven(history(("a", "1.1", 0, 9500)), "a", 100, 8000), ["alive 1400 ms past the end"]),
    ("ended in time", unproven(history(("a", "1.1", 0, 8000)), "a", 100, 8000), []),
    ("entered later", unproven(history(("a", "1.1", 200, 9500)), "a", 100, 8000), []),
    ("only another one's time ended", unproven(history(("a", "1.1", 0, 9500)), "a", 100, 8000, {("y", (1, 1))}), []),
    ("a moment after a thaw", frozen(history(("a", "1.1", 0, 30000), ("b", "1.2", 25000, 25100)), "a", 10, 29000), []),
    ("long after a thaw", frozen(history(("a", "1.1", 0, 40000), ("b", "1.2", 25000, 25100)), "a", 10, 29000), ["two commands at once"]),
)


def judge(cases):
    """Ends the test. Cases are (name, the checker's sentences, parts of those that are wanted)."""
    failed = number = 0
    for number, (name, said, wanted) in enumerate(cases, 1):
        good = len(said) == len(wanted) and all(any(part in sentence for sentence in said) for part in wanted)
        print(f"{'ok' if good else 'not ok'} {number} - {name}" + ("" if good else f"\n# said {said}, expected {wanted}"))
        failed += not good
    print(f"1..{number}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    judge((name, found.problems(1 / TICKS_PER_MS), wanted) for name, found, wanted in CASES)
