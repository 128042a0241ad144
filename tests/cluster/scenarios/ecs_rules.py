"""what executes task definitions keeps ECS's rules: startTimeout, COMPLETE, health checks, stopTimeout and SIGKILL, the root file system"""

from harness import ecs
from harness.container import Image
from harness.errors import check, equal, matches

DEADLINE_S = 90


def container(name, script, depends_on=(), **more):
    return {"name": name, "image": name, "command": ["sh", "-c", script],
            "dependsOn": [{"containerName": n, "condition": c} for n, c in depends_on], **more}


def task_of(cluster, *containers):
    return ecs.Task(cluster.host(1), {"family": "rules", "containerDefinitions": list(containers)},
                    images={c["name"]: Image(["true"]) for c in containers})


def run(cluster):
    task = task_of(cluster, container("slow", "sleep 100", essential=False, startTimeout=2, stopTimeout=1),
                   container("app", "sleep 100", [("slow", "COMPLETE")]))
    task.until(lambda: task.stopped, 30, "the task has stopped")
    equal("exit code and runs of the app", (task["app"].exit_code, task["app"].runs), (143, []))
    matches("the reason", task["app"].reason, r"\[slow\(slow\) \(RUNNING->RUNNING\)\] for target \[app.* has timed out")

    # A failure is enough for COMPLETE. Deaf is process 1 and has no handler: SIGTERM does nothing to it.
    task = task_of(cluster, container("first", "exit 3", essential=False),
                   container("deaf", "touch /file; exec sleep 100", [("first", "COMPLETE")], stopTimeout=2,
                             healthCheck={"command": ["CMD-SHELL", "test -e /file"], "interval": 1, "retries": 2}),
                   container("init", "exec sleep 100", [("deaf", "HEALTHY")], linuxParameters={"initProcessEnabled": True}),
                   container("locked", "touch /file", [("deaf", "START")], essential=False, readonlyRootFilesystem=True))
    first, deaf, init, locked = task.members.values()
    task.until(lambda: init.running and locked.status == "STOPPED", 30, "all have started")
    check(first.exit_code == 3 and deaf.health.status == "HEALTHY" and locked.exit_code != 0, f"{task.describe()}")
    matches("who cannot write", locked.log(), "Read-only file system")
    deaf.run("rm /file")
    task.until(lambda: deaf.health.status == "UNHEALTHY", 30, "the health check fails")
    equal("an unhealthy container of a task without service", deaf.status, "RUNNING")
    task.stop(30)
    equal("exit codes", (init.exit_code, deaf.exit_code), (143, 137))
    check(deaf.term_at >= init.stopped_at and deaf.killed_at >= deaf.term_at + 2, "the order at the stop")
