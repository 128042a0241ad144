"""two tasks on a real NFSv4.1 server"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stage import say, show, step  # noqa: E402

HOSTS = 2
DEADLINE_S = 120
ENV = {"EFS_SIDECAR_MOUNTS": "/mnt/data", "EFS_SIDECAR_RUN_DIR": "/run/task", "EFS_SIDECAR_MOUNT_STALL_AFTER": "2s",
       "EFS_SIDECAR_MOUNT_PROBE_INTERVAL": "1s"}


def mount_ready(host, status):
    return f'"MountReady":"{status}"' in host.run("curl -s --unix-socket /run/task/api.sock http://x/healthz", check=False).stdout


def run(cluster):
    a, b = hosts = cluster.host(1), cluster.host(2)
    step("1. Both hosts mount the server as ECS mounts EFS, and the gate proves that the mount can be used")
    for host in hosts:
        host.mount()
        host.run("mkdir -p /run/task")
    show(a, "efs-init", env=ENV, timeout=30)
    b.run("efs-init", env=ENV, timeout=30)

    step("2. A sidecar on each")
    for host in hosts:
        say(f"  {host.name}$ efs-sidecar &")
        host.spawn("exec efs-sidecar >/run/task/out 2>&1", env=ENV)
        cluster.wait_until(lambda: host.run("efsctl health", env=ENV, check=False).rc == 0, 20, "the sidecar is up")

    step("3. An app writes on task1; the app of task2, on another host, learns of it")
    watch = b.spawn("efsctl watch --text", env=ENV)
    watch.wait_output("ready", 20)
    show(a, "echo 'a report' >/run/task/task/report.csv", env=ENV)
    watch.wait_output("report.csv", 20)
    say("  task2$ efsctl watch")
    for line in watch.stdout.splitlines():
        say("  " + line)
    show(b, "cat /mnt/data/tasks/task1/report.csv")

    step("4. A lock that only one task of all has at a time")
    holder = "efsctl lock --purpose='nightly load' nightly -- sleep 3"
    say(f"  task1$ {holder} &")
    a.spawn(holder, env=ENV)
    cluster.wait_until(lambda: " held " in a.run("efsctl locks", env=ENV).stdout, 20, "the lock is held")
    show(b, "efsctl lock nightly -- sh -c 'echo my turn, with token $EFS_LOCK_TOKEN'", env=ENV, timeout=20)

    step("5. The server stops answering. The sidecar goes on, and says so")
    cluster.server.stop()
    cluster.wait_until(lambda: mount_ready(a, "False"), 20, "MountReady is False")
    show(a, "efsctl health", env=ENV)
    show(a, "efsctl status | sed -n '/MountReady/,/FeedReady/p'", env=ENV)

    step("6. It answers again")
    cluster.server.cont()
    cluster.wait_until(lambda: mount_ready(a, "True"), 60, "MountReady is True again")
    time.sleep(2)  # for a probe that did not wait for the server
    show(a, "efsctl status", env=ENV)
