"""a failing gate keeps sidecar and app down; its last log line is the reason, and efsctl explain finds it in what ECS reports"""

import json

from harness import ecs
from harness.container import Image
from harness.errors import equal, matches

DEADLINE_S = 90


def run(cluster):
    host = cluster.host(1)
    # The task role lacks ClientWrite: mounted read-write, and every write is refused.
    task = ecs.Task(host, "task-def/fargate.json", images={"app": Image(["sleep", "100"])}, exports={"uploads": "readonly"})
    gate, sidecar, app = task["efs-init"], task["efs-sidecar"], task["app"]
    task.until(lambda: task.stopped, 60, "the task has stopped")
    equal("runs of sidecar and app", (sidecar.runs, app.runs), ([], []))
    matches("the gate's last line", gate.last_line(),
            r"^efs-init: NOT READY \(NoClientWrite, exit 21\): create in /uploads is refused \(EROFS\).*ClientWrite to the task role")
    equal("exit codes", (gate.exit_code, app.exit_code), (21, 143))
    matches("the app's reason", app.reason, r"\[efs-init\(.*\) \(STOPPED->RUNNING\) - Exit: 21\] for target \[app\(.*did not exit successfully")
    equal("the task", (task.stop_code, task.stopped_reason), ("EssentialContainerExited", "Essential container in task exited"))
    host.write("/run/described.json", json.dumps(task.describe()))
    matches("what efsctl explains", host.run("efsctl explain </run/described.json").stdout, "NoClientWrite")

    # A gate that hangs is over at its own deadline, before ECS's startTimeout.
    hung = ecs.Task(host, "task-def/gate-only.json", images={"app": Image(["sleep", "100"])})
    cluster.server.stop()
    hung.until(lambda: hung.stopped, 60, "the task has stopped")
    cluster.server.cont()
    matches("the gate's last line", hung["efs-init"].last_line(), r"^efs-init: NOT READY \(MountHung, exit 30\)")
    equal("exit codes", (hung["efs-init"].exit_code, hung["app"].exit_code), (30, 143))
