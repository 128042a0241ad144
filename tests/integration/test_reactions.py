#!/usr/bin/env python3
"""The setting on_change: requests to a server of this task that answers, hangs, refuses, fails, dawdles; signals to processes."""
import contextlib
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from sidecarlib import PROGRAM, Sidecar
from watchlib import check, die_with_parent, run, wait_for

DEBOUNCE = "--on-change-debounce=100ms"
APP = """
import signal, sys, time
def on(number, frame):
    print("got", number, flush=True)
signal.signal(signal.SIGHUP, on)
open("/proc/self/comm", "w").write(sys.argv[1])
print("ready", flush=True)
while True:
    time.sleep(60)
"""


class Server:
    """An HTTP server of the task; answers with what `status` is. None: it does not answer."""

    def __init__(self, port=0):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    outer.running += 1
                    outer.most = max(outer.most, outer.running)
                    status = outer.status  # as it was before the test could see the request
                    outer.requests.append((time.monotonic(), self.path, json.loads(body)))
                wait_for(lambda: outer.status is not None or outer.closed, "nobody set a status")
                time.sleep(outer.takes_s)
                with outer.lock:
                    outer.running -= 1
                with contextlib.suppress(OSError):
                    self.send_response(status or outer.status or 200)
                    self.end_headers()
                    self.wfile.write(b"x" * 1000)

            def log_message(self, *_):
                pass

        self.lock = threading.Lock()
        self.status, self.takes_s, self.requests, self.running, self.most, self.closed = 200, 0, [], 0, 0, False
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True
        self.server.shutdown()
        self.server.server_close()

    def wait(self, n, seconds=20):
        wait_for(lambda: len(self.requests) >= n, lambda: f"{len(self.requests)} of {n} requests", seconds)


class App:
    """A process of this name that says which signals it got."""

    def __init__(self, name):
        self.output = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.process = subprocess.Popen([sys.executable, "-c", APP, name], stdout=self.output, preexec_fn=die_with_parent)
        wait_for(lambda: "ready" in self.text(), "the app does not run", 10)

    def text(self):
        return os.pread(self.output.fileno(), 65536, 0).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def start(root, *rules, names=("config", "data")):
    return Sidecar(root, "--task-name=web-1", DEBOUNCE, "--on-change=" + ",".join(rules), mounts=names)


def write(*path, text="x"):
    with open(os.path.join(*path), "w", encoding="ascii") as file:
        file.write(text)


def metric(sidecar, name):
    text = sidecar.get("/metrics")[1]
    found = re.search(rf"^efs_sidecar_{name}(?:_total)?(?:{{.*}})? (\S+)$", text, re.M)
    return float(found.group(1)) if found else None


def requests(root):
    """a change that a rule names is one POST with it, a burst too; what no rule names is none; the mount's prefix counts"""
    with Server() as server:
        config = os.path.join(root.decode(), "config")
        with start(root, f"{config}/**.yaml=http://127.0.0.1:{server.port}/reload", f"d/*.txt=http://localhost:{server.port}/any") as sidecar:
            sidecar.wait_watching()
            config, data = sidecar.mounts
            os.mkdir(config + "/d")
            for i in range(20):
                write(config, "d", f"{i}.yaml")
            server.wait(1)
            time.sleep(0.5)
            check(len(server.requests) == 1, f"{len(server.requests)} requests for one burst")
            _, path, body = server.requests[0]
            check(path == "/reload" and body["changes"] >= 20, f"{path} {body}")
            check(body["last"]["mount"] == config and body["last"]["path"].endswith(".yaml"), f"{body}")
            write(data, "a.yaml")       # of another mount
            write(config, "a.json")
            os.mkdir(data + "/d")
            write(data, "d", "a.txt")   # of any mount
            server.wait(2)
            time.sleep(0.5)
            check([r[1] for r in server.requests] == ["/reload", "/any"], f"{server.requests}")
            os.rename(config + "/d", config + "/e")  # takes the files along
            server.wait(4)
            check(sorted(r[1] for r in server.requests[2:]) == ["/any", "/reload"], f"{server.requests[2:]}")
            check(metric(sidecar, "reactions") == 4 and metric(sidecar, "reactions_failed") == 0, "metrics")


