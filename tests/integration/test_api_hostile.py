#!/usr/bin/env python3
"""The API against clients that are wrong, hostile or stuck: each is told why, and /healthz goes on answering."""
import os
import pwd
import random
import socket
import subprocess
import sys
import time

from sidecarlib import PROGRAM, Connection, Sidecar
from watchlib import Scratch, check, check_size, wait_for

HEALTH_MS = 100


def health_ms(sidecar):
    """The best of some: what slows /healthz slows each, other work of this machine does not."""
    return min(sidecar.health_ms() for _ in range(5))


def answered(sidecar, what, expected, words=(), method="GET", target="/", body=None):
    status, error = sidecar.request(method, target, body)
    check(status == expected, f"{what}: answered {status}, not {expected}: {error}")
    check(isinstance(error, dict) and set(error) == {"code", "message", "hint"}, f"{what}: {error}")
    for word in words:
        check(word in error["message"] + error["hint"], f"{what}: no \"{word}\" in {error}")


def wrong_requests(sidecar):
    changes = "/v1/changes?"
    answered(sidecar, "unknown path", 404, ["/nowhere", "/v1/status"], target="/nowhere")
    manual = open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../docs/man/efs-sidecar.8"), encoding="utf-8").read()
    missing = [path for path in sidecar.request("GET", "/nowhere")[1]["hint"].split()[2:] if path not in manual]
    check(not missing, f"not in efs-sidecar(8): {missing}")
    answered(sidecar, "path that climbs", 404, target="/v1/../v1/status")
    answered(sidecar, "wrong method", 405, ["DELETE", "/v1/status"], "DELETE", "/v1/status")
    answered(sidecar, "wrong method", 405, ["GET"], "POST", "/healthz", "{}")
    answered(sidecar, "query where none is taken", 400, ["verbose"], target="/healthz?verbose=1")
    answered(sidecar, "body that is not JSON", 400, ["not a JSON object"], target="/healthz", body="{]")
    answered(sidecar, "body that is no object", 400, ["not a JSON object"], target="/healthz", body="[1]")
    answered(sidecar, "body that is too large", 413, ["65537"], target="/healthz", body="x" * 65537)
    answered(sidecar, "bad percent", 400, ["path: ", "%"], target=changes + "path=%zz")
    answered(sidecar, "cut percent", 400, ["path: "], target=changes + "path=a%2")
    answered(sidecar, "NUL", 400, ["path: ", "NUL"], target=changes + "path=a%00b")
    answered(sidecar, "path out of the mount", 400, ["path: ", ".."], target=changes + "path=a/../../b")
    answered(sidecar, "absolute path", 400, ["path: "], target=changes + "path=/etc")
    answered(sidecar, "long name", 400, ["path: ", "too long"], target=changes + "path=" + "n" * 256)
    answered(sidecar, "long path", 400, ["path: ", "too long"], target=changes + "path=" + "n/" * 2500)
    answered(sidecar, "unknown parameter", 400, ["pat"], target=changes + "pat=a")
    answered(sidecar, "parameter given twice", 400, ["path: "], target=changes + "path=a&path=b")
    answered(sidecar, "unknown mount", 400, ["mount: ", "/other"], target=changes + "mount=/other")
    answered(sidecar, "no cursor", 400, ["since: "], target=changes + "since=now")
    check(b" 413 " in sidecar.raw(b"GET / HTTP/1.1\r\nX: " + b"x" * 20000), "huge header")
    check(b" 400 " in sidecar.raw(b"GET / HTTP/3\r\n\r\n"), "unknown version")
    check(b"\"code\":\"BadRequest\"" in sidecar.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"), "TLS on the socket")


def broken_bytes(sidecar):
    """3,000 damaged requests; the seed is fixed, so a failure comes again."""
    dice = random.Random(2)
    good = [b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /v1/changes?path=a%20b&since=1.2 HTTP/1.1\r\nConnection: close\r\n\r\n",
            b"POST /v1/status HTTP/1.0\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n{\"a\":1}"]
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sidecar.socket)
    for _ in range(3000):
        data = bytearray(dice.choice(good))
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(data))
            kind = dice.randrange(3)
            if kind == 0:
                data[at] = dice.randrange(256)
            elif kind == 1:
                del data[at:at + dice.randint(1, 20)]
            else:
                data[at:at] = bytes(dice.choice(b"\r\n%&=: \0") for _ in range(dice.randint(1, 9)))
            if not data:
                break
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(sidecar.socket)
            try:
                s.sendall(data)
            except OSError:
                pass


