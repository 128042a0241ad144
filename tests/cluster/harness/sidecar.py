"""What the sidecar_ scenarios share: a sidecar on a host, asked through its socket."""

import json
from collections import namedtuple

from .errors import check, equal

Answer = namedtuple("Answer", "seconds body")


class Sidecar:
    """One running efs-sidecar. Short intervals, so that a scenario does not wait for minutes."""

    INTERVALS = ("--mount-probe-interval=2s --mount-stall-after=5s --lease-proof-interval=2s --metrics-interval=1s "
                 "--canary-interval=10s")

    def __init__(self, host, mounts, task="app", run_dir="/run/efs-sidecar", options="", intervals=INTERVALS,
                 program="efs-sidecar", env=None):
        self.host, self.run_dir = host, run_dir
        self.process = host.spawn(f"exec {program} --run-dir={run_dir} --task-name={task} {intervals} {options} {mounts}", env=env)
        host.run(f"for i in $(seq 100); do [ -S {run_dir}/api.sock ] && exit; sleep 0.1; done; exit 1", timeout=20)

    def get(self, path):
        """Seconds from the request to the end of the answer, as curl saw them, and the answer."""
        result = self.host.run(f"curl -sS --max-time 5 --unix-socket {self.run_dir}/api.sock -w '\\n%{{time_total}}' "
                               f"http://sidecar{path}")
        body, _, seconds = result.stdout.rpartition("\n")
        return Answer(float(seconds), json.loads(body))

    def conditions(self, path=None):
        """{type: (status, reason, message)}, of one mount or over all."""
        status = self.get("/v1/status").body
        for mount in status["mounts"]:
            if mount["path"] == path:
                status = mount
        return {c["type"]: (c["status"], c["reason"], c["message"]) for c in status["conditions"]}

    def wait(self, kind, status, reason, timeout, path=None):
        """Until a condition is so; its message."""
        last = None

        def is_so():
            nonlocal last
            last = self.conditions(path)[kind]
            return last[:2] == (status, reason)

        try:
            self.host_cluster().wait_until(is_so, timeout, f"{kind} {status} {reason}")
        except Exception as error:
            raise type(error)(f"{error}; it was {last}") from error
        return last[2]

    def host_cluster(self):
        return getattr(self.host, "cluster", None) or self.host.host.cluster

    def mount_status(self, path="/mnt/data"):
        return next(m for m in self.get("/v1/status").body["mounts"] if m["path"] == path)

    def ready(self, timeout=15):
        self.wait("MountReady", "True", "MountAnswers", timeout)
        self.wait("LocksReady", "True", "SlotHeld", timeout)
        self.wait("FeedReady", "True", "Watching", timeout)

    def metrics(self, name):
        """(time stamp in ms, value) of every EMF line that has this metric."""
        lines = [json.loads(line) for line in self.process.stdout.splitlines() if line.startswith("{") and line.endswith("}")]
        return [(line["_aws"]["Timestamp"], line[name]) for line in lines if name in line]

    def stop(self, within_s=5):
        self.process.signal(15)
        result = self.process.wait(within_s)
        equal("exit code of efs-sidecar", result.rc, 0)
        return result

    def check_lives(self):
        check(self.process.poll() is None, f"efs-sidecar ended:\n{self.process.stderr}")

    def feed(self, path="/mnt/data"):
        return self.mount_status(path)["feed"]

    def changes(self, query=""):
        """GET /v1/changes, followed: a process that prints a line for each."""
        stream = self.host.spawn(f"exec curl -sN --unix-socket {self.run_dir}/api.sock 'http://sidecar/v1/changes{query}'")
        stream.wait_output('"ready"')
        return stream


def told(stream, **wanted):
    """The changes of a stream, so far, that have all of these."""
    lines = [json.loads(line) for line in stream.stdout.splitlines() if line.endswith("}")]
    return [line for line in lines if wanted.items() <= line.items()]
