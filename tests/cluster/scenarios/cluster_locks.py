"""an OFD lock excludes the other host, and is free as soon as its process is killed"""

from harness.errors import equal

HOSTS = 2


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    for opts in ("nfsvers=4.1,noresvport", "nfsvers=4.0,noresvport"):
        a.mount(opts=opts)
        b.mount(opts=opts)
        holder = a.spawn("nfsprobe hold /mnt/data/lock")
        holder.wait_output("^proof ok")
        equal("the lock at task2", b.run("nfsprobe try /mnt/data/lock", check=False).stdout, "busy\n")
        holder.kill()
        holder.wait()
        cluster.wait_until(lambda: b.run("nfsprobe try /mnt/data/lock", check=False).rc == 0, 3, "the lock becomes free")
        a.umount()
        b.umount()