def one_at_a_time(root):
    """a slow server has one request at a time, and one more for all that changed meanwhile"""
    with Server() as server, start(root, f"*=http://127.0.0.1:{server.port}/") as sidecar:
        sidecar.wait_watching()
        server.takes_s = 1
        write(sidecar.mounts[0], "first")
        server.wait(1)
        for i in range(5):
            write(sidecar.mounts[0], f"later-{i}")
            time.sleep(0.15)
        server.wait(2)
        time.sleep(1.5)
        check(len(server.requests) == 2 and server.most == 1, f"{len(server.requests)} requests, {server.most} at a time")


def failures(root):
    """a server that answers 500, refuses, or is not there: tried again with back-off, told and counted; then it works"""
    with Server() as server, start(root, f"*=http://127.0.0.1:{server.port}/x") as sidecar:
        sidecar.wait_watching()
        port = server.port
        server.status = 500
        write(sidecar.mounts[0], "a")
        server.wait(3)
        gaps = [b[0] - a[0] for a, b in zip(server.requests, server.requests[1:])]
        check(gaps[0] >= 0.7 and gaps[1] >= 1.4, f"no back-off: {gaps}")
        check("answered with 500; it is tried again" in sidecar.log(), sidecar.log())
        server.status = 204
        server.wait(4)
        wait_for(lambda: metric(sidecar, "reactions") == 1, "no success")
        check(metric(sidecar, "reactions_failed") == 3, f"{metric(sidecar, 'reactions_failed')} failures")
        server.__exit__()
        write(sidecar.mounts[0], "b")
        wait_for(lambda: "no answer from 127.0.0.1" in sidecar.log() and "refused" in sidecar.log(), "no refusal", 10)
        with Server(port) as again:
            again.wait(1)
            check(again.requests[0][2]["last"]["path"] == "b", f"{again.requests}")


def hanging(root):
    """a server that accepts and is silent, or sends a byte now and then: given up after 5 s; the loop goes on meanwhile; a stop too"""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as dawdling:
        ports = [s.getsockname()[1] for s in (silent, dawdling)]
        kept = []

        def dawdle():
            with contextlib.suppress(OSError):
                connection, _ = dawdling.accept()
                kept.append(connection)
                for byte in b"HTTP/1.0 200":
                    connection.sendall(bytes([byte]))
                    time.sleep(1)

        threading.Thread(target=dawdle, daemon=True).start()
        with start(root, f"s=http://127.0.0.1:{ports[0]}/", f"d=http://127.0.0.1:{ports[1]}/") as sidecar:
            sidecar.wait_watching()
            before = time.monotonic()
            write(sidecar.mounts[0], "s")
            write(sidecar.mounts[0], "d")
            for _ in range(20):
                check(sidecar.health_ms() < 200, "the loop waits")
                time.sleep(0.1)
            wait_for(lambda: sidecar.log().count("within 5 s") >= 2, lambda: f"no time-out: {sidecar.log()}", 15)
            check(4.5 < time.monotonic() - before < 9, f"given up after {time.monotonic() - before:.1f} s")
            write(sidecar.mounts[0], "s", text="yy")
            time.sleep(2)
            before = time.monotonic()
            check(sidecar.stop() == 0 and time.monotonic() - before < 5, "a request in flight holds the stop up")


