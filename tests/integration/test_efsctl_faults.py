#!/usr/bin/env python3
"""efsctl without a sidecar, with a broken one, and used wrongly: one sentence and the right exit code."""
import os
import shutil
import socket
import subprocess
import threading
import time

from watchlib import BUILD, check, die_with_parent, run

EFSCTL = os.path.join(BUILD, "efsctl")


def efsctl(*args, program=EFSCTL, env=None, stdout=subprocess.PIPE, timeout=20):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("EFS_SIDECAR_")}
    return subprocess.run([program, *args], stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                          timeout=timeout, preexec_fn=die_with_parent, env=dict(clean, **(env or {})), check=False)


def expect(result, code, *words, lines=1):
    said = (result.stdout or "") + result.stderr
    check(result.returncode == code, f"{result.args[1:]}: exit code {result.returncode}, not {code}: {said}")
    for word in words:
        check(word in said, f"{result.args[1:]}: no \"{word}\" in: {said}")
    check(said.count("\n") <= lines, f"{result.args[1:]}: more than {lines} line(s): {said}")


class Answer:
    """A server that gives each client the same bytes; then it closes, or hangs."""

    def __init__(self, root, data, hang=False):
        self.path = os.path.join(root.decode(), "api.sock")
        self.data, self.hang = data, hang
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.clients = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            client.recv(65536)
            try:
                client.sendall(self.data)
            except OSError:
                pass
            if not self.hang:
                client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for client in self.clients:
            client.close()
        os.unlink(self.path)


def http(body, status="200 OK"):
    return f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def usage(_):
    """wrong usage is one clear sentence that names what was wrong, exit code 64"""
    for args, words in (
            ((), ["a command is missing", "efsctl --help"]),
            (("frobnicate",), ["\"frobnicate\"", "efsctl --help"]),
            (("status", "--jsn"), ["--jsn", "efsctl status --help"]),
            (("stauts",), ["\"stauts\" (did you mean status?); see efsctl --help"]),
            (("start",), ["\"start\"; see efsctl --help"]),
            (("status", "extra"), ["\"extra\"", "efsctl status --help"]),
            (("status", "--run-dir=/x"), ["--run-dir stands before the command"]),
            (("watch", "--mount"), ["--mount wants a value"]),
            (("watch", "--json", "--text"), ["--json and --text"]),
            (("watch", "--mount=/data", "/data/x"), ["relative to the mount"]),
            (("watch", "--mount=/data", "x" * 16384), ["too long"]),
            (("health", "--fail-on=locks"), ["\"locks\""]),
            (("health", "--for=5m"), ["--fail-on=mount"]),
            (("health", "--fail-on=mount", "--for=soon"), ["\"soon\""])):
        expect(efsctl(*args), 64, *words)
    expect(efsctl("--rundir=/x", "status"), 64, "--rundir", "did you mean --run-dir", lines=2)
    expect(efsctl("--run-dir=x", "status"), 64, "\"x\" is not an absolute path", lines=2)
    expect(efsctl("status", env={"EFS_SIDECAR_RUNDIR": "/x"}), 64, "EFS_SIDECAR_RUNDIR", "EFS_SIDECAR_RUN_DIR", lines=2)


def help_and_version(_):
    """--help of efsctl and of every command, version: exit code 0, on stdout"""
    overview = efsctl("--help")
    expect(overview, 0, "status", "health", "watch", "config", "version", "--run-dir", lines=100)
    for command in ("status", "health", "watch", "config", "version"):
        result = efsctl(command, "--help")
        expect(result, 0, f"usage: efsctl {command}", lines=24)
        check(not result.stderr, result.stderr)
    expect(efsctl("version"), 0, "efsctl ")
    check(efsctl("version").stdout == efsctl("--version").stdout, "version and --version differ")


