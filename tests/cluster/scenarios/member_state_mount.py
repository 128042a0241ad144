"""the state on a volume of its own: tasks that have the data read-only are members, hear of changes, and nothing is written to the data"""

from harness.errors import equal, matches
from harness.host import ECS_OPTIONS
from harness.sidecar import Sidecar, told

HOSTS = 2
DEADLINE_S = 90
STATE = "--state-mount=/mnt/state"
DATA = "/mnt/data=fs-0123456789abcdef0"


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    a.mount()
    b.mount(opts=ECS_OPTIONS + ",ro")
    for host in (a, b):
        host.mount("squash1000", "/mnt/state")
    writer = Sidecar(a, f"{DATA}:rw", task="writer", options=STATE)
    reader = Sidecar(b, f"{DATA}:ro", task="reader", options=STATE)
    writer.ready()
    reader.ready()
    equal("both are members", (writer.feed()["member"], reader.feed()["member"]), (True, True))
    cluster.wait_until(lambda: (writer.feed()["peers"], reader.feed()["peers"]) == (1, 1), 15, "they hear each other")
    inode = a.run("stat -c %i /mnt/data").stdout.strip()
    equal("state directories", a.run("ls /mnt/state").stdout.split(), [f"fs-0123456789abcdef0-{inode}"])
    equal("what is on the data", sorted(a.run("find /mnt/data -type f | grep -v '/canary/\|/[.]owner$'", check=False).stdout.split()), [])
    stream = reader.changes()
    a.write("/mnt/data/page.html", "x")
    stream.wait_output('"page.html"', 15)
    equal("who saw it", [c["source"] for c in told(stream, path="page.html")][:1], ["peer"])
    writer.stop()
    reader.stop()
    equal("members", a.run("ls /mnt/state/*/members").stdout, "")

    # The volume is missing from the task: not one domain for each task in its container, but words.
    b.umount("/mnt/state")
    reader = Sidecar(b, f"{DATA}:ro", task="reader", options=STATE)
    matches("message", reader.wait("LocksReady", "False", "StateNotMounted", 15), "/mnt/state .*no NFS mount.*mountPoints")
    reader.stop()
