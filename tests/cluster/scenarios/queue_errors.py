"""claims where the file system says no, names are strange, and another task planted symbolic links: clear words, nothing lost"""

from harness.errors import check, equal
from harness.locks import sidecar

HOSTS = 1
DEADLINE_S = 240
OWN, QUEUE = "/mnt/data/tasks/task1", "/mnt/data/in"

# Names that no shell and no JSON takes as they are.
STRANGE = [b"n" * 255, b"two\nlines\n", b"\xff\xfe not UTF-8", b" -rf", b"'\"$(reboot)`\\", b"\xc3\xa9t\xc3\xa9"]

MAKE = r"""
import os, sys
for name in {names!r}:
    with open(os.path.join({where!r}.encode(), name), "wb") as f:
        f.write(b"content of " + name)
"""

PUBLISH_ALL = r"""
import os, subprocess, sys
for name in {names!r}:
    subprocess.run(["efsctl", "publish", "--mkdir", "--", b"{own}/" + name, b"{queue}/" + name], check=True)
"""

# The command of a claim: what it was given is whole and has its name.
WORK = r"""
import os, sys
name = os.fsencode(os.environ["EFS_CLAIM_NAME"])
with open(sys.argv[1], "rb") as f:
    assert f.read() == b"content of " + name
with open("/run/worked", "ab") as f:
    f.write(name + b"\0")
"""


def run(cluster):
    host, server = cluster.host(1), cluster.server
    host.mount()
    side = sidecar(host)
    side.wait("LocksReady", "True", "SlotHeld", 60)
    host.run(["mkdir", "-p", QUEUE])
    names(host)
    symbolic_links(host)
    full(host, server)
    read_only(host, server)
    side.check_lives()


def python(host, program, timeout=60, **words):
    return host.run(["python3", "-S", "-c", program.format(**words)], timeout)


def names(host):
    """They are published, claimed and processed under the names they have."""
    python(host, MAKE, names=STRANGE, where=OWN)
    python(host, PUBLISH_ALL, names=STRANGE, own=OWN, queue=QUEUE)
    host.write("/run/work.py", WORK)
    result = claim(host, QUEUE, "python3", "-S", "/run/work.py", "{}")
    worked = host.run(["python3", "-S", "-c", "print(sorted(open('/run/worked','rb').read().split(b'\\0')[:-1]))"]).stdout.strip()
    equal("processed names", worked, repr(sorted(STRANGE)))
    equal("left in the queue", host.run(["find", QUEUE, "-type", "f"]).stdout, "")
    check("Traceback" not in result.stderr, result.stderr)


def symbolic_links(host):
    """Another task planted them: neither what they lead to nor they themselves are touched."""
    host.run(f"mkdir /run/outside && echo secret >/run/outside/secret && ln -s /run/outside/secret {QUEUE}/planted && "
             "ln -s /run/outside /mnt/data/out && ln -s ../../run/outside /mnt/data/up")
    for queue in "out", "up":
        result = claim(host, f"/mnt/data/{queue}", "rm", "{}")
        check(result.rc not in (0, 75) and queue in result.stderr, f"a queue out of the mount: {result}")
    claim(host, QUEUE, "rm", "{}")
    equal("outside", host.run("ls /run/outside; cat /run/outside/secret").stdout, "secret\nsecret\n")
    equal("the planted link", host.run(["readlink", f"{QUEUE}/planted"]).stdout, "/run/outside/secret\n")


def claim(host, queue, *command):
    return host.run(["efsctl", "claim", "--wait=1s", queue, "--", *command], timeout=60, check=False)


def full(host, server):
    """ENOSPC: what a claim needs cannot be made; the item stays where it is, and is had later."""
    host.run(f"echo item >{QUEUE}/item")
    server.run(f"cat /dev/zero >{server.path()}/ballast", check=False, timeout=60)
    for n in range(3):
        said = claim(host, QUEUE, "true")
        check(said.rc in (0, 75) or "No space left" in said.stderr, f"on a full file system: {said}")
    server.run(f"rm {server.path()}/ballast", timeout=60)
    is_had(host, "item")


def read_only(host, server):
    """EROFS"""
    host.run(f"echo item >{QUEUE}/late")
    server.run("exportfs -o ro,sync,insecure,no_subtree_check,no_root_squash,fsid=1 '*:/mnt/export/normal'")
    said = claim(host, QUEUE, "true")
    check(said.rc != 0 and "Read-only" in said.stderr, f"read-only: {said}")
    server.run("exportfs -o rw,sync,insecure,no_subtree_check,no_root_squash,fsid=1 '*:/mnt/export/normal'")
    is_had(host, "late")


def is_had(host, name):
    """In the end it was processed."""
    def gone():
        claim(host, QUEUE, "true")
        return not host.run(["find", "/mnt/data/in", "/mnt/data/tasks", "-name", name], check=False).stdout
    host.cluster.wait_until(gone, 60, f"{name} is processed in the end")
