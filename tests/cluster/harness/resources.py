"""What the sidecars of a long run use: memory, descriptors, threads, sampled while they live, and whether that stays flat.

    usage = Usage()
    usage.sample(host, life)            # now and then; life names which of the host's
    print(usage.table(long_s))
    problems = usage.growth(long_s)     # of processes that lived at least so long
"""

import collections
import statistics
import time

WARM_UP_S = 120  # threads that work has started, buffers that were needed once
GROWTH_RATIO, GROWTH_KIB, GROWTH_COUNT = 1.10, 512, 2

Sample = collections.namedtuple("Sample", "time rss_kib anon_kib fds threads")
LOOK = """for pid in $(pidof efs-sidecar efs-watch); do
    echo "$pid" "$(cat /proc/$pid/comm)" "$(awk '/^VmRSS|^RssAnon|^Threads/ {printf "%s ", $2}' /proc/$pid/status)" "$(ls /proc/$pid/fd | wc -l)"
done 2>/dev/null"""


class Usage:
    def __init__(self):
        self.began = time.monotonic()
        self.samples = collections.defaultdict(list)

    def sample(self, host, life):
        now = time.monotonic() - self.began
        for line in host.run(LOOK, timeout=60, check=False).stdout.splitlines():
            fields = line.split()
            if len(fields) == 6:  # else it ended meanwhile
                pid, name, rss, anon, threads, fds = fields
                self.samples[life, name, int(pid)].append(Sample(now, int(rss), int(anon), int(fds), int(threads)))

    def long_lived(self, long_s):
        """{process: (medians of the first third, of the last third), after the warm-up}"""
        found = {}
        for process, samples in self.samples.items():
            settled = [s for s in samples if s.time >= samples[0].time + WARM_UP_S]
            third = len(settled) // 3
            if third and samples[-1].time - samples[0].time >= long_s:
                found[process] = Sample(*map(statistics.median, zip(*settled[:third]))), Sample(*map(statistics.median, zip(*settled[-third:])))
        return found

    def growth(self, long_s):
        found = self.long_lived(long_s)
        problems = [] if found else [f"no process lived for {long_s:.0f} s"]
        for (life, name, pid), (first, last) in found.items():
            grown = [f"{field} {before:g} to {after:g}" for field, before, after in zip(Sample._fields[1:], first[1:], last[1:])
                     if after > (before * GROWTH_RATIO + GROWTH_KIB if field.endswith("kib") else before + GROWTH_COUNT)]
            if grown:
                problems.append(f"{name} {pid} of {life} has grown: {', '.join(grown)}")
        return problems

    def table(self, long_s):
        lines = ["process                         lived s       RSS KiB    private KiB    descriptors        threads   (first third, last third)"]
        for (life, name, pid), (first, last) in sorted(self.long_lived(long_s).items()):
            samples = self.samples[life, name, pid]
            pairs = "".join(f"{before:8g}{after:7g}" for before, after in zip(first[1:], last[1:]))
            lines.append(f"{life:13} {name:11} {pid:5} {samples[-1].time - samples[0].time:7.0f}{pairs}")
        lives = collections.Counter(name for _, name, _ in self.samples)
        lines.append("processes seen: " + ", ".join(f"{count} {name}" for name, count in sorted(lives.items())))
        return "\n".join(lines)