def stuck_clients(sidecar):
    before_kib = sidecar.rss_kib()
    clients = []
    for i in range(600):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(sidecar.socket)
        # silent; half a head; half a body; a full head but one byte
        s.send([b"", b"GET /heal", b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + b"x" * 50000, b"G" * 16000][i % 4] or b"G")
        clients.append(s)
        if i % 50 == 49:
            took = health_ms(sidecar)
            check(took < HEALTH_MS, f"/healthz took {took:.0f} ms beside {i + 1} stuck connections")
    grown = sidecar.rss_kib() - before_kib
    check_size(grown < 12 * 1024, f"600 stuck connections made the sidecar {grown} KiB larger")
    for s in clients:
        s.close()
    return grown


def greedy_client(sidecar):
    """One that asks on and on and takes nothing."""
    before_kib = sidecar.rss_kib()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sidecar.socket)
        s.settimeout(0.5)
        sent = 0
        try:
            while sent < 50 * 1024 * 1024:
                sent += s.send(b"GET /v1/config HTTP/1.1\r\n\r\n" * 100)
        except TimeoutError:
            pass
        check(sent < 10 * 1024 * 1024, f"{sent} bytes of requests were taken from a client that reads nothing")
        check(health_ms(sidecar) < HEALTH_MS, "a greedy client slows /healthz")
        check_size(sidecar.rss_kib() - before_kib < 4096, "a greedy client makes the sidecar grow")


def wrong_user(root):
    with Sidecar(root, "--api-uids=4242", "--api-mode=0666", "--profile=observe") as sidecar:
        check(sidecar.get("/healthz")[0] == 200, "root is refused")
        if os.geteuid() != 0:
            return
        nobody = pwd.getpwnam("nobody").pw_uid
        os.chmod(sidecar.root, 0o755)
        os.chmod(sidecar.run_dir, 0o755)
        script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                  "s.sendall(b'GET /healthz HTTP/1.0\\r\\n\\r\\n')\nprint(s.makefile().read())")
        for uid, expected in ((nobody, " 403 "), (4242, " 200 ")):
            said = subprocess.run(["/usr/bin/python3", "-c", script, sidecar.socket], user=uid, group=uid, extra_groups=[],
                                  capture_output=True, text=True, timeout=20, check=False)
            check(expected in said.stdout, f"uid {uid}: {said.stdout} {said.stderr}")
            check(uid == 4242 or f"uid {uid}" in said.stdout, f"the uid is not named: {said.stdout}")


GREEDY = """
import socket, sys, time
streams, silent = [], []
def connect(text=b""):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(sys.argv[1])
    s.sendall(text)
    return s
for i in range(900):
    s = connect(b"POST /v1/locks/greedy-%d HTTP/1.1\\r\\n\\r\\n" % i)
    if b" 429 " in s.recv(4096):
        print(i, flush=True)
        break
    streams.append(s)
while True:  # and all that are left, again and again
    try:
        silent = (silent + [connect()])[-400:]
    except OSError:
        pass
    time.sleep(0.001)  # slower than they are accepted, or it would be about the kernel's queue
"""


