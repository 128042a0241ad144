"""the lock of a killed host is free after its lease, not before, and the host boots again"""

import time

from harness.errors import between, equal

HOSTS = 2
LEASE_S = 10


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    a.write("/mnt/data/file", "before")
    a.spawn("nfsprobe hold /mnt/data/lock").wait_output("^proof ok")
    a.kill()
    killed = time.monotonic()
    cluster.wait_until(lambda: b.run("nfsprobe try /mnt/data/lock", check=False).rc == 0, 3 * LEASE_S, "the lease ends")
    # the last renewal was up to a third of the lease before; the server looks once a lease
    between("seconds until the lock was free", time.monotonic() - killed, LEASE_S / 2, 2.5 * LEASE_S)
    a.boot()
    a.mount()
    equal("the file after the reboot", a.read("/mnt/data/file"), "before")
