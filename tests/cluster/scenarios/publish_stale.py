"""a fenced publish whose rename is sent into a cut, after its token was checked: the successor's file stays; not so without the clean-up"""

from harness.errors import check, equal, matches
from harness.locks import FENCE_S, LEASE_S, sidecar

HOSTS = 3
DEADLINE_S = 300
STALE, UNKNOWN = 76, 74


class Late:
    """A host whose sidecar stops when everything is checked, and nothing but the rename is left to do."""

    def __init__(self, cluster, number, options):
        self.cluster, self.options = cluster, options
        self.host, self.name = cluster.host(number), f"published{number}"
        self.host.mount()
        self.side = sidecar(self.host, program=f"{cluster.build}-hooks/efs-sidecar", env={"EFS_SIDECAR_STOP_AT": "publish.7"})

    def is_stopped(self):
        return "T (stopped)" in self.host.run(f"cat /proc/{self.side.process.pid}/status").stdout

    def cut(self):
        """With its rename on the way."""
        self.host.write("/run/late", "late")
        # "ignore": a guard would end efsctl before it can say what it knows
        command = f"efsctl publish --lock={self.name} --timeout=5s {self.options} /run/late {self.name}; echo exit $?; exec sleep 100"
        self.process = self.host.spawn(["efsctl", "lock", "--on-lost=ignore", self.name, "--", "sh", "-c", command])
        self.cluster.wait_until(self.is_stopped, 30, "the sidecar at the rename")
        self.host.link_down()
        self.host.run(["kill", "-CONT", str(self.side.process.pid)])

    def heal(self):
        """What its publish says in the end, and what is published."""
        told = self.process.wait_output(r"^exit (\d+)$", 60)[1]
        self.host.link_up()
        self.cluster.wait_until(lambda: self.side.mount_status()["stalled_ms"] == 0, 60, "the rename's answer")
        return int(told), self.cluster.server.read(f"{self.cluster.server.path()}/{self.name}")


def stale(cluster, late, omit=None):
    """Each late one is cut, then one successor of all takes their locks and publishes; what is left in the end."""
    host = cluster.host(3)
    host.mount()
    program = {"program": f"{cluster.build}-hooks/efs-sidecar", "env": {"EFS_SIDECAR_OMIT": omit}} if omit else {}
    for side in [each.side for each in late] + [sidecar(host, **program)]:
        side.wait("LocksReady", "True", "SlotHeld", 60)
    for each in late:
        each.cut()
    host.write("/run/next", "successor")
    nexts = [host.spawn(f"efsctl lock {each.name} -- efsctl publish --keep --lock={each.name} /run/next {each.name}; echo next $?")
             for each in late]
    for each in nexts:
        equal("the successor's publish", each.wait_output(r"^next (\d+)$", LEASE_S + FENCE_S + 40)[1], "0")
    found = [each.heal() for each in late]
    for each in late:
        staged = cluster.server.run(f"ls {cluster.server.path()}/.efs-stage/{each.name}").stdout.split()
        equal("what is left in the stage", staged, [])
        if not omit:
            matches("what the late one published is kept", cluster.server.run(f"ls -A {cluster.server.path()}/tasks/*/.stage").stdout, "copy-")
    return found


def run(cluster):
    with_all = stale(cluster, [Late(cluster, 1, "--replace"), Late(cluster, 2, "")])
    equal("replace, no replace: the late one's exit code, and what is published", with_all, [(UNKNOWN, "successor")] * 2)
    # Its lock is somebody else's: it hears so at once.
    host = cluster.host(1)
    again = host.run("EFS_LOCK_NAME=published1 EFS_LOCK_TOKEN=1.1 efsctl publish --lock=published1 --replace /run/late published1", check=False)
    equal("with the old token once more", again.rc, STALE)
    cluster.reset()
    without = stale(cluster, [Late(cluster, 1, "--replace")], "stage_cleanup")
    check(without == [(UNKNOWN, "late")], f"without the clean-up the late one must win, or this shows nothing: {without}")
