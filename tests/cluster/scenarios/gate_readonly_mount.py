"""the gate refuses a read-only mount that has to be written to, at both levels"""

from harness import gate
from harness.host import ECS_OPTIONS


def run(cluster):
    host = cluster.host(1)
    host.mount(path="/mnt/ro", opts=ECS_OPTIONS + ",ro")
    gate.refuses(host, "/mnt/ro", 20, "ReadOnlyMount", "the file system was mounted ro.*/mnt/ro:ro")
    gate.passes(host, "/mnt/ro:ro")

    host.mount()
    host.run("mkdir -p /mnt/bound && mount --bind /mnt/data /mnt/bound && mount -o remount,bind,ro /mnt/bound")
    gate.refuses(host, "/mnt/bound", 20, "ReadOnlyMount", 'this container has it read-only.*"readOnly": true')
