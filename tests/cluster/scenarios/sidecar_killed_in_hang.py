"""the server hangs, the sidecar is killed and started again beside the app: it answers, and works again by itself when the server does"""

from harness.errors import check, equal
from harness.locks import FENCE_S, Command, sidecar

HOSTS = 1
DEADLINE_S = 120
PATIENCE_S = 60


def watchers(host):
    return host.run("pgrep -x efs-watch", check=False).stdout.split()


def run(cluster):
    host = cluster.host(1)
    host.mount()
    first = sidecar(host)
    first.ready(PATIENCE_S)
    holder = Command(host, "one")
    token = holder.entered()
    task_dir = host.run("readlink /run/efs-sidecar/task").stdout
    cluster.server.stop()
    first.wait("MountReady", "False", "MountStalled", PATIENCE_S)
    first.process.signal(9)
    host.run("rm /run/efs-sidecar/api.sock")  # sidecar() waits for the next one's
    second = sidecar(host)
    check(second.get("/healthz").seconds < 2, "it does not answer while the server hangs")
    status = second.conditions()
    check(status["LocksReady"][0] != "True" and status["MountReady"][0] != "True", status)
    waiting = Command(host, "one", ms=10)
    holder.process.wait(FENCE_S + 20)
    check(holder.process.rc == 76, f"efsctl lock ended with {holder.process.rc}: {holder.process.stderr}")

    cluster.server.cont()
    second.ready(PATIENCE_S)
    again = Command(host, "one", ms=10)
    check(again.entered(PATIENCE_S) > token, "the token did not grow")
    equal("the task's directory", host.run("readlink /run/efs-sidecar/task").stdout, task_dir)
    cluster.wait_until(lambda: len(watchers(host)) == 1, 30, "the efs-watch of the first is gone")
    cluster.log(f"who waited since then: {waiting.process.poll()}, {waiting.process.stderr}")
    check("another task" not in second.conditions()["LocksReady"][2] or second.feed()["slot"] is not None, second.conditions())
    cluster.log(f"LocksReady: {second.conditions()['LocksReady']}")
    second.stop(20)
