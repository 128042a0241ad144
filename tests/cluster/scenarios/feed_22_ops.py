"""22 changes of every kind on one host: the feed of another tells all of them, inotify there none"""

from harness import feed
from harness.errors import check, equal

HOSTS = 2
DEADLINE_S = 120

# What is done, and what has to be told of it.
OPERATIONS = [
    ("mkdir d", {"op": "create", "path": "d", "dir": True}),
    ("mkdir -p deep/er/est", {"op": "create", "path": "deep/er/est", "dir": True}),
    ("echo 1 >f", {"op": "create", "path": "f", "size": 2}),
    ("echo 12 >d/g", {"op": "create", "path": "d/g", "size": 3}),
    (": >empty", {"op": "create", "path": "empty", "size": 0}),
    ("echo 1234 >>f", {"op": "modify", "path": "f", "size": 7}),
    ("echo 123 >f", {"op": "modify", "path": "f", "size": 4}),
    ("truncate -s 100 f", {"op": "modify", "path": "f", "size": 100}),
    ("dd if=/dev/zero of=d/g bs=1 count=5 seek=10 conv=notrunc status=none", {"op": "modify", "path": "d/g", "size": 15}),
    ("chmod 600 f", {"op": "attrib", "path": "f"}),
    ("chown 7:7 d/g", {"op": "attrib", "path": "d/g"}),
    ("touch -d 2001-02-03 empty", {"path": "empty", "mtime": "2001-02-03T00:00:00.000000000Z"}),
    ("ln -s f symlink", {"op": "create", "path": "symlink"}),
    ("ln f hardlink", {"op": "create", "path": "hardlink", "size": 100}),
    ("mkfifo fifo", {"op": "create", "path": "fifo"}),
    ("mv f d/f", {"op": "rename", "path": "d/f", "from": "f"}),
    ("mv d/g d/f", {"op": "rename", "path": "d/f", "from": "d/g", "size": 15}),
    ("mv d e", {"op": "rename", "path": "e", "from": "d", "dir": True}),
    ("echo 1234567 >e/in-the-renamed", {"op": "create", "path": "e/in-the-renamed", "size": 8}),
    ("rm hardlink", {"op": "delete", "path": "hardlink"}),
    ("rmdir deep/er/est", {"op": "delete", "path": "deep/er/est", "dir": True}),
    ("rm -r e", {"op": "delete", "path": "e", "dir": True}),
]


def run(cluster):
    equal("operations", len(OPERATIONS), 22)
    writer, other = feed.start(cluster, 2)
    reader = feed.read(other)
    inotify = other.host.spawn("exec inotifywait -m -r -e create,modify,attrib,move,delete,close_write --exclude '/[.]efs-sidecar|/tasks' /mnt/data")
    inotify.wait_output("Watches established", 20)
    for command, told in OPERATIONS:
        writer.host.run(f"cd /mnt/data && {command}")
        reader.wait(source="peer", observer="task1", **told)
    told = [c for c in reader.changes() if c.get("source") == "peer"]
    cluster.log(f"told of 22 operations: {len(told)} changes")
    check(len(told) <= 22 + 12, told)  # mkdir -p and rm -r are several; a file's first write may come as two
    equal("resyncs", reader.resyncs(), [])
    equal("what inotify told", [line for line in inotify.stdout.splitlines() if line], [])
    # What was made there is watched here.
    other.host.write("/mnt/data/deep/er/here", "x")
    reader.wait(op="create", path="deep/er/here", source="local")
    back = feed.read(writer)
    other.host.write("/mnt/data/deep/er/there", "xy")
    back.wait(op="create", path="deep/er/there", source="peer", size=2)
    for sidecar in writer, other:
        sidecar.stop(10)
