"""publishing on NFS where it cannot be done: full, read-only, another file system, too many links, planted links; clear words, nothing lost"""

from harness.errors import check, equal, matches
from harness.sidecar import Sidecar

HOSTS = 2
DEADLINE_S = 150
OPTIONS = "--watch-enabled=false --metrics-sinks=none"


def refused(host, what, words, *args):
    result = host.run(["efsctl", "publish", *args], check=False, timeout=30)
    check(result.rc in (1, 73), f"{what}: exit code {result.rc}, {result.stderr}")
    matches(what, result.stderr, words)


def run(cluster):
    host, server = cluster.host(1), cluster.server
    host.mount()
    side = Sidecar(host, "/mnt/data", task="web-1", options=OPTIONS)
    side.wait("LocksReady", "True", "SlotHeld", 60)
    cluster.wait_until(lambda: side.mount_status()["task_dir"], 30, "the task's directory")
    root, source = server.path(), "/mnt/data/tasks/web-1/file"
    host.write(source, "mine")
    host.run("mkdir /mnt/data/in /mnt/data/nested; mount -t tmpfs none /mnt/data/nested; ln -s /etc /mnt/data/in/out; "
             "ln -s /etc/passwd /mnt/data/tasks/web-1/planted; mkdir /mnt/data/in/dir")

    refused(host, "EXDEV", "same file system|Invalid cross-device link", source, "nested/file")
    refused(host, "a planted directory", "leads out|cannot be opened", source, "in/out/file")
    refused(host, "a planted file", "symbolic link", "/mnt/data/tasks/web-1/planted", "in/file")
    refused(host, "a directory", "exists", source, "in/dir")
    host.run("umount /mnt/data/nested")

    # ext4 allows 65000 names for a file; the server makes them, which is quicker.
    server.run(["python3", "-c", f"import os\nos.mkdir('{root}/names')\nfor i in range(64999):\n os.link('{root}/tasks/web-1/file', f'{root}/names/{{i}}')"],
               timeout=60)
    refused(host, "EMLINK", "too many hard links", source, "in/file")
    server.run(f"rm -r {root}/names", timeout=60)

    host.run("head -c 3000000 /dev/zero >/run/large; mkdir /mnt/data/tasks/web-1/.stage")
    server.run(f"fallocate -l $(($(df -B1 --output=avail {root} | tail -1) + 0)) {root}/fill; cat /dev/zero >>{root}/fill", check=False, timeout=60)
    refused(host, "ENOSPC", "No space left", "/run/large", "in/large")
    equal("its copy is gone", server.run(f"ls -A {root}/tasks/web-1/.stage").stdout.split(), [])
    server.run(f"rm {root}/fill")
    equal("nothing was published", sorted(server.run(f"ls {root}/in").stdout.split()), ["dir", "out"])

    for name in (b"n" * 255, b"line\nbreak", b"\xff\xfe"):
        host.run(["python3", "-c", f"import subprocess\nsubprocess.run([b'efsctl', b'publish', b'--keep', b'/run/large', b'in/' + {name!r}], check=True)"],
                 timeout=30)
    listed = server.run(["python3", "-c", f"import os\nprint(sorted(os.listdir(b'{root}/in')))"]).stdout
    check(all(repr(name) in listed for name in (b"n" * 255, b"line\nbreak", b"\xff\xfe")), listed)
    host.run(["efsctl", "publish", source, "in/file"])
    equal("in the end", server.read(f"{root}/in/file"), "mine")

    # Read-only for the client, though the mount says rw: as without ClientWrite.
    other = cluster.host(2)
    other.mount("readonly")
    server.write(f"{server.path('readonly')}/file", "theirs")
    Sidecar(other, "/mnt/data", task="web-2", options=OPTIONS)
    answer = other.run("curl -sS --unix-socket /run/efs-sidecar/api.sock -d '{\"from\":\"file\",\"to\":\"copy\"}' http://sidecar/v1/publish").stdout
    matches("EROFS", answer, '"ReadOnly".*Read-only file system')
    equal("it is still there", server.read(f"{server.path('readonly')}/file"), "theirs")
