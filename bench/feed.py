"""the feed across hosts: latency, calls, dollars; chokidar's polling and fswatch's poll monitor beside it"""

import json
import os
import time

from harness.errors import Failure, check
from harness.feedview import Ticks
from harness.host import ECS_OPTIONS
from harness.sidecar import Sidecar

HOSTS = 4
DEADLINE_S = 7200
ADDED_MS = 1
BATCH_MS = 50
DOLLARS_MAX = 0.10
SETTINGS = {"parts": "latency tasks amplification cost", "files": "1000 10000 100000", "warmup": "100", "seconds": "60"}


def setting(name):
    return os.environ.get("FEED_" + name.upper()) or SETTINGS[name]


class Table:
    """Lines that go to the log, and into the file that bench/feed shows."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.file = open(os.path.join(cluster.results_dir, "table"), "w", encoding="utf-8", buffering=1)
        self.failed = []

    def line(self, text=""):
        self.file.write(text + "\n")
        self.cluster.log("bench: " + text)

    def claim(self, text, holds):
        self.line(f"  {'holds' if holds else 'DOES NOT HOLD'}: {text}")
        if not holds:
            self.failed.append(text)


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


def start(cluster, numbers, options="", path="/mnt/data", mount=None):
    """A sidecar on each of these hosts, all ready."""
    sidecars = []
    for number in numbers:
        host = cluster.host(number)
        host.mount(**(mount or {}), path=path)
        sidecars.append(Sidecar(host, path, task=f"task{number}", intervals="", options=options))
    for sidecar in sidecars:
        sidecar.ready(timeout=120)
    return sidecars


def cost(cluster, host, path, seconds):
    """mountcost in the background; its figures come from figures()."""
    return host.spawn(f"{cluster.build}/bench/mountcost {path} {seconds}")


def figures(process, seconds):
    words = dict(line.rsplit(None, 1) for line in process.wait(seconds + 60, check=True).stdout.splitlines() if "_per_" in line)
    return {name: float(value) for name, value in words.items()}


# -- latency --

def latency(cluster, table):
    table.line(f"change to event on two other hosts, {ADDED_MS} ms added to what the server sends; batch window {BATCH_MS} ms")
    cluster.server.delay_ms(ADDED_MS)
    for poll_ms in (100, 1000):
        measure_latency(cluster, table, poll_ms)
    cluster.server.delay_ms(0)


def measure_latency(cluster, table, poll_ms):
    sidecars = start(cluster, (1, 2, 3), f"--feed-poll={poll_ms}ms --feed-poll-idle={poll_ms}ms --watch-batch={BATCH_MS}ms")
    ticks = Ticks(cluster)
    tails = [cluster.host(n).spawn(["feedtail", "/run/efs-sidecar/api.sock"]) for n in (2, 3)]
    for tail in tails:
        tail.wait_output("ready")
    pause_ms = 300
    count = 150
    pings = cluster.host(2).spawn([f"{cluster.build}/bench/feedwork", "ping", "/mnt/data", "1000"])
    writer = cluster.host(1).run([f"{cluster.build}/bench/feedwork", "marks", "/mnt/data", str(count), str(pause_ms)], timeout=120)
    time.sleep(poll_ms / 1000 + 3)
    made = {line.split()[2]: int(line.split()[1]) for line in writer.stdout.splitlines()}
    pings = [int(line) / 1000 for line in pings.stdout.splitlines()]
    late = []
    for tail in tails:
        told = {}
        for line in tail.stdout.splitlines():
            at, _, change = line.partition(" ")
            told.setdefault(json.loads(change).get("path"), int(at))
        check(set(made) <= set(told), f"{len(set(made) - set(told))} of {count} files were not told")
        late += [ticks.ms(told[name] - made[name]) for name in made]
    p50, p99, getattr_p99 = percentile(late, 50), percentile(late, 99), percentile(pings, 99)
    bound = poll_ms + BATCH_MS + 9 * getattr_p99
    table.line(f"  poll {poll_ms} ms: p50 {p50:.0f} ms, p99 {p99:.0f} ms of {len(late)}; GETATTR p50 {percentile(pings, 50):.1f} ms, "
               f"p99 {getattr_p99:.1f} ms")
    table.claim(f"p99 {p99:.0f} ms <= poll + batch window + 9 x p99 GETATTR = {bound:.0f} ms", p99 <= bound)
    stop(cluster, sidecars)


def stop(cluster, sidecars, path="/mnt/data"):
    for sidecar in sidecars:
        sidecar.stop(within_s=15)
        sidecar.host.umount(path)


# -- how it scales with tasks --

def board_words(cluster):
    """{slot: (epoch, sequence)} as the server has them."""
    hexadecimal = cluster.server.run(f"od -An -v -tx8 -w64 {cluster.server.path()}/.efs-sidecar/board").stdout
    words = [int(line.split()[1], 16) for line in hexadecimal.splitlines()]
    return {slot: (word >> 40, word & (1 << 40) - 1) for slot, word in enumerate(words) if word}


def tasks(cluster, table):
    seconds = 3 * int(setting("seconds"))  # with one proof of the slot in it
    table.line(f"calls of the elected task and of another, idle at the defaults, without the canary, {seconds} s")
    sidecars = start(cluster, (1, 2, 3), "--feed-idle-after=5s --canary-interval=0s")
    simulated = f"exec {cluster.build}/bench/feedsim /mnt/data/.efs-sidecar"
    per_minute = {}
    for count in (3, 53):
        if count > 3:
            host = cluster.host(4)
            host.mount()
            members = host.spawn(f"{simulated} {count - 3} 0")
            members.wait_output("joined", 60)
        time.sleep(180)  # whoever is new is looked at, and the board is read once more
        for name, got in zip(("elected", "another"), [cost(cluster, cluster.host(n), "/mnt/data", seconds) for n in (1, 2)]):
            got = figures(got, seconds)
            per_minute[count, name] = got["calls_per_minute"]
            table.line(f"  {count} tasks, {name}: {got['calls_per_minute']:.1f} calls a minute, ${got['dollars_per_month']:.4f} a month")
    for name in ("elected", "another"):
        few, many = per_minute[3, name], per_minute[53, name]
        table.claim(f"idle calls do not depend on the number of tasks ({name}: {few:.1f} and {many:.1f} a minute)", many <= few * 1.05 + 0.5)
    for every_ms in (10000, 1000, 200):
        busy = cluster.host(4).spawn(f"{simulated} 1 {every_ms}")
        busy.wait_output("joined", 20)
        time.sleep(5)
        got = figures(cost(cluster, cluster.host(1), "/mnt/data", 30), 30)
        busy.signal(15)
        busy.wait(20)
        table.line(f"  and one of them announces every {every_ms / 1000:g} s: {got['calls_per_minute']:.0f} calls a minute, "
                   f"${got['dollars_per_month']:.2f} a month")
    members.signal(15)
    members.wait(30)
    cluster.host(4).umount()
    stop(cluster, sidecars)


# -- amplification --

def amplification(cluster, table):
    """What one host makes, the others must not announce again."""
    sidecars = start(cluster, (1, 2, 3))
    before = board_words(cluster)
    cluster.host(1).run("mkdir /mnt/data/new && cd /mnt/data/new && touch $(seq 1000)", timeout=60)
    tail_end = time.monotonic() + 15
    while time.monotonic() < tail_end:
        time.sleep(1)
    after = board_words(cluster)
    grown = sorted((sequence - before[slot][1] for slot, (_, sequence) in after.items()), reverse=True)
    table.line(f"1,000 files made on one of three hosts: the members announced {grown} records")
    table.claim("the others announce at most 2 % of them again", sum(grown[1:]) <= 20 and grown[0] >= 1001)
    stop(cluster, sidecars)


# -- cost beside the rivals --

class Ours:
    name = "efs-sidecar"

    def __init__(self, cluster, host, path, mount):
        host.mount(**mount, path=path)
        self.sidecar = Sidecar(host, path, task="reader", intervals="", options="--feed-idle-after=5s")
        self.sidecar.ready(timeout=600)
        self.process = host.spawn(["feedtail", "/run/efs-sidecar/api.sock"])
        self.process.wait_output("ready")

    def stop(self):
        self.sidecar.stop(within_s=15)


class Chokidar:
    name = "chokidar, polling"

    def __init__(self, cluster, host, path, mount):
        host.mount(**mount, path=path)
        script = os.path.join(cluster.top, "bench/feed_chokidar.js")
        self.process = host.spawn(["node", script, os.environ["CHOKIDAR"], path])
        self.process.wait_output("^ready", 1200)

    def stop(self):
        self.process.kill()
        self.process.wait(30)


class Fswatch:
    name = "fswatch -m poll_monitor"

    def __init__(self, cluster, host, path, mount):
        host.mount(**mount, path=path)
        self.process = host.spawn(["fswatch", "-m", "poll_monitor", "-r", path])

    def stop(self):
        self.process.kill()
        self.process.wait(30)


def costs(cluster, table):
    seconds, warmup = int(setting("seconds")), int(setting("warmup"))
    for files in map(int, setting("files").split()):
        root = f"{cluster.server.path()}/{files}"
        cluster.server.run(f"mkdir {root} && {cluster.build}/bench/feedwork fill {root} {files}", timeout=600)
        # its own superblock, so its own counters
        mount = {"source": f"10.77.0.1:/normal/{files}", "opts": ECS_OPTIONS + ",nosharecache"}
        measure_cost(cluster, table, files, mount, warmup, seconds)
        cluster.server.run(f"rm -rf {root}", timeout=120)


def measure_cost(cluster, table, files, mount, warmup, seconds):
    path = f"/mnt/{files}"
    tools = [tool(cluster, cluster.host(n + 1), path, mount) for n, tool in enumerate((Ours, Chokidar, Fswatch))]
    writers = start(cluster, (4,), "--feed-idle-after=5s", path, mount)
    time.sleep(warmup)
    running = [cost(cluster, cluster.host(n + 1), path, seconds) for n in range(len(tools))]
    got = [figures(process, seconds) for process in running]
    late = noticed(cluster, tools, path)
    table.line(f"{files} files, idle for {seconds} s after {warmup} s; then 10 files made by another host, watched for 120 s")
    table.line(f"  {'':24} {'calls/min':>10} {'MiB/min':>9} {'$/month':>9} {'ratio':>7}   noticed, median s")
    for tool, row, waits in zip(tools, got, late):
        table.line(f"  {tool.name:24} {row['calls_per_minute']:10.1f} {row['metered_bytes_per_minute'] / 2**20:9.3f} {row['dollars_per_month']:9.4f} "
                   f"{row['dollars_per_month'] / got[0]['dollars_per_month']:7.1f}   {len(waits)} of 10"
                   + (f", {percentile(waits, 50):.1f}" if waits else ""))
    table.claim(f"idle <= ${DOLLARS_MAX:.2f} a month (the write canary, every 5 minutes, may not be in it)", got[0]["dollars_per_month"] <= DOLLARS_MAX)
    table.calls[files] = got[0]["calls_per_minute"]
    if len(table.calls) > 1:
        least, most = min(table.calls.values()), max(table.calls.values())
        table.claim(f"idle calls do not depend on the number of files ({table.calls})", most <= least * 1.1 + 3)
    for tool in tools:
        tool.stop()
    stop(cluster, writers, path)
    for number in (1, 2, 3):
        cluster.host(number).umount(path)


def noticed(cluster, tools, path):
    """Seconds until each of 10 new files was told, of those that were within two minutes."""
    files, end = {}, None
    writer = cluster.host(4).spawn([f"{cluster.build}/bench/feedwork", "marks", f"{path}/0", "10", "1000"])
    told = [{} for _ in tools]
    while end is None or time.monotonic() < end:
        now = time.monotonic()
        for line in writer.stdout.splitlines():
            files.setdefault(line.split()[2], now)
        for tool, seen in zip(tools, told):
            output = tool.process.stdout
            for name in files:
                if name not in seen and name in output:
                    seen[name] = now - files[name]
        if end is None and writer.poll() is not None:
            writer.wait(1, check=True)
            end = now + 120
        if end and all(len(seen) == 10 for seen in told):
            break
        time.sleep(0.05)
    return [list(seen.values()) for seen in told]


def run(cluster):
    table = Table(cluster)
    table.calls = {}
    parts = {"latency": latency, "tasks": tasks, "amplification": amplification, "cost": costs}
    for name in setting("parts").split():
        parts[name](cluster, table)
        cluster.server.run(f"find {cluster.server.path()} -mindepth 1 -delete", timeout=120)
    if table.failed:
        raise Failure("does not hold: " + "; ".join(table.failed))
