"""a lock survives a restart of the server, and is lost when the server has forgotten its clients"""

import time

from harness.errors import equal

HOSTS = 2


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    holder = a.spawn("nfsprobe hold /mnt/data/lock")
    holder.wait_output("^proof ok")
    cluster.server.restart_nfsd()
    b.run("echo after >/mnt/data/file", timeout=25)
    equal("the lock after a restart", b.run("nfsprobe try /mnt/data/lock", check=False).stdout, "busy\n")
    time.sleep(1)
    equal("the proofs so far", holder.stdout, "locked\nproof ok\n")

    cluster.server.restart_nfsd(forget=True)
    holder.wait_output("^proof EIO", timeout=25)
