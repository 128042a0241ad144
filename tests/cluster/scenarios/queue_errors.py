"""publish and claims where the file system says no, names are strange, and another task planted symbolic links: clear errors, nothing lost"""

import json

from harness.errors import check, equal
from harness.locks import sidecar

HOSTS = 1
DEADLINE_S = 240
OWN, QUEUE = "/mnt/data/tasks/task1", "/mnt/data/in"
EXISTS = 73

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

LINKS = r"""
import os
os.link  # one inode with as many names as ext4 has
try:
    for i in range(70000):
        os.link("{own}/many", "{other}/%d" % i)
except OSError as e:
    print(e.errno)
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
    symbolic_links(host, side)
    other_file_system(host)
    too_many_links(host, server)
    full(host, server)
    read_only(host, server)
    side.check_lives()


def python(host, program, timeout=60, **words):
    return host.run(["python3", "-S", "-c", program.format(**words)], timeout)


def publish(host, *args):
    return host.run(["efsctl", "publish", *args], timeout=30, check=False)


def refused(result, *words):
    check(result.rc not in (0, 74) and all(w in result.stderr for w in words), f"expected to be refused with {words}: {result}")


def names(host):
    """They are published, claimed and processed under the names they have."""
    python(host, MAKE, names=STRANGE, where=OWN)
    python(host, PUBLISH_ALL, names=STRANGE, own=OWN, queue=QUEUE)
    host.write("/run/work.py", WORK)
    result = host.run(["efsctl", "claim", "--wait=2s", QUEUE, "--", "python3", "-S", "/run/work.py", "{}"], timeout=60, check=False)
    worked = host.run(["python3", "-S", "-c", "print(sorted(open('/run/worked','rb').read().split(b'\\0')[:-1]))"]).stdout.strip()
    equal("processed names", worked, repr(sorted(STRANGE)))
    equal("left in the queue", host.run(["find", QUEUE, "-type", "f"]).stdout, "")
    check("Traceback" not in result.stderr, result.stderr)


def symbolic_links(host, side):
    """Another task planted them: neither what they lead to nor they themselves are touched."""
    other = "/mnt/data/tasks/evil"
    host.run(f"mkdir -p {other} /run/outside && echo secret >/run/outside/secret && echo mine >{OWN}/mine && "
             f"ln -s /run/outside {other}/out && ln -s /run/outside/secret {other}/file && ln -s ../../../../run/outside /mnt/data/up && "
             f"ln -s /run/outside/secret {QUEUE}/planted && ln -s /run/outside /mnt/data/outqueue")
    for source in f"{other}/file", f"{other}/out/secret":
        answer = api(host, "publish", {"from": source[len("/mnt/data/"):], "to": "in/stolen"})
        check("code" in answer and "link" in answer["message"] or "out of" in answer.get("message", ""), f"{source}: {answer}")
    for target in f"{other[10:]}/out/got", "up/got":
        answer = api(host, "publish", {"from": "tasks/task1/mine", "to": target})
        check("code" in answer, f"{target}: {answer}")
    answer = api(host, "claims?dir=outqueue&wait_ms=500")
    check("code" in answer or answer.get("event") == "error", f"a queue out of the mount: {answer}")
    host.run(["efsctl", "claim", "--wait=1s", QUEUE, "--", "false"], timeout=30, check=False)
    equal("outside", host.run("ls /run/outside; cat /run/outside/secret").stdout, "secret\nsecret\n")
    equal("the planted link", host.run(["readlink", f"{QUEUE}/planted"]).stdout, "/run/outside/secret\n")
    equal("the file", host.read(f"{OWN}/mine"), "mine\n")


def api(host, target, body=None):
    """The answer, of a stream the last line."""
    text = host.run(["curl", "-sS", "--max-time", "20", "--unix-socket", "/run/efs-sidecar/api.sock", "-X", "POST", "-d",
                     json.dumps(body) if body else "", f"http://sidecar/v1/{target}"], timeout=30).stdout
    return json.loads(text.strip().splitlines()[-1])


def other_file_system(host):
    """EXDEV"""
    host.run("mkdir /mnt/data/other && mount -t tmpfs tmpfs /mnt/data/other && echo there >/mnt/data/other/file")
    refused(publish(host, f"{OWN}/mine", "/mnt/data/other/mine"), "other")
    answer = api(host, "publish", {"from": "other/file", "to": "in/there"})
    check("code" in answer and "other/file" in answer["message"], f"{answer}")
    equal("the files", host.read(f"{OWN}/mine") + host.read("/mnt/data/other/file"), "mine\nthere\n")
    host.run("umount /mnt/data/other")


def too_many_links(host, server):
    """EMLINK"""
    own = f"{server.path()}/tasks/task1"
    server.run(f"mkdir {server.path()}/links && echo many >{own}/many")
    equal("errno", python(server, LINKS, own=own, other=f"{server.path()}/links").stdout, "31\n")
    refused(publish(host, f"{OWN}/many", f"{QUEUE}/many"), "many", "hard links")
    equal("the file", host.read(f"{OWN}/many"), "many\n")
    server.run(f"rm -r {server.path()}/links", timeout=60)
    publish_works(host, f"{OWN}/many", "many")


def full(host, server):
    """ENOSPC: a copy from elsewhere is not published in part, and leaves nothing behind."""
    host.run("head -c 3000000 /dev/urandom >/run/large")
    server.run(f"fallocate -l 4G {server.path()}/ballast || true; dd if=/dev/zero of={server.path()}/ballast2 bs=64k 2>/dev/null || true", timeout=60)
    refused(publish(host, "/run/large", f"{QUEUE}/large"), "No space left")
    equal("what is there of it", host.run(f"find /mnt/data/in /mnt/data/tasks -name '*large*' -type f").stdout, "")
    server.run(f"rm {server.path()}/ballast*", timeout=60)
    publish_works(host, "/run/large", "large")


def read_only(host, server):
    """EROFS"""
    host.run(f"echo late >{OWN}/late; echo item >{QUEUE}/item")
    server.run("exportfs -o ro,sync,insecure,no_subtree_check,no_root_squash,fsid=1 '*:/mnt/export/normal'")
    refused(publish(host, f"{OWN}/late", f"{QUEUE}/late"), "Read-only")
    claimed = host.run(["efsctl", "claim", "--wait=1s", QUEUE, "--", "true"], timeout=60, check=False)
    check("Read-only" in claimed.stderr, f"a claim: {claimed}")
    server.run("exportfs -o rw,sync,insecure,no_subtree_check,no_root_squash,fsid=1 '*:/mnt/export/normal'")
    publish_works(host, f"{OWN}/late", "late")
    host.run(["efsctl", "claim", "--wait=5s", "--once", "--match=item", QUEUE, "--", "true"], timeout=60)


def publish_works(host, source, name):
    """What was refused can be had when the reason is gone."""
    def published():
        result = publish(host, source, f"{QUEUE}/{name}")
        return result.rc in (0, EXISTS)
    host.cluster.wait_until(published, 30, f"{name} is published in the end")
    check(host.run(["cmp", f"{QUEUE}/{name}", source], check=False).rc != 1, f"{name} differs")
