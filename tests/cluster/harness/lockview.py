"""What commands under locks said about themselves, and what must be true of it.

    history = History()
    history.add("task1 life 1", line)          # of `lockwork hold`
    history.frozen("task1 life 1", from_ticks, until_ticks)
    history.unproven("task1 life 1", from_ticks, valid_ms, why)
    history.problems(ms_per_tick)              # sentences; none when all is well

Each kernel's CLOCK_BOOTTIME is related to the others by the time stamp counter of the machine that all of them run on, which every line
has read before and after: the offset must lie between the two, for all lines of a kernel's life; what these leave open is the
uncertainty. A command is known to have run from its first to its last sign of life.
"""

import collections

THAW_MS = 2000  # what a tree of processes that was frozen as a whole may do until its guard runs: only tokens protect then
LATE_MS = 1000  # half of the margin that the sidecar keeps: a machine that is busy runs the guard late


class Run:
    """One command under a lock."""

    __slots__ = ("life", "name", "token", "pid", "signs", "left")

    def __init__(self, life, name, token, pid):
        self.life, self.name, self.token, self.pid = life, name, token, pid
        self.signs, self.left = [], False

    def __str__(self):
        return f"{self.name} token {'.'.join(map(str, self.token))} on {self.life}, pid {self.pid}"


class Clock:
    """CLOCK_BOOTTIME of one life of a kernel: ticks as ms - offset."""

    __slots__ = ("low", "high")

    def __init__(self):
        self.low, self.high = -float("inf"), float("inf")

    def learn(self, before_ms, boot_ms, after_ms):
        self.low = max(self.low, before_ms - boot_ms)
        self.high = min(self.high, after_ms - boot_ms)

    def offset(self):
        return (self.low + self.high) / 2

    def uncertainty(self):
        return abs(self.high - self.low) / 2


class History:
    def __init__(self, tokens_increase=True):
        self.tokens_increase, self.runs = tokens_increase, {}
        self.raw = collections.defaultdict(list)  # of a life: (ticks, boot_us, ticks)
        self.frozen_at, self.bounds = [], []

    def add(self, life, line):
        """A sign of life; its Run."""
        kind, before, boot_us, after, name, token, pid = line.split()
        self.learn(life, before, boot_us, after)
        key = (life, int(pid), name, token)
        run = self.runs.get(key)
        if run is None:
            generation, n = token.split(".")
            run = self.runs[key] = Run(life, name, (int(generation), int(n)), int(pid))
        run.signs.append(int(boot_us) / 1000)
        run.left = run.left or kind == "L"
        return run

    def learn(self, life, before, boot_us, after):
        """One reading of the clocks there."""
        self.raw[life].append((int(before), int(boot_us), int(after)))

    def frozen(self, life, from_ticks, until_ticks):
        """The whole kernel stood still. until_ticks was read before it was continued."""
        self.frozen_at.append((life, from_ticks, until_ticks))

    def unproven(self, life, from_ticks, valid_ms, why, only=None):
        """What was granted there before can be proven no more, so its commands end within valid_ms; only: {(name, token)}."""
        self.bounds.append((life, from_ticks, valid_ms, why, only))

    # -- the judgement --

    def clocks(self, ms_per_tick):
        clocks = {}
        for life, lines in self.raw.items():
            clock = clocks[life] = Clock()
            for before, boot_us, after in lines:
                clock.learn(before * ms_per_tick, boot_us / 1000, after * ms_per_tick)
        return clocks

    def problems(self, ms_per_tick):
        self.ms_per_tick, self.clock_of = ms_per_tick, self.clocks(ms_per_tick)
        self.uncertainty_ms = max((clock.uncertainty() for clock in self.clock_of.values()), default=0)
        self.thawed_ms = self.late_ms = 0
        spans = [self.span(run) for run in self.runs.values()]
        found = self.check_bounds(spans)
        by_name = collections.defaultdict(list)
        for span in spans:
            by_name[span[2].name].append(span)
        for of_name in by_name.values():
            found += self.check_name(sorted(of_name, key=lambda s: s[0]))
        return found

    def span(self, run):
        """(first sign, last sign, run) on the common clock, in ms; without what happened right after a thaw."""
        offset = self.clock_of[run.life].offset()
        signs = [ms + offset for ms in run.signs]
        first = signs[0]
        for life, from_ticks, until_ticks in self.frozen_at:
            from_ms, until_ms = from_ticks * self.ms_per_tick, until_ticks * self.ms_per_tick
            if life != run.life or first >= from_ms:
                continue
            after = [ms for ms in signs if until_ms <= ms <= until_ms + THAW_MS]
            if after:
                self.thawed_ms = max(self.thawed_ms, max(after) - until_ms)
                signs = [ms for ms in signs if ms not in after]
        return first, max(signs), run

    def check_bounds(self, spans):
        found = []
        for life, from_ticks, valid_ms, why, only in self.bounds:
            from_ms = from_ticks * self.ms_per_tick
            for first, last, run in spans:
                if run.life != life or first >= from_ms or (only is not None and (run.name, run.token) not in only):
                    continue
                late = last - from_ms - valid_ms
                self.late_ms = max(self.late_ms, late)
                if late > LATE_MS:
                    found.append(f"{run} was alive {late:.0f} ms past the end of its lock ({why})")
        return found

    def check_name(self, spans):
        found = []
        latest = None  # of those before, the one that ran longest
        highest = None
        for span in spans:
            first, last, run = span
            if self.tokens_increase and highest and run.token <= highest.token:
                found.append(f"tokens do not increase: {run} entered after {highest}")
            if not highest or run.token > highest.token:
                highest = run
            if latest:
                doubt = self.clock_of[run.life].uncertainty() + self.clock_of[latest[2].life].uncertainty()
                if latest[1] - first > doubt:
                    found.append(f"two commands at once for {min(last, latest[1]) - first:.1f} ms or more: {run} entered while {latest[2]} "
                                 f"was alive")
            if not latest or last > latest[1]:
                latest = span
        return found
