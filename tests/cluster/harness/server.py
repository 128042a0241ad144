"""The NFSv4.1 server: knfsd in a machine of its own, all variants exported at once."""

from .machine import Machine

ADDRESS = "10.77.0.1"
# What a task sees in its mount table on ECS. The sandbox's hosts file knows it.
NAME = "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com"
VARIANTS = ("normal", "readonly", "squash1000", "squash_nowrite", "rootsquash")


class Server(Machine):
    def __init__(self, cluster, disk):
        super().__init__(cluster, "server", 0, ["02:00:00:00:00:01"], disk=disk)
        self.delayed = False

    def script(self, *args):
        return ["sh", f"{self.cluster.here}/harness/server.sh", *args]

    def configure(self):
        return self.spawn(self.script("boot", ADDRESS + "/16"))

    def restart_nfsd(self, forget=False):
        """Stops and starts the service: grace period, reclaim. With forget=True it has lost its records of clients, so
        that no lock can be reclaimed."""
        self.run(self.script("restart", *(["forget"] if forget else [])), timeout=20)

    def delay_ms(self, ms):
        """Adds a delay to everything it sends; 0 takes it away."""
        set_delay(self, ms)

    def path(self, variant="normal"):
        """Where an export lies on the server itself, to look behind the back of the clients."""
        return f"/mnt/export/{variant}"

    def reset(self):
        self.cont()
        if self.delayed:
            self.delay_ms(0)
        self.kill_spawned()
        self.run(self.script("empty"), timeout=30)


def set_delay(machine, ms):
    change = ["replace", "dev", "vec0", "root", "netem", "delay", f"{ms}ms"] if ms else ["del", "dev", "vec0", "root"]
    machine.run(["tc", "qdisc"] + change)
    machine.delayed = bool(ms)
