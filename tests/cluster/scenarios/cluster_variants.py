"""each export refuses or squashes as its name says"""

from harness.errors import equal, matches


def try_write(host, path):
    """What the kernel says to a new file: "" when it works."""
    done = host.run(["sh", "-c", 'LC_ALL=C; : >"$1/new"', "write", path], check=False)
    return "" if done.rc == 0 else done.stderr.strip().rpartition(": ")[2]


def owner(host, path):
    return host.run(["stat", "-c", "%u:%g", path]).stdout.strip()


def run(cluster):
    host = cluster.host(1)
    at = {variant: host.mount(variant, f"/mnt/{variant}")
          for variant in ("normal", "readonly", "squash1000", "squash_nowrite", "rootsquash")}

    equal("a write to normal", try_write(host, at["normal"]), "")
    equal("its owner", owner(host, at["normal"] + "/new"), "0:0")

    matches("the mount of the read-only export", host.mountinfo(at["readonly"]), r"^\d+ \d+ \S+ / \S+ rw,.* - nfs4 \S+ rw,")
    equal("a write to readonly", try_write(host, at["readonly"]), "Read-only file system")

    equal("a write to squash1000", try_write(host, at["squash1000"]), "")
    equal("its owner", owner(host, at["squash1000"] + "/new"), "1000:1000")
    equal("a write to squash_nowrite", try_write(host, at["squash_nowrite"]), "Permission denied")
    equal("root's write to rootsquash", try_write(host, at["rootsquash"]), "Permission denied")