def one_takes_all(root):
    """A user who takes every connection that he gets leaves some to others: for locks, and for questions that are read slowly."""
    if os.geteuid() != 0:
        return
    with Sidecar(root, "--api-mode=0666", "--lock-max=4000", "--api-rate=0") as sidecar:
        os.chmod(sidecar.root, 0o755)
        wait_for(lambda: sidecar.condition("LocksReady")["status"] == "True", lambda: sidecar.condition("LocksReady"))
        with subprocess.Popen(["/usr/bin/python3", "-c", GREEDY, sidecar.socket], user=4242, group=4242, extra_groups=[],
                              stdout=subprocess.PIPE) as greedy:
            try:
                n = int(greedy.stdout.readline())
                check(n == 768, f"one user keeps {n} connections")
                quiet = Connection(sidecar.socket)
                quiet.connect()
                lock = Connection(sidecar.socket, 30)
                lock.request("POST", "/v1/locks/mine")
                check(b"granted" in lock.getresponse().readline(), "another user gets no lock")
                for _ in range(20):
                    check(sidecar.get("/healthz")[0] == 200, "another user is not answered")
                    time.sleep(0.05)  # the other one goes on meanwhile: some hundred connections
                quiet.sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                check(quiet.sock.recv(64).startswith(b"HTTP/1.1 200"), "a silent connection of another user had to make room")
                lock.close()
            finally:
                greedy.kill()


def wrong_settings():
    """All at once, before anything is started."""
    said = subprocess.run([PROGRAM, "--check", "--api-uids=5,root", "--metrics-sinks=emf,emf,clodwatch", "--metrics-namespace=AWS/EFS",
                           "--run-dir=/" + "x" * 120, "/data"], capture_output=True, text=True, timeout=20, check=False)
    check(said.returncode == 64, f"exit code {said.returncode}: {said.stderr}")
    for word in ("api.uids: \"root\"", "run_dir: ", "metrics.sinks: \"emf\"", "metrics.sinks: \"clodwatch\"", "metrics.namespace: "):
        check(word in said.stderr, f"no {word} in {said.stderr}")


def too_often(root):
    """What costs calls to EFS has a rate for each user; what is answered from memory has none, nor has what gives back."""
    with Sidecar(root, "--api-rate=10") as sidecar:
        lock = Connection(sidecar.socket)
        lock.request("POST", "/v1/locks/mine")
        check(b"granted" in lock.getresponse().readline(), "no lock")
        asked = [sidecar.request("GET", "/v1/tasks") for _ in range(100)]
        refused = [answer for status, answer in asked if status == 429]
        check(30 <= len(refused) <= 60, f"{len(refused)} of 100 were refused")
        check("api.rate" in refused[0]["hint"] and f"uid {os.geteuid()}" in refused[0]["message"], f"{refused[0]}")
        check(sidecar.request("POST", "/v1/publish", "{}")[0] == 429, "publish is not refused")
        check(all(sidecar.get(path)[0] == 200 for path in ("/healthz", "/v1/status", "/v1/locks", "/v1/cache")), "what costs nothing")
        check(sidecar.request("POST", "/v1/locks/other/release?hold=1")[0] != 429, "giving back is refused")
        wait_for(lambda: sidecar.get("/v1/tasks")[0] == 200, "it is never let in again", 20)
        lock.close()


def keep_alive(sidecar):
    connection = Connection(sidecar.socket)
    for _ in range(200):
        connection.request("GET", "/healthz")
        check(connection.getresponse().read().startswith(b"{\"status\":\"ok\""), "keep-alive")
    connection.close()


def main():
    wrong_settings()
    with Scratch() as root, Sidecar(root) as sidecar:
        start = time.monotonic()
        pid = sidecar.get("/healthz")[1]["pid"]
        wrong_requests(sidecar)
        keep_alive(sidecar)
        broken_bytes(sidecar)
        greedy_client(sidecar)
        grown = stuck_clients(sidecar)
        check(health_ms(sidecar) < HEALTH_MS, "/healthz is slow afterwards")
        check(sidecar.get("/healthz")[1]["pid"] == pid, "the sidecar was restarted")
        text = sidecar.get("/metrics")[1]
        counts = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line.startswith("efs_sidecar_api_")}
        check(counts["efs_sidecar_api_refusals_total"] > 1000, f"refusals are not counted: {counts}")
        check(sidecar.stop() == 0, "exit code")
        print(f"600 stuck connections cost {grown} KiB, all of it took {time.monotonic() - start:.1f} s; {counts}")
    with Scratch() as root:
        wrong_user(root)
    with Scratch() as root:
        too_often(root)
    with Scratch() as root:
        one_takes_all(root)


if __name__ == "__main__":
    sys.exit(main())
