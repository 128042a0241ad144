"""the gate that holds a lock tells an expired lease from a stolen identity"""

from harness.errors import matches

HOSTS = 2
DEADLINE_S = 90


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    holder = a.spawn("efs-init --run-dir /run/gate --lock-hold 30s /mnt/data")

    def moved():
        return [n for n in b.run("ls -A /mnt/data").stdout.split() if n.endswith(".moved")]

    [name] = cluster.wait_until(moved, 5, "the gate holds its lock")
    a.link_down()
    # The server keeps what an expired client holds until somebody else wants it.
    take = ["nfsprobe", "try", f"/mnt/data/{name}"]
    cluster.wait_until(lambda: b.run(take, check=False).rc == 0, 30, "the lease expires")
    a.link_up()
    matches("its answer", holder.wait(45).stderr, r"NOT READY \(LeaseLost, exit 41\): .* after the mount had not answered for \d{5} ms")
