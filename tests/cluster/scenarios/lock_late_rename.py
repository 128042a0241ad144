"""a publish that was sent under a lock and arrives after the lock went on: its file is gone, the successor's stays; not so without the clean-up"""

from harness.errors import equal
from harness.locks import FENCE_S, LEASE_S, sidecar

HOSTS = 2
DEADLINE_S = 240

# Stages a file as a fenced publish does; then renames it into place when /run/go is there.
PUBLISH = r"""
import os, sys, time
stage = f"/mnt/data/.efs-stage/pub/{os.environ['EFS_LOCK_TOKEN']}-1"
os.makedirs(os.path.dirname(stage), exist_ok=True)
with open(stage, "w") as f:
    f.write(sys.argv[1])
    os.fsync(f.fileno())
print("staged", flush=True)
while not os.path.exists("/run/go"):
    time.sleep(0.01)
print("renaming", flush=True)
try:
    os.rename(stage, "/mnt/data/published")
    print("renamed", flush=True)
except OSError as e:
    print("failed", e.strerror, flush=True)
"""


def publish(host, text):
    # "ignore": what the client's kernel has under way cannot be ended by ending the command
    return host.spawn(["efsctl", "lock", "--on-lost=ignore", "pub", "--", "python3", "-c", PUBLISH, text])


def late_rename(cluster, omit):
    """What the late one was told, and what is there in the end."""
    a, b = cluster.host(1), cluster.host(2)
    for host in a, b:
        host.mount()
    program = {"program": f"{cluster.build}-hooks/efs-sidecar", "env": {"EFS_SIDECAR_OMIT": omit}} if omit else {}
    for host in a, b:
        sidecar(host, **program).wait("LocksReady", "True", "SlotHeld", 60)
    late = publish(a, "late")
    late.wait_output("^staged", 20)
    a.link_down()
    a.write("/run/go", "")
    late.wait_output("^renaming", 10)
    b.write("/run/go", "")
    successor = publish(b, "successor")
    successor.wait_output("^renamed", LEASE_S + FENCE_S + 30)
    a.link_up()
    told = late.wait_output("^(renamed|failed .*)$", 60)[1]
    return told, cluster.server.read(f"{cluster.server.path()}/published")


def run(cluster):
    equal("the late rename and what is published", late_rename(cluster, None), ("failed No such file or directory", "successor"))
    cluster.reset()
    equal("the same without the clean-up", late_rename(cluster, "stage_cleanup"), ("renamed", "late"))
