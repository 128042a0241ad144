"""what a writer that dies in the middle leaves in its journal, zeros, a short tail, and garbage on the board harm nobody"""

import time

from harness import feed
from harness.errors import check, equal

HOSTS = 3
DEADLINE_S = 240


def run(cluster):
    sidecars = feed.start(cluster, 2)
    writer, other = sidecars
    c = cluster.host(3)
    c.mount()
    reader = feed.read(other)
    writer.host.write("/mnt/data/before", "x")
    reader.wait(path="before", source="peer")

    # Behind the member's back: its journal's tail is NULs, then half a record; the rest of the board is rubbish. Slots that are
    # somebody's stay as they are.
    journal = c.run("ls -d /mnt/data/.efs-sidecar/feed/*/").stdout.split()
    equal("journals", len(journal), 2)
    c.run("cd /mnt/data/.efs-sidecar && for f in feed/*/1.log; do s=$(stat -c %s $f); truncate -s $((s + 100)) $f; done")
    board = "/mnt/data/.efs-sidecar/board"
    slots = {int(path.rstrip("/").rsplit("/", 1)[1].split("-")[0]) for path in journal}
    free = [i for i in range(256) if i not in slots]
    for first, last in ((free[0], free[0] + 3), (free[-1] - 3, free[-1])):
        for i in range(first, last):
            if i not in slots:
                c.run(f"dd if=/dev/urandom of={board} bs=64 seek={i} count=1 conv=notrunc status=none")
    for i in range(5):
        writer.host.write(f"/mnt/data/after{i}", "x")
    for i in range(5):
        reader.wait(path=f"after{i}", source="peer")
    equal("resyncs", reader.resyncs(), [])

    # It dies between journal and slot, as far as anyone can tell: half a record at the tail, and nobody holds the slot.
    writer.host.run(["kill", "-KILL", str(writer.process.pid)])
    time.sleep(2)
    c.run("cd /mnt/data/.efs-sidecar && for f in feed/*/1.log; do printf '\\040\\0\\0\\0half' >>$f; done")
    other.host.write("/mnt/data/still", "x")
    reader.wait(path="still", source="local")
    check(len(reader.resyncs()) <= 1, reader.resyncs())
    other.check_lives()
    other.stop(20)
