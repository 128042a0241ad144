"""the server hangs and the sidecar is killed: commands under locks end in time; it is not replaced before it is gone, then all is as before"""

from harness.errors import check, equal
from harness.locks import FENCE_S, Command, sidecar

HOSTS = 1
DEADLINE_S = 150
PATIENCE_S = 60


def run(cluster):
    host = cluster.host(1)
    host.mount()
    first = sidecar(host)
    first.ready(PATIENCE_S)
    slot = first.feed()["slot"]
    holder = Command(host, "one")
    token = holder.entered()
    task_dir = host.run("readlink /run/efs-sidecar/task").stdout
    cluster.server.stop()
    first.wait("MountReady", "False", "MountStalled", PATIENCE_S)
    first.process.signal(9)
    equal("efsctl lock", holder.process.wait(FENCE_S + 20).rc, 76)
    # A process that is killed inside a call to a silent server stays, and with it what it has: the restart policy's next try is told so.
    if host.run("pgrep -x efs-sidecar", check=False).stdout:
        early = host.run("efs-sidecar --run-dir=/run/efs-sidecar /mnt/data", check=False, timeout=20)
        check(early.rc == 1 and "another efs-sidecar (pid" in early.stderr, f"{early.rc} {early.stderr}")

    cluster.server.cont()
    cluster.wait_until(lambda: not host.run("pgrep -x 'efs-sidecar|efs-watch'", check=False).stdout, PATIENCE_S, "the first one is gone")
    host.run("rm -f /run/efs-sidecar/api.sock")  # sidecar() waits for the next one's
    second = sidecar(host)
    again = Command(host, "one", ms=10)  # at once
    check(again.entered(PATIENCE_S) > token, "the token did not grow")
    second.ready(PATIENCE_S)
    equal("the task's directory", host.run("readlink /run/efs-sidecar/task").stdout, task_dir)
    equal("the slot", second.feed()["slot"], slot)
    equal("efs-watch", len(host.run("pgrep -x efs-watch").stdout.split()), 1)
    second.stop(20)
