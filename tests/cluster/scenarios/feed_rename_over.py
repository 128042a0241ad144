"""a file is replaced by rename while its old one is open elsewhere: after the event a plain open reads the new one"""

import time

from harness import feed
from harness.errors import check, equal

HOSTS = 2
DEADLINE_S = 120


def run(cluster):
    writer, other = feed.start(cluster, 2)
    a, b = writer.host, other.host
    b.run("mkdir -p /mnt/data/conf && echo old >/mnt/data/conf/plain && echo old >/mnt/data/conf/fed")
    equal("before", a.run("cat /mnt/data/conf/plain /mnt/data/conf/fed").stdout, "old\nold\n")
    # While the old file lives on, here by a hard link, this host's client goes on using it by name (20 to 28 s, until its
    # attributes expire).
    def replace(name, text):
        a.run(f"cd /mnt/data/conf && ln {name} {name}-before-{text} && echo {text} >.{name} && mv .{name} {name}")

    holder = b.spawn("exec 3</mnt/data/conf/plain 4</mnt/data/conf/fed; echo held; exec sleep 60")
    holder.wait_output("held")
    reader = feed.read(other)
    time.sleep(1)
    for round_number in range(5):
        replace("fed", f"new{round_number}")
        cluster.wait_until(lambda: len(reader.find(path="conf/fed")) > round_number, 15, "the event")
        equal("a plain open after the event", b.read("/mnt/data/conf/fed").strip(), f"new{round_number}")
    equal("resyncs", reader.resyncs(), [])
    # The same without the feed: this is what it is for.
    other.stop(10)
    b.run("cat /mnt/data/conf/plain; ls /mnt/data/conf")
    replace("plain", "new")
    stale = b.read("/mnt/data/conf/plain").strip() == "old"
    cluster.log(f"without the feed the old content is read: {stale}")
    check(stale, "the client would have shown the new content anyway: this scenario shows nothing")
    writer.stop(10)
