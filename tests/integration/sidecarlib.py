"""A running efs-sidecar on local directories, and a client of its API."""
import http.client
import json
import os
import signal
import socket
import subprocess
import time

from watchlib import BUILD, check, die_with_parent, fail, wait_for

PROGRAM = os.path.join(BUILD, "efs-sidecar")


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Sidecar:
    """Started at once; `with` waits until it answers and ends it. Output goes to files in root, or where it is told."""

    def __init__(self, root, *options, mounts=("share",), stdout=None, stderr=None, env=None, program=PROGRAM, wrapper=()):
        self.root = root if isinstance(root, str) else root.decode()
        self.run_dir = os.path.join(self.root, "run")
        self.socket = os.path.join(self.run_dir, "api.sock")
        self.mounts = [os.path.join(self.root, m) for m in mounts]
        for path in [self.run_dir, *self.mounts]:
            os.makedirs(path.split("=")[0], exist_ok=True)
        self.out_path, self.err_path = (os.path.join(self.root, n) for n in ("stdout", "stderr"))
        clean = {k: v for k, v in os.environ.items() if not k.startswith("EFS_SIDECAR_")}
        clean["PATH"] = BUILD + ":" + clean.get("PATH", "")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                [*wrapper, program, "--allow-local", "--run-dir=" + self.run_dir, *options, *self.mounts],
                stdin=subprocess.DEVNULL, stdout=out if stdout is None else stdout,
                stderr=err if stderr is None else stderr, env=dict(clean, **(env or {})), preexec_fn=die_with_parent)

    def __enter__(self):
        wait_for(self._answers, lambda: "the sidecar did not answer: " + self.log())
        return self

    def __exit__(self, failed=None, *_):
        if "SANITIZED" in os.environ and not failed and self.process.poll() is None:
            self.process.terminate()  # a process that is killed does not look for leaks
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                pass
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _answers(self):
        if self.process.poll() is not None:
            fail(f"the sidecar ended with {self.process.returncode}: {self.log()}")
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def log(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def request(self, method, target, body=None, timeout=10):
        """Status and body, as JSON where it is."""
        connection = Connection(self.socket, timeout)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            text = response.read()
            is_json = response.getheader("Content-Type") == "application/json"
            return response.status, json.loads(text) if is_json else text.decode()
        finally:
            connection.close()

    def get(self, target, timeout=10):
        return self.request("GET", target, timeout=timeout)

    def status(self):
        return self.get("/v1/status")[1]

    def condition(self, name):
        return next(c for c in self.status()["conditions"] if c["type"] == name)

    def health_ms(self):
        """How long /healthz takes."""
        start = time.monotonic()
        status, _ = self.get("/healthz", timeout=5)
        check(status == 200, f"/healthz answered {status}")
        return (time.monotonic() - start) * 1000

    def raw(self, data, timeout=5):
        """Send bytes; all that comes back until the server closes or is silent for a while."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(self.socket)
            got = b""
            try:
                s.sendall(data)
                s.settimeout(0.3)
                while True:
                    more = s.recv(65536)
                    if not more:
                        break
                    got += more
            except (TimeoutError, BrokenPipeError, ConnectionResetError):
                pass
            return got

    def wait_watching(self):
        wait_for(lambda: all(m["watch"]["state"] == "ready" for m in self.status()["mounts"]), "the mounts are not watched")

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    def stop(self, seconds=30):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            fail(f"the sidecar did not end within {seconds} s of SIGTERM: {self.log()}")
            return None


class Changes:
    """A stream of GET /v1/changes."""

    def __init__(self, sidecar, query="", timeout=10):
        self.connection = Connection(sidecar.socket, timeout)
        self.connection.request("GET", "/v1/changes" + query)
        self.response = self.connection.getresponse()
        if self.response.status != 200:
            fail(f"/v1/changes{query}: {self.response.status} {self.response.read(500)}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self):
        line = self.response.readline()
        check(line, "the stream of changes ended")
        return json.loads(line)

    def until(self, condition, seconds=30):
        """The lines up to the first that the condition holds for."""
        end = time.monotonic() + seconds
        lines = []
        while time.monotonic() < end:
            lines.append(self.next())
            if condition(lines[-1]):
                return lines
        fail(f"the awaited line did not come within {seconds} s; the last were {lines[-3:]}")
        return None
