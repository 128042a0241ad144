"""the task definition as it stands: gate, sidecar, app start in this order; at the stop the app ends first and the sidecar flushes after it"""

import json

from harness import ecs
from harness.container import Image
from harness.errors import check, equal, matches

DEADLINE_S = 150
# Takes its time at the end, and uses the sidecar then: it must still be there.
APP = """trap 'efsctl=/opt/efs-sidecar/efsctl; sleep 2; $efsctl health; echo last >/run/efs-sidecar/task/last; echo gone; exit 0' TERM
echo started; while :; do sleep 0.2; done"""


def run(cluster):
    task = ecs.Task(cluster.host(1), "task-def/fargate.json", images={"app": Image(["sh", "-c", APP])})
    gate, sidecar, app = task["efs-init"], task["efs-sidecar"], task["app"]
    task.until_app_runs()
    check(gate.stopped_at < sidecar.started_at < app.started_at, "the order at the start")
    equal("the gate's exit code", gate.exit_code, 0)
    equal("the sidecar's health", sidecar.health.status, "HEALTHY")
    matches("the gate's last line", gate.last_line(), "^efs-init: ready ")

    # What the app has: its own directory, tools, the socket, config read-only; nothing else can be written.
    as_user = app.run("id -u; grep CapBnd /proc/self/status").stdout.split()
    equal("uid and capabilities of the app", (as_user[0], int(as_user[2], 16)), ("10001", 0))
    app.run("cd /run/efs-sidecar/task && echo x >file && echo y >/uploads/shared")
    for path in "/x", "/run/efs-sidecar/x", "/opt/efs-sidecar/x", "/shared-config/x", "/var/lib/efs-sidecar/x":
        check(app.run(["sh", "-c", ': >"$1"', "sh", path], check=False).rc != 0, f"the app can write {path}")
    status = json.loads(app.run("/opt/efs-sidecar/efsctl status --json").stdout)
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    equal("conditions", [conditions[c] for c in ("MountReady", "LocksReady", "FeedReady")], ["True"] * 3)
    equal("lock", app.run("/opt/efs-sidecar/efsctl lock one -- echo held").stdout, "held\n")
    state = cluster.server.run(f"cd {task.server_path('uploads')} && find .efs-sidecar -type f").stdout
    matches("what of the state lies with the data", state, r"\A(\.efs-sidecar/canary/\S+\n)?\Z")

    task.stop(60)
    check(app.stopped_at <= sidecar.term_at, "the sidecar was told to stop before the app had ended")
    matches("the app's last words", app.log(), r"^healthy\ngone")
    equal("exit codes", (app.exit_code, sidecar.exit_code, app.killed_at, sidecar.killed_at), (0, 0, None, None))
    equal("what the app wrote last", cluster.server.run(f"cat {task.server_path('uploads')}/tasks/*/last").stdout, "last\n")
    equal("the member has left", cluster.server.run(f"find {task.server_path('state')}/*/members -type f").stdout, "")
    check(len([line for line in sidecar.log().splitlines() if "_aws" in line]) > 0, "no metrics were flushed")
