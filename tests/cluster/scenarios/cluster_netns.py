"""two namespaces of one host name are one NFS client: the second mount takes the lock of the first"""

from harness.errors import equal, matches


def run(cluster):
    host = cluster.host(1)
    a, b = host.netns("a"), host.netns("b")
    equal("their host name", a.run(["hostname"]).stdout, b.run(["hostname"]).stdout)
    a.mount()
    holder = a.spawn("nfsprobe hold /mnt/data/lock")
    holder.wait_output("^proof ok")
    b.mount()
    b.write("/mnt/data/file", "from b")
    equal("what a reads", a.read("/mnt/data/file"), "from b")
    holder.wait_output("^proof EIO", timeout=20)
    matches("the console", host.console(), r"lost \d+ locks")
