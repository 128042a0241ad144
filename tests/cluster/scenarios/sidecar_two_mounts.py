"""two mounts at once: each has its directories, slot and feed; squashed ids can use them; a lost mount is told alone"""

import json

from harness.errors import check, equal
from harness.sidecar import Sidecar

DEADLINE_S = 90


def run(cluster):
    host = cluster.host(1)
    host.mount()
    host.mount("squash1000", "/mnt/shared")
    sidecar = Sidecar(host, "/mnt/data /mnt/shared:rw")
    sidecar.ready()
    for path in "/mnt/data", "/mnt/shared":
        status = sidecar.mount_status(path)
        equal("task_dir", status["task_dir"], f"{path}/tasks/app")
        name = path[1:].replace("/", "-")
        equal("link", host.run(["readlink", f"/run/efs-sidecar/mounts/{name}/task"]).stdout.strip(), f"{path}/tasks/app")
    equal("first link", host.run(["readlink", "/run/efs-sidecar/task"]).stdout.strip(), "/mnt/data/tasks/app")
    equal("mode and owner", host.run("stat -c '%a %u:%g' /mnt/shared/tasks/app").stdout.strip(), "2770 1000:1000")

    stream = host.spawn("curl -sN --unix-socket /run/efs-sidecar/api.sock 'http://sidecar/v1/changes?mount=/mnt/shared'")
    stream.wait_output('"ready"')
    host.write("/mnt/data/not-here", "x")
    host.run("echo x > /run/efs-sidecar/mounts/mnt-shared/task/result")
    stream.wait_output("tasks/app/result")
    changes = [json.loads(line) for line in stream.stdout.splitlines()]
    check(all("not-here" not in c.get("path", "") for c in changes), changes)

    # Unmounted under its feet: this mount is told, the other goes on, and it comes back with the mount.
    host.umount("/mnt/shared")
    sidecar.wait("MountReady", "False", "NotMounted", 15, "/mnt/shared")
    equal("the other", sidecar.conditions("/mnt/data")["MountReady"][0], "True")
    host.mount("squash1000", "/mnt/shared")
    sidecar.wait("MountReady", "True", "MountAnswers", 15, "/mnt/shared")
    sidecar.wait("FeedReady", "True", "Watching", 30, "/mnt/shared")
    host.write("/mnt/shared/again", "x")
    stream.wait_output('"again"', 20)
    sidecar.stop()
