"""after it the cluster is as after its boot"""

import os

from harness.errors import check, equal
from harness.server import VARIANTS

HOSTS = 2

# A tree that lies below /tmp is put there, too.
HERE = os.path.abspath(__file__).split("/")
SCRATCH = "/mnt:\n\n/tmp:\n" + (HERE[2] + "\n" if HERE[1] == "tmp" else "")


def run(cluster):
    for host in (cluster.host(1), cluster.host(2)):
        check(" nfs4 " not in host.read("/proc/self/mountinfo"), f"{host.name} still has a mount")
        processes = host.run(["ps", "--ppid", "2", "-N", "-o", "args="]).stdout.splitlines()
        check(not any(word in p for p in processes for word in ("nfsprobe", "setsid", "sleep")), f"left: {processes}")
        equal("what is left in its scratch folders", host.run(["ls", "/tmp", "/mnt"]).stdout, SCRATCH)
        check("netem" not in host.run(["tc", "qdisc", "show", "dev", "vec0"]).stdout, "the delay is still there")
        host.mount()
        host.write("/mnt/data/new", "new")
    check("netem" not in cluster.server.run(["tc", "qdisc", "show", "dev", "vec0"]).stdout, "the delay is still there")
    server = cluster.server.run("cd /mnt/export && stat -c '%n %a %u' * && find . -type f").stdout
    owners = {v: 1000 if v == "squash1000" else 0 for v in sorted(VARIANTS)}
    equal("the exports", server, "".join(f"{v} 755 {u}\n" for v, u in owners.items()) + "./normal/new\n")
    cluster.host(1).netns("a").mount()
