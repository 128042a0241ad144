"""What the claim_ scenarios share: sidecars, and commands under `efsctl claim`."""

from . import locks

FENCE_S, LEASE_S, VALID_S = locks.FENCE_S, locks.LEASE_S, locks.VALID_S


def start(cluster, hosts, options=""):
    return locks.start(cluster, hosts, options)


def fill(host, queue, names):
    """Files in a queue on the share, oldest first."""
    host.run(["sh", "-c", 'mkdir -p "$0" && cd "$0" && for n; do echo "$n" >".$n" && mv ".$n" "$n"; done',
              f"/mnt/data/{queue}", *names], timeout=60)


def left(cluster, queue):
    """(in the queue, given back, dead, claimed by whomever), as the server sees it."""
    root = cluster.server.path()
    script = (f"cd {root}/{queue} && ls -p | grep -v /; echo =; ls .retry/*/* 2>/dev/null; echo =; ls .dead/*/* 2>/dev/null; echo =; "
              f"cd {root}/tasks && find . -path '*/.claims/*' -type f ! -name .owner ! -name '*.queue' ! -name '.tmp*'; true")
    parts = cluster.server.run(["sh", "-c", script]).stdout.split("=\n")
    return tuple(sorted(p.rsplit("/", 1)[-1] for p in part.split("\n") if p) for part in parts)


class Worker:
    """`efsctl claim QUEUE`: its command writes "B NAME ATTEMPTS" and "E NAME" to a log on its own host."""

    def __init__(self, host, queue, options="--wait=0", command=":", log="/run/claims.log", env=None):
        self.host, self.log = host, log
        script = f'echo "B $EFS_CLAIM_NAME $EFS_CLAIM_ATTEMPTS" >>{log}; {command}; echo "E $EFS_CLAIM_NAME" >>{log}'
        self.process = host.spawn(["efsctl", "claim", queue, *options.split(), "--", "sh", "-c", script, "sh"], env=env)

    def lines(self):
        return self.host.run(f"cat {self.log} 2>/dev/null || true").stdout.splitlines()

    def began(self):
        return [line.split()[1] for line in self.lines() if line.startswith("B ")]

    def ended(self):
        return [line.split()[1] for line in self.lines() if line.startswith("E ")]