def no_sidecar(root):
    """without a sidecar: one line that says where it looked, exit code 69 (health: 1)"""
    run_dir = root.decode()
    for command in ("status", "watch", "config"):
        expect(efsctl(f"--run-dir={run_dir}", command), 69, "no sidecar", run_dir + "/api.sock")
    expect(efsctl("health", env={"EFS_SIDECAR_RUN_DIR": run_dir}), 1, "unhealthy", run_dir + "/api.sock")
    expect(efsctl("status", env={"EFS_SIDECAR_API_SOCKET": run_dir + "/other"}), 69, run_dir + "/other")
    with Answer(root, b"") as dead:
        os.rename(dead.path, dead.path + ".kept")
        left = socket.socket(socket.AF_UNIX)
        left.bind(dead.path)
        left.close()
        expect(efsctl(f"--run-dir={run_dir}", "status"), 69, "nobody listens", dead.path)


def hanging(root):
    """a sidecar that does not answer: health says so after 3 s, the others after 5 s"""
    with Answer(root, b"", hang=True):
        for command, code, seconds in (("health", 1, 3), ("status", 69, 5)):
            start = time.monotonic()
            expect(efsctl(f"--run-dir={root.decode()}", command), code, f"did not answer within {seconds}000 ms")
            took = time.monotonic() - start
            check(seconds <= took < seconds + 1, f"{command} took {took:.1f} s")


def broken(root):
    """answers that are garbage, cut short, too large or not JSON are said to be"""
    for data, words in (
            (b"\x16\x03\x01\x02\x00garbage\r\n\r\n", ["is not the sidecar"]),
            (b"", ["closed the connection"]),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{", ["closed the connection"]),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", ["larger than"]),
            (b"HTTP/1.0 200 OK\r\n\r\n" + b" " * 5000000, ["larger than"]),
            (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", ["Transfer-Encoding"]),
            (http("[]"), ["not a JSON object"]),
            (http("{"), ["not valid JSON"])):
        with Answer(root, data):
            for command in ("status", "config"):
                expect(efsctl(f"--run-dir={root.decode()}", command), 69, *words)
            expect(efsctl(f"--run-dir={root.decode()}", "health"), 1, "unhealthy", *words)


def refused(root):
    """an error of the sidecar: its message and its hint, exit code 1"""
    body = '{"code":"Forbidden","message":"uid 7 may not\\u001b[2J","hint":"see api.uids"}'
    with Answer(root, http(body, "403 Forbidden")):
        for command in ("status", "watch", "config"):
            result = efsctl(f"--run-dir={root.decode()}", command)
            expect(result, 1, "uid 7 may not\\x1b[2J", "see api.uids", lines=2)
        expect(efsctl(f"--run-dir={root.decode()}", "health"), 1, "HTTP status 403")
    with Answer(root, http("<html>", "500 Oops")):
        expect(efsctl(f"--run-dir={root.decode()}", "status"), 1, "HTTP status 500")


def stream_ends(root):
    """a stream that ends, also within a line: what came is shown, exit code 69, with where to go on"""
    line = '{"op":"create","path":"a","cursor":"7.1"}\n'
    for rest, words in (("", ["ended the stream"]), ('{"op":', ["closed the connection"]), ("nonsense\n", ["not valid JSON"])):
        with Answer(root, ("HTTP/1.0 200 OK\r\n\r\n" + '{"keepalive":true}\n' + line + rest).encode()):
            result = efsctl(f"--run-dir={root.decode()}", "watch")
            check(result.stdout == line, f"stdout is {result.stdout!r}")
            expect(result, 69, *words, "--since=7.1", lines=3)


def full_disk(root):
    """output that cannot be written is an error"""
    with Answer(root, http('{"version":"x"}')), open("/dev/full", "w", encoding="ascii") as full:
        expect(efsctl(f"--run-dir={root.decode()}", "status", stdout=full), 74, "cannot write to stdout")


def static_build(root):
    """efsctl-static works where there is nothing else"""
    if "SANITIZED" in os.environ:
        return "there is no static program with sanitizers"
    shutil.copy(os.path.join(BUILD, "efsctl-static"), os.path.join(root.decode(), "efsctl"))
    with Answer(root, http('{"status":"ok"}')):
        enter = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--root"]
        result = efsctl(*enter[1:], root.decode(), "/efsctl", "--run-dir=/", "health", program=enter[0])
        expect(result, 0, "healthy")
    return None


if __name__ == "__main__":
    run(usage, help_and_version, no_sidecar, hanging, broken, refused, stream_ends, full_disk, static_build)
