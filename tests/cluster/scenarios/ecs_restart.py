"""a sidecar that dies is started again beside the living app, once per attempt period; what dies again too soon stops the task"""

from harness import ecs
from harness.errors import check, equal

DEADLINE_S = 120
PERIOD_S = 8  # ECS allows no less than 60


def alive(app):
    return app.run("/opt/efs-sidecar/efsctl health", check=False).rc == 0


def run(cluster):
    task = ecs.Task(cluster.host(1), "task-def/fargate.json", images={"app": ecs.IDLE}, restart_period_s=PERIOD_S)
    sidecar, app = task["efs-sidecar"], task["app"]
    task.until_app_runs()
    task_dir = app.run("readlink /run/efs-sidecar/task").stdout
    born = sidecar.started_at
    task.until(lambda: ecs.now() > born + PERIOD_S, 30, "the attempt period is over")

    sidecar.kill()
    task.until(lambda: sidecar.restarts == 1, 20, "the sidecar is started again")
    task.until(lambda: alive(app), 40, "the new sidecar answers the app")
    task.until(lambda: sidecar.health.status == "HEALTHY", 40, "the new sidecar is healthy")
    equal("the app", (app.status, app.restarts), ("RUNNING", 0))
    equal("the task's directory", app.run("readlink /run/efs-sidecar/task").stdout, task_dir)

    task.restart_period_s = 1000
    sidecar.kill()
    task.until(lambda: task.stopped, 60, "the task has stopped")
    equal("the sidecar", (sidecar.restarts, sidecar.exit_code), (1, 137))
    equal("the task", task.stop_code, "EssentialContainerExited")
    check(app.term_at is not None and app.exit_code == 0, "the app was stopped in order")
