"""preflight: the real NFS server answers the NULL call; stopped, cut off or without NFS it does not, and each has its cause"""

import json

from harness.errors import between, equal, matches
from harness.server import NAME

HOSTS = 2
ENV = {"AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}


def preflight(host, args, code, words):
    result = host.run(f"efs-init preflight --format json {args}", timeout=20, check=False, env=ENV)
    equal(f"exit code of preflight {args} ({result.stderr})", result.rc, code)
    answer = result.stderr.strip().rpartition("\n")[2]
    matches("its last line", answer, words)
    report = json.loads(result.stdout)
    equal("exit code in the report", report["exit_code"], code)
    return result, report["addresses"][0]


def run(cluster):
    host, server = cluster.host(1), cluster.server
    address = host.run(["getent", "ahostsv4", NAME]).stdout.split()[0]
    for target in (address, NAME, NAME.partition(".")[0]):
        _, found = preflight(host, target, 0, "^efs-init preflight: ready after ")
        equal("what it found", (found["address"], found["result"]), (address, "ok"))

    # A mount and a preflight do not mind each other.
    host.mount()
    preflight(host, address, 0, "ready")
    equal("a file on the mount", host.run("echo x >/mnt/data/file && cat /mnt/data/file && rm /mnt/data/file").stdout.strip(), "x")

    server.stop()
    result, _ = preflight(host, f"--connect-timeout=1s {address}", 85, f"ConnectionTimedOut, exit 85.*{address} does not answer.*security group")
    between("seconds that it took", result.seconds, 1, 3)
    server.cont()

    host.link_down()
    preflight(host, f"--deadline=2s {address}", 85, "ConnectionTimedOut|NetworkUnreachable")
    host.link_up()
    cluster.wait_until(lambda: host.run(f"efs-init preflight --connect-timeout=1s {address}", timeout=20, check=False).rc == 0, 30, "the server answers again")

    # Another host of the same network has no NFS server.
    preflight(host, cluster.host(2).address(), 84, "ConnectionRefused, exit 84.*refuses connections to port 2049")
