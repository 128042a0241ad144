"""a write waits while the link is cut, for longer than the lease, and ends when it is healed"""

import time

from harness.errors import check, equal

HOSTS = 2


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount()
    a.write("/mnt/data/before", "1")
    holder = a.spawn("nfsprobe hold /mnt/data/lock")
    holder.wait_output("^proof ok")

    a.link_down()
    writer = a.spawn("echo 2 >/mnt/data/during")
    b.write("/mnt/data/others", "3")
    cluster.wait_until(lambda: b.run("nfsprobe try /mnt/data/lock", check=False).rc == 0, 25, "the lease ends", every=0.5)
    time.sleep(1)
    check(writer.poll() is None, "the write ended although the link was cut")

    a.link_up()
    writer.wait(timeout=20, check=True)
    equal("the file written during the cut", b.read("/mnt/data/during"), "2\n")
    holder.wait_output("^proof EIO", timeout=20)
