"""a host is cut off for 30 s: what it did, and what the others did meanwhile, is told when the link is back, or a resync is"""

import time

from harness import feed
from harness.errors import check, equal

HOSTS = 3
DEADLINE_S = 240
CUT_S = 30


def run(cluster):
    sidecars = feed.start(cluster, 3)
    a, b, c = (sidecar.host for sidecar in sidecars)
    for host in a, b, c:
        host.run(f"mkdir /mnt/data/{host.name}")
    readers = [feed.read(sidecar) for sidecar in sidecars]
    time.sleep(1)
    c.link_down()
    for i in range(30):
        a.run(f"echo {i} >/mnt/data/{a.name}/f{i}")
        b.run(f"echo {i} >/mnt/data/{b.name}/f{i}; rm -f /mnt/data/{b.name}/f{i - 1}")
        time.sleep(CUT_S / 30 / 2)
    time.sleep(CUT_S / 2)
    for i in range(30):
        readers[1].wait(path=f"{a.name}/f{i}", source="peer")
    equal("resyncs on those that were not cut off", readers[0].resyncs() + readers[1].resyncs(), [])
    c.link_up()

    # Its lease is over (10 s), so it has lost its slot and joins anew; its readers hear all, or a resync and what exists.
    def all_told():
        changes = readers[2].changes()
        told = {change["path"] for change in changes}
        return all(f"{a.name}/f{i}" in told for i in range(30)) and f"{b.name}/f29" in told

    cluster.wait_until(all_told, 90, "everything that happened during the cut")
    cluster.log(f"resyncs where the link was cut: {[(r['reason'], r['source']) for r in readers[2].resyncs()]}")
    gone = {change["path"] for change in readers[2].find(op="delete")}
    check(readers[2].resyncs() or all(f"{b.name}/f{i}" in gone for i in range(29)), "deletes were not told")

    # And it is heard again.
    for sidecar in sidecars:
        sidecar.ready(90)
    c.run(f"echo back >/mnt/data/{c.name}/back")
    for reader in readers[:2]:
        reader.wait(path=f"{c.name}/back", source="peer", timeout=60)
        cluster.log(f"resyncs on another: {[(r['reason'], r.get('observer')) for r in reader.resyncs()]}")
        check(len(reader.resyncs()) <= 2, reader.resyncs())
    for sidecar in sidecars:
        sidecar.stop(20)
