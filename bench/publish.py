"""publish: calls for each file and files in a second with 1 ms of latency, beside a program that puts the file in its place itself"""

import time

from harness.errors import check
from harness.locks import sidecar

HOSTS = 1
DEADLINE_S = 300
FILES, BYTES = 100, 4096
TIMES_MORE = 2

# Writes a file, closes it, and has it put in its place: by itself, or by the sidecar.
WORK = r"""
import http.client, json, os, socket, subprocess, sys, time
way, n = sys.argv[1], int(sys.argv[2])

class Api(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/efs-sidecar/api.sock")

def published(source, to, **more):
    api = Api("x")
    api.request("POST", "/v1/publish", json.dumps({"from": source, "to": to, **more}))
    answer = api.getresponse()
    text = answer.read()
    assert answer.status == 200, text

def write(path, sync):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    os.write(fd, b"x" * %d)
    if sync:
        os.fsync(fd)
    os.close(fd)

lock = {"lock": os.environ.get("EFS_LOCK_NAME"), "token": os.environ.get("EFS_LOCK_TOKEN")}
ours = {"replace": {"replace": True}, "link": {}, "replace without digest": {"replace": True, "digest": False},
        "fenced replace": {"replace": True, **lock}, "fenced": lock}
began = time.monotonic()
for i in range(n):
    source, to = f"tasks/app/{i}", f"in/{way[:4]}{i}"
    os.chdir("/mnt/data")
    write(source, way.startswith("bare"))
    if way == "bare rename":
        os.rename(source, to)
    elif way == "bare link":
        os.link(source, to)
        os.unlink(source)
    else:
        published(source, to, **ours[way])
print(f"{n / (time.monotonic() - began):.0f}")
""" % BYTES


def run(cluster):
    host = cluster.host(1)
    host.mount()
    floors = {}
    for words, switch in ("not announced", "false"), ("announced", "true"):
        side = sidecar(host, f"--watch-enabled={switch} --task-name=app --metrics-sinks=none")
        side.wait("LocksReady", "True", "SlotHeld", 60)
        cluster.wait_until(lambda side=side: side.mount_status()["task_dir"], 30, "the task's directory")
        cluster.server.delay_ms(1)
        if switch == "false":
            host.run("mkdir /mnt/data/in")
            for way in "bare rename", "bare link":
                floors[way] = of_file(cluster, host, way, way)
        for way, floor in ("replace", "bare rename"), ("replace without digest", "bare rename"), ("link", "bare link"), \
                ("fenced replace", "bare rename"), ("fenced", "bare link"):
            calls = of_file(cluster, host, f"{way}, {words}", way)
            if switch == "false":
                cluster.log(f"bench: {way}: {calls / floors[floor]:.2f} times the calls of {floor}")
                check("fenced" in way or calls <= TIMES_MORE * floors[floor], f"{way} needs {calls:.2f} calls, {floor} {floors[floor]:.2f}")
        cluster.server.delay_ms(0)
        side.stop(20)


def of_file(cluster, host, words, way):
    """Calls of a file; what goes on anyway is taken off."""
    command = ["python3", "-c", WORK, way, str(FILES)]
    if way.startswith("fenced"):
        command = ["efsctl", "lock", "bench", "--"] + command
    host.run("rm -rf /mnt/data/in/*")
    idle = rate(host, 3)
    before, began = host.mountstats(), time.monotonic()
    speed = host.run(command, timeout=120).stdout.strip()
    time.sleep(1)
    found, seconds = (host.mountstats() - before).counts(), time.monotonic() - began
    calls = {op: round((n - idle.get(op, 0) * seconds) / FILES, 2) for op, n in found.items()}
    calls = {op: n for op, n in calls.items() if n > 0.05}
    total = sum(calls.values())
    cluster.log(f"bench: {words}: {total:.2f} calls a file, {speed} files/s, {calls}")
    return total


def rate(host, seconds):
    before = host.mountstats()
    time.sleep(seconds)
    return {op: n / seconds for op, n in (host.mountstats() - before).counts().items()}
