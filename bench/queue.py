"""the queue: calls and rate of claims beside a bare rename and unlink, and four claimers on one directory"""

import time

from harness.errors import check
from harness.locks import start

HOSTS = 4
DEADLINE_S = 900
LATENCY_MS = 1
FILES, CLAIMED = 400, 10000
TIMES_CALLS, TIMES_RATE = 2, 2
SOCKET = "/run/efs-sidecar/api.sock"


def run(cluster):
    cluster.server.delay_ms(LATENCY_MS)
    hosts = [cluster.host(n) for n in (1, 2, 3, 4)]
    for host in hosts:
        host.mount()
    bare = floor(cluster, hosts[0])
    start(cluster, 4, mount=False)
    cost(cluster, hosts[0], bare)
    share(cluster, hosts)


def api(cluster, *words):
    return [f"{cluster.build}/bench/queueapi", *words]


# -- what one costs --

def make(cluster, host, name):
    host.run(["mkdir", "-p", f"/mnt/data/{name}"])
    host.run(api(cluster, "make", f"/mnt/data/{name}", str(FILES)), timeout=60)


def floor(cluster, host):
    """The bare calls, without a sidecar."""
    make(cluster, host, "bare.1")
    host.run("mkdir /mnt/data/bare.2")
    return of_each(cluster, host, "bare rename and unlink", ["rename", "/mnt/data/bare.1", "/mnt/data/bare.2"])


def cost(cluster, host, bare):
    for batch in "1", "8":
        make(cluster, host, f"queue.{batch}")
        calls = of_each(cluster, host, f"claim and done, {batch} at once", ["claim", SOCKET, f"queue.{batch}", str(FILES), batch])
        cluster.log(f"bench: claim and done, {batch} at once: {calls / bare:.2f} times the bare calls (at most {TIMES_CALLS})")
        check(calls <= TIMES_CALLS * bare, f"a claim takes {calls:.2f} calls, the bare ones {bare:.2f}")


def of_each(cluster, host, name, words):
    """Calls of each; what goes on anyway is taken off."""
    idle = rate(host, 3)
    before, began = host.mountstats(), time.monotonic()
    n, seconds = host.run(api(cluster, *words), timeout=120).stdout.split()
    check(int(n) == FILES, f"{name}: {n} of {FILES} files")
    time.sleep(1)  # for what is announced late
    found, lasted = (host.mountstats() - before).counts(), time.monotonic() - began
    calls = {op: round((count - idle.get(op, 0) * lasted) / FILES, 2) for op, count in found.items()}
    calls = {op: count for op, count in calls.items() if count > 0.02}
    total = sum(calls.values())
    cluster.log(f"bench: {name}: {FILES / float(seconds):.0f} a second, {total:.2f} calls each: {calls}")
    return total


def rate(host, seconds):
    before = host.mountstats()
    time.sleep(seconds)
    return {op: n / seconds for op, n in (host.mountstats() - before).counts().items()}


# -- how several share --

def share(cluster, hosts):
    alone = claimed(cluster, hosts[:1], 1)
    together = claimed(cluster, hosts, 2)
    cluster.log(f"bench: four claimers on {CLAIMED} files: {together / alone:.1f} times one (at least {TIMES_RATE})")
    check(together >= TIMES_RATE * alone, f"four claimers have only {together / alone:.1f} times the rate of one")


def claimed(cluster, hosts, n):
    """All of a directory; files a second."""
    queue = f"shared.{n}"
    path = f"{cluster.server.path()}/{queue}"
    cluster.server.run(f"mkdir {path} && cd {path} && seq -f 'item%05g' {CLAIMED} | xargs touch", timeout=60)
    began = time.monotonic()
    processes = [host.spawn(api(cluster, "claim", SOCKET, queue, "0", "8")) for host in hosts]
    results = [p.wait(400, check=True).stdout.split() for p in processes]
    seconds = max(float(s) for _, s in results) - 1  # the quiet at the end
    each = ", ".join(f"{host.name} {int(count) / seconds:.0f}" for host, (count, _) in zip(hosts, results))
    total = sum(int(count) for count, _ in results)
    check(total == CLAIMED, f"{total} of {CLAIMED} files were claimed")
    cluster.log(f"bench: {len(hosts)} claimer{'s' if len(hosts) > 1 else ''}: {total / seconds:.0f} files a second: {each} ({time.monotonic() - began:.0f} s)")
    return total / seconds
