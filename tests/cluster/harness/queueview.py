"""What uploaders, processors and readers of a queue said about themselves, and what must be true of it.

    queue = Queue()
    queue.add("task1 life 1", line)            # of queuework; frozen() and unproven() are those of lockview.History
    queue.problems(ms_per_tick, left, repeats) # sentences; none when all is well

left: the files that the share has in the end. repeats: how many files the faults may have had processed again after they were done.
"""

import collections
import re

from .lockview import THAW_MS, History

DEAD = re.compile(r"/\.dead/(\d+)\.[^/]+/([^/]+)$")
WORK = "EBLF"  # kinds of lines
STOPPED_BEFORE = 2  # attempts that may have ended before the command began


def token_of(text):
    return tuple(int(n) for n in text.split("."))


class Queue:
    def __init__(self):
        self.history = History(tokens_increase=False)  # the number of failed attempts takes its place
        self.frozen, self.unproven = self.history.frozen, self.history.unproven
        self.written, self.published, self.done = {}, collections.Counter(), collections.Counter()
        self.spoiled = []  # (life, ticks, name, why)
        self.tokens, self.seen = set(), []

    def add(self, life, line):
        kind, before, boot_us, after, name, token, _pid = line.split()
        if kind in WORK:
            self.history.add(life, line)
            self.done[name] += kind == "L"
            return
        self.history.learn(life, before, boot_us, after)
        if kind == "W":
            self.written[name] = life
        elif kind == "P":
            self.published[name] += 1
        elif kind == "X":
            self.spoiled.append((life, int(before), name, token))
        elif kind == "C":
            self.tokens.add(token_of(token))
        elif kind == "T":
            self.seen.append(token_of(token))

    def dead_letters(self, left):
        """{name: attempts}: poison, and what was stopped again and again while it was worked on."""
        runs = collections.Counter(run.name for run in self.history.runs.values())
        found = {match[2]: int(match[1]) for match in map(DEAD.search, left) if match}
        return {name: attempts for name, attempts in found.items() if runs[name] >= attempts - STOPPED_BEFORE}

    def waiting(self, left):
        """What was written and is not at its end."""
        dead = self.dead_letters(left)
        return [name for name in self.written if not self.done[name] and name not in dead]

    def repeated(self):
        return sum(n - 1 for n in self.done.values() if n > 1)

    # -- the judgement --

    def problems(self, ms_per_tick, left, repeats):
        found = self.history.problems(ms_per_tick) + self.check_content(ms_per_tick) + self.check_attempts() + self.check_tokens()
        found += [f"{name}, written on {self.written[name]}, was never processed" for name in self.waiting(left)]
        found += [f"{name} was published {n} times" for name, n in self.published.items() if n > 1]
        if self.repeated() > repeats:
            found.append(f"{self.repeated()} files were processed again after they were done; the faults explain {repeats}")
        return found + self.check_left(left)

    def check_content(self, ms_per_tick):
        thaws = [(life, until * ms_per_tick) for life, _, until in self.history.frozen_at]
        return [f"{name} on {life}: {why}" for life, ticks, name, why in self.spoiled
                if why != "gone" or not any(life == thawed and 0 <= ticks * ms_per_tick - ms <= THAW_MS for thawed, ms in thaws)]

    def check_attempts(self):
        found, latest = [], {}
        for _, _, run in sorted(map(self.history.span, self.history.runs.values()), key=lambda s: s[0]):
            before = latest.get(run.name)
            if before and run.token < before.token:
                found.append(f"attempts were forgotten: {run} entered after {before}")
            latest[run.name] = run
        return found

    def check_tokens(self):
        """A publish under a lock wins over those with lower tokens only."""
        found = [f"a stale token won: {b} was seen after {a}" for a, b in zip(self.seen, self.seen[1:]) if b < a]
        if self.tokens and (not self.seen or self.seen[-1] < max(self.tokens)):
            found.append(f"token {max(self.tokens)} was published, in the end there is {self.seen[-1] if self.seen else 'none'}")
        return found

    def check_left(self, left):
        dead = self.dead_letters(left)
        return [f"{path} was left behind" for path in left if path.rpartition("/")[2] not in dead or not DEAD.search(path)]
