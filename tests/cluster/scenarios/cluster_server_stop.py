"""a stopped server hangs its clients, who go on when it continues; a local command is not disturbed"""

import time

from harness.errors import check


def run(cluster):
    host = cluster.host(1)
    host.mount()
    cluster.server.stop()
    reader = host.spawn("ls /mnt/data/nothing-yet")
    time.sleep(2)
    check(reader.poll() is None, "a lookup ended although the server was stopped")
    check(host.run(["true"]).seconds < 1, "a local command took a second while the server was stopped")
    cluster.server.cont()
    check(reader.wait(timeout=15).rc == 2, "ls did not say that the file does not exist")
