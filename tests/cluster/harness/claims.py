"""What the claim_ scenarios share: queues on the share, and commands under `efsctl claim`."""

from .sidecar import Sidecar

SPEED = "--lease-fence=10s --lock-proof-interval=2s --feed-poll=300ms --feed-poll-idle=300ms --lease-proof-interval=2s"


def sidecar(host, task, options="", kill_at=None, omit=None):
    """One of several on a host. kill_at, omit: built with hooks."""
    program, env = "efs-sidecar", {}
    if kill_at or omit:
        program = f"{host.cluster.build}-hooks/efs-sidecar"
        env = {"EFS_SIDECAR_KILL_AT": kill_at or "", "EFS_SIDECAR_OMIT": omit or ""}
    return Sidecar(host, "/mnt/data", task=task, run_dir=f"/run/{task}", options=options, intervals=SPEED, program=program, env=env)


def fill(host, queue, names):
    """Files that appear whole, oldest first."""
    script = 'mkdir -p "$0" && cd "$0" && for n; do echo "$n" >".$n" && mv ".$n" "$n"; done'
    host.run(["sh", "-c", script, f"/mnt/data/{queue}", *names], timeout=60)


class Places:
    """Where the files of a queue are, as the server sees it."""

    def __init__(self, cluster, queue):
        root = cluster.server.path()
        script = (f"cd {root}/{queue} && find . -maxdepth 1 -type f; echo =; find .retry -type f; echo =; find .dead -type f; echo =; "
                  f"cd {root} && grep -lx -r --include='*.queue' '{queue}' tasks | sed 's/queue$/*/' | "
                  "while read -r p; do find $p -type f ! -name '*.queue'; done; true")
        parts = cluster.server.run(["sh", "-c", script + " 2>/dev/null"]).stdout.split("=\n")
        self.queued, self.returned, self.dead, self.claimed = (sorted(p.rsplit("/", 1)[-1] for p in part.split()) for part in parts)

    def __repr__(self):
        return f"queued {self.queued}, returned {self.returned}, dead {self.dead}, claimed {self.claimed}"


class Worker:
    """`efsctl claim QUEUE`: its command writes "B NAME ATTEMPTS" and "E NAME" to a file on its own host."""

    started = 0

    def __init__(self, host, task, queue, options="--wait=0", command=":"):
        Worker.started += 1
        self.host, self.log = host, f"/run/claims.{Worker.started}.log"
        script = f'echo "B $EFS_CLAIM_NAME $EFS_CLAIM_ATTEMPTS" >>{self.log}; {command}; echo "E $EFS_CLAIM_NAME" >>{self.log}'
        self.process = host.spawn(["efsctl", f"--run-dir=/run/{task}", "claim", queue, *options.split(), "--", "sh", "-c", script, "sh"])

    def lines(self):
        return self.host.run(f"cat {self.log} 2>/dev/null || true").stdout.splitlines()

    def began(self):
        return [tuple(line.split()[1:]) for line in self.lines() if line.startswith("B ")]

    def ended(self):
        return [line.split()[1] for line in self.lines() if line.startswith("E ")]
