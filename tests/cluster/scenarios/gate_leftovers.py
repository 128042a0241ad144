"""a later gate removes what a killed one left, but nothing that another host's gate still uses"""

from harness import gate
from harness.errors import check, equal, matches

HOSTS = 2


def names(cluster):
    return set(cluster.server.run(["ls", "-A", cluster.server.path()]).stdout.split())


def hold(cluster, host):
    """A gate that holds its lock, and the names it made."""
    before = names(cluster)
    holder = host.spawn("efs-init --run-dir /run/gate --lock-hold 40s /mnt/data")
    cluster.wait_until(lambda: any(n.endswith(".moved") for n in names(cluster) - before), 5, "the gate holds its lock")
    return holder, names(cluster) - before


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    killed, left = hold(cluster, a)
    killed.kill()  # its probe dies with it
    live, used = hold(cluster, b)
    user = {"mine", ".efs-sidecar-probe.txt"}
    for name in user:
        a.write(f"/mnt/data/{name}", "")

    def make_old():
        cluster.server.run(f"cd {cluster.server.path()} && touch -d '2 hours ago' .[!.]* *")

    gate.passes(a, "/mnt/data")
    equal("names after a gate that finds them young", names(cluster), left | used | user)
    make_old()
    a.run("sleep 0.1")
    result = gate.passes(a, "/mnt/data")
    matches("its report", result.lines, rf"leftovers +removed {len(left)} names")
    equal("names that are left", names(cluster), used | user)
    check(live.poll() is None, "the other gate was disturbed")
