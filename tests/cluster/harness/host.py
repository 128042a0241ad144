"""A task host: a machine that mounts the exports, and the network namespaces on it."""

from . import server
from .errors import check
from .machine import Machine
from .mountstats import MountStats

# The mount line of ECS.
ECS_OPTIONS = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport"
NAMESPACES_MAX = 2


class Mounts:
    """What hosts and namespaces have in common: mounts and their counters."""

    def mount(self, variant="normal", path="/mnt/data", opts=ECS_OPTIONS, source=None, timeout=15):
        """Mounts an export as ECS does. `opts` replaces the options (ECS_OPTIONS + ",ro" adds one); `source` replaces
        SERVER:/VARIANT."""
        check(variant in server.VARIANTS, f"no export {variant!r}, only {server.VARIANTS}")
        source = source or f"{server.NAME}:/{variant}"
        self.run(["sh", "-c", 'mkdir -p "$1" && exec mount.nfs4 "$2" "$1" -o "$3"', "mount", path, source, opts], timeout)
        return path

    def umount(self, path="/mnt/data"):
        """Lazily: it works during a hang, too."""
        self.run(["umount", "-l", path])

    def mountinfo(self, path="/mnt/data"):
        """The line of /proc/self/mountinfo of the mount that is seen at a path, or None."""
        lines = [line for line in self.read("/proc/self/mountinfo").splitlines() if line.split()[4] == path]
        return lines[-1] if lines else None

    def mountstats(self, path="/mnt/data"):
        stats = MountStats.parse(self.read("/proc/self/mountstats"), path)
        check(stats.ops, f"{self.name} has no NFS mount on {path}")
        return stats


class Host(Mounts, Machine):
    """cluster.host(n). One tap is its own, one each are for its namespaces."""

    def __init__(self, cluster, number, memory):
        macs = [f"02:00:00:00:{n:02x}:{number + 1:02x}" for n in range(NAMESPACES_MAX + 1)]
        super().__init__(cluster, f"task{number}", number, macs, memory)
        self.number = number
        self.namespaces = {}
        self.delayed = False

    def script(self, *args):
        return ["sh", f"{self.cluster.here}/harness/host.sh", *args]

    def address(self, n=0):
        return f"10.77.{n}.{10 + self.number}"

    def configure(self):
        return self.spawn(self.script("boot", self.name, self.address() + "/16"))

    def link_down(self):
        """Cuts its link: frames vanish silently both ways."""
        self.cluster.network.cut(self.taps[0])

    def link_up(self):
        self.cluster.network.join(self.taps[0])

    def delay_ms(self, ms):
        """Adds a delay to everything it sends; 0 takes it away."""
        server.set_delay(self, ms)

    def netns(self, name):
        """A second (third) task on this host's kernel: own network device and address, own mounts, the same host name."""
        if name not in self.namespaces:
            check(len(self.namespaces) < NAMESPACES_MAX, f"{self.name} has {NAMESPACES_MAX} namespaces already")
            self.namespaces[name] = Namespace(self, name, len(self.namespaces) + 1)
        return self.namespaces[name]

    def reset(self):
        for tap in self.taps:
            self.cluster.network.join(tap)
        if not self.alive():
            self.boot()
            return
        self.cont()
        if self.delayed:
            self.delay_ms(0)
        self.namespaces.clear()
        left = self.channel.clean(20)
        check(left == 0, f"{left} processes on {self.name} cannot be killed")


class Namespace(Mounts):
    """Commands run in it through nsenter, beside a process that holds it. Same calls as a host, as far as they make sense."""

    def __init__(self, host, name, n):
        self.host, self.name = host, f"{host.name}/{name}"
        self.tap = host.taps[n]
        holder = host.spawn(["unshare", "-n", "-m", "sh", "-c",
                             "mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /mnt; echo held; exec sleep inf"])
        holder.wait_output("held")
        self.holder = holder.pid
        device = f"vec{n}"
        host.run(["ip", "link", "set", device, "netns", str(self.holder)])
        self.run(host.script("link", device, host.address(n) + "/16"))

    def enter(self, command):
        inner = ["sh", "-c", command] if isinstance(command, str) else list(command)
        return ["nsenter", "-t", str(self.holder), "-n", "-m", "--"] + inner

    def spawn(self, command, env=None, user=None):
        return self.host.spawn(self.enter(command), env, user)

    def run(self, command, timeout=10, check=True, env=None, user=None):
        return self.host.run(self.enter(command), timeout, check, env, user)

    def write(self, path, text):
        self.run(["sh", "-c", 'printf %s "$1" >"$2"', "write", text, path])

    def read(self, path):
        return self.run(["cat", path]).stdout

    def link_down(self):
        self.host.cluster.network.cut(self.tap)

    def link_up(self):
        self.host.cluster.network.join(self.tap)
