"""the other task definitions as they stand: gate only, observe, EC2, ECS Exec, cache"""

from harness import ecs
from harness.errors import check, equal, matches

HOSTS = 4
DEADLINE_S = 150


def start(cluster, host, name):
    return ecs.Task(cluster.host(host), f"task-def/{name}.json", images={"app": ecs.IDLE})


def run(cluster):
    gate_only = start(cluster, 1, "gate-only")
    gate_only.until_app_runs()
    equal("what a gate alone leaves with the data", cluster.server.run(["ls", "-A", gate_only.server_path("uploads")]).stdout, "")
    gate_only.stop()

    tasks = [start(cluster, i, name) for i, name in enumerate(("observe", "ec2", "exec", "cache"), 1)]
    observe, ec2, exec_, cache = tasks
    observe.until(lambda: observe["app"].running, 60, "the app of observe runs")
    equal("health when the app of observe starts", observe["efs-sidecar"].health.status, "UNKNOWN")
    ecs.until(tasks, lambda: all("started" in t["app"].log() and t["efs-sidecar"].health.status == "HEALTHY" for t in tasks), 60, "all run")
    files = cluster.server.run(f"cd {observe.server_path('uploads')} && find . -path ./tasks/task1 -o -name feed").stdout
    equal("what observe writes", files, "")
    matches("the feed of the others", ec2["app"].run("/opt/efs-sidecar/efsctl status").stdout, "FeedReady +True")

    # The agent of ECS Exec is root, without capabilities.
    exec_["app"].run("touch /managed-agents/x /var/lib/amazon/ssm/x /var/log/amazon/ssm/x", user="0:0")
    check(exec_["app"].run("touch /var/lib/amazon/x", user="0:0", check=False).rc != 0, "more than the three folders can be written")

    matches("the cache", cache["app"].run("/opt/efs-sidecar/efsctl status").stdout, "CacheReady +True")
    check("/opt/efs-sidecar/libefscache.so" in cache["app"].run("cat /proc/self/maps").stdout, "the app runs without the shim")

    # A sidecar that only measures may end: the app goes on.
    observe["efs-sidecar"].kill()
    observe.until(lambda: observe["efs-sidecar"].status == "STOPPED", 30, "the sidecar has ended")
    equal("the app of observe", (observe["app"].status, observe.desired), ("RUNNING", "RUNNING"))
    for task in tasks:
        task.desired = "STOPPED"
    ecs.until(tasks, lambda: all(t.stopped for t in tasks), 60, "all have stopped")
    equal("exit codes of the apps", [t["app"].exit_code for t in tasks], [0] * 4)
