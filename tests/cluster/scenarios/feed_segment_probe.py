"""a name that was looked up before it existed is opened at once: a journal's new segment, and the first journal of all"""

import time

from harness import feed
from harness.errors import check, equal

HOSTS = 2
DEADLINE_S = 180


def run(cluster):
    writer, = feed.start(cluster, 1, "--feed-segment=64KiB")
    a, b = writer.host, cluster.host(2)
    b.mount()
    directory = a.run("ls -d /mnt/data/.efs-sidecar/feed/*/").stdout.strip()
    reader = feed.listen(b)
    # This client now believes for half a minute that these do not exist.
    b.run(f"for i in 1 2 3; do stat {directory}/$i.log >/dev/null || true; done; ls {directory}; cat {directory}/2.log || true; "
          f"cat {directory}/3.log || true")
    check(b.run(["test", "-e", f"{directory}/2.log"], check=False).rc != 0, "there is a second segment already")
    start = time.monotonic()
    a.run("mkdir /mnt/data/many && cd /mnt/data/many && i=0; while [ $i -lt 900 ]; do : >file-with-a-long-name-$i; i=$((i+1)); done",
          timeout=60)
    a.run(f"test -e {directory}/2.log")
    took = time.monotonic() - start
    start = time.monotonic()
    reader.wait(path="many/file-with-a-long-name-899", timeout=60)
    late = time.monotonic() - start
    cluster.log(f"900 files in {took:.1f} s, all told {late:.1f} s later")
    equal("resyncs", reader.resyncs(), [])
    check(late < 15, f"the last was told {late:.1f} s later; a name that is believed to be missing takes 27 s")
    reader.process.kill()
    writer.stop(20)