def nonsense(root):
    """what answers without HTTP is a failure; an answer without end is not read to its end"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answers = [b"SSH-2.0-x\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200000, b"z" * 5000]
        taken = []

        def serve():
            with contextlib.suppress(OSError):
                for answer in answers:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        with contextlib.suppress(OSError):
                            connection.sendall(answer)
                        taken.append(answer)

        threading.Thread(target=serve, daemon=True).start()
        with start(root, f"*=http://127.0.0.1:{server.getsockname()[1]}/") as sidecar:
            sidecar.wait_watching()
            write(sidecar.mounts[0], "a")
            wait_for(lambda: metric(sidecar, "reactions") == 1, lambda: f"no success: {sidecar.log()}", 15)
            check(metric(sidecar, "reactions_failed") == 2 and len(taken) == 3, f"{taken} {sidecar.log()}")
            write(sidecar.mounts[0], "b")
            wait_for(lambda: metric(sidecar, "reactions_failed") == 3, "a line without end is taken", 10)


def resyncs(root):
    """a restarted efs-watch, and a restarted sidecar, carry every rule out; a first start does not"""
    with Server() as server:
        rules = [f"{n}=http://127.0.0.1:{server.port}/{n}" for n in ("a", "b")]
        with start(root, *rules, names=("config",)) as sidecar:
            sidecar.wait_watching()
            time.sleep(1)
            check(not server.requests, f"nothing changed: {server.requests}")
            with open(f"/proc/{sidecar.process.pid}/task/{sidecar.process.pid}/children", encoding="ascii") as children:
                os.kill(int(children.read().split()[0]), signal.SIGKILL)
            server.wait(2)
            check({r[1] for r in server.requests} == {"/a", "/b"}, f"{server.requests}")
            check({r[2]["last"]["op"] for r in server.requests} == {"resync"}, f"{server.requests}")
            sidecar.process.kill()
            sidecar.process.wait()
        with start(root, *rules, names=("config",)) as sidecar:
            server.wait(4)
            check({(r[1], r[2]["last"].get("reason")) for r in server.requests[2:]} == {("/a", "restart"), ("/b", "restart")}, f"{server.requests}")


def signals(root):
    """a signal to a process by its name; that there is none of that name is told in the log, and not tried again"""
    name = f"app-{os.getpid() % 100000}"
    with App(name) as app, start(root, f"a=signal:HUP:{name}", "b=signal:HUP:no-such-app") as sidecar:
        sidecar.wait_watching()
        share = sidecar.mounts[0]
        write(share, "a")
        wait_for(lambda: "got 1" in app.text(), lambda: f"no signal: {sidecar.log()}", 10)
        wait_for(lambda: "1 process got it" in sidecar.log(), lambda: f"not told: {sidecar.log()}")
        write(share, "b")
        wait_for(lambda: "no process called no-such-app" in sidecar.log() and "pidMode" in sidecar.log(), lambda: sidecar.log(), 10)
        time.sleep(1.5)
        check(metric(sidecar, "reactions_failed") == 1, "not counted, or tried again")


def careful(root):
    """HUP is not sent to a process that it would end; when that handles it, it is; a child of the same name is left to its parent"""
    with start(root, "b=signal:HUP:late-app", "c=signal:TERM:late-app") as sidecar:
        sidecar.wait_watching()
        share = sidecar.mounts[0]
        late = ("import os, signal, time\nopen('/proc/self/comm', 'w').write('late-app')\ntime.sleep(2.5)\n"
                "signal.signal(1, lambda *_: print('got 1', flush=True))\nos.fork()\ntime.sleep(60)")
        with tempfile.TemporaryFile("w+") as output, \
                subprocess.Popen([sys.executable, "-c", late], stdout=output, preexec_fn=lambda: (os.setsid(), die_with_parent())) as app:
            try:
                wait_for(lambda: open(f"/proc/{app.pid}/comm", encoding="ascii").read() == "late-app\n", "no name", 10)
                write(share, "b")
                wait_for(lambda: "does not handle SIGHUP" in sidecar.log(), lambda: sidecar.log(), 10)
                check(app.poll() is None, "it was ended")
                wait_for(lambda: b"got 1" in os.pread(output.fileno(), 1000, 0), lambda: sidecar.log(), 20)
                time.sleep(0.5)
                check(os.pread(output.fileno(), 1000, 0) == b"got 1\n", "the child got it too")
                write(share, "c")
                check(app.wait(10) == -signal.SIGTERM, "TERM was not sent")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(app.pid, signal.SIGKILL)


def wrong_settings(root):
    """wrong entries are all named at once, at the start"""
    share = os.path.join(root.decode(), "share")
    os.makedirs(share)
    rules = "a=http://example.com/,b[=http://127.0.0.1/,/etc/x=signal:HUP:app,c=signal:KILL:app,d,/e/../f=http://127.0.0.1:99999/"
    result = subprocess.run([PROGRAM, "--check", "--allow-local", "--on-change=" + rules, share], capture_output=True, text=True, timeout=10, check=False)
    check(result.returncode == 64, f"{result}")
    for word in ("example.com", "\"b[=", "/etc/x lies on none", "KILL", "\"d\"", "/e/../f"):
        check(word in result.stderr, f"no {word} in {result.stderr}")
    check(result.stderr.count("on_change") == 6, result.stderr)
    result = subprocess.run([PROGRAM, "--check", "--allow-local", "--profile=observe", "--on-change=a=http://127.0.0.1/", share], capture_output=True, text=True,
                            timeout=10, check=False)
    check(result.returncode == 64 and "observe" in result.stderr, f"{result}")


if __name__ == "__main__":
    run(requests, one_at_a_time, failures, hanging, nonsense, resyncs, signals, careful, wrong_settings)
