"""What the efs-watch tests share: a running efs-watch, and a consumer's view of what it tells."""
import base64
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ.get("BUILD") or os.path.join(os.path.dirname(__file__), "../../build")
PROGRAM = os.path.join(BUILD, "efs-watch")
DEADLINE_S = 60


def fail(message):
    print("not ok -", message)
    raise SystemExit(message)


def check(condition, message):
    if not condition:
        fail(message)


def check_size(condition, message):
    """Of programs that have their usual size: sanitizers keep what was freed, and more beside it."""
    check(condition or "SANITIZED" in os.environ, message)


def wait_for(condition, message, seconds=DEADLINE_S):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            fail(f"{message() if callable(message) else message} within {seconds} s")
        time.sleep(0.02)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def keeps_attributes(path):
    """Has this file system extended attributes of users? tmpfs has had them since Linux 6.6."""
    try:
        os.setxattr(path, "user.test", b"x")
        os.removexattr(path, "user.test")
        return True
    except OSError as error:
        print(f"#   {path}: no extended attributes: {error}")
        return False


class Scratch:
    """A directory of our own, on tmpfs where there is one; bytes paths, because names are bytes."""

    def __init__(self):
        shm = "/dev/shm"
        base = os.environ.get("WATCH_TEST_DIR") or (shm if os.access(shm, os.W_OK) else None)
        self.path = tempfile.mkdtemp(prefix="efs-watch-test.", dir=base).encode()

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def tree(root, skip=()):
    """Every path below root, as bytes relative to it."""
    found = set()
    for top, dirs, files in os.walk(root):
        dirs[:] = [d for d in dirs if d not in skip]
        prefix = os.path.relpath(top, root)
        for name in dirs + files:
            if name not in skip:
                found.add(name if prefix == b"." else os.path.join(prefix, name))
    return found


class View:
    """What a consumer knows that follows the rules in lib/share/change.h."""

    def __init__(self, known=()):
        self.paths = set(known)
        self.changes = []
        self.lock = threading.Lock()

    @staticmethod
    def _path(change, key):
        exact = change.get(key + "_base64")
        return base64.b64decode(exact) if exact else change.get(key, "").encode()

    def _forget(self, path):
        below = path + b"/"
        self.paths = {p for p in self.paths if path and p != path and not p.startswith(below)}

    def apply(self, change):
        path, op = self._path(change, "path"), change["op"]
        with self.lock:
            self.changes.append(change)
            if op in ("delete", "resync"):
                self._forget(path)
                if op == "resync" and path and change["reason"] != "blind":
                    self.paths.add(path)
            elif op == "rename":
                old = self._path(change, "from")
                below = [p for p in self.paths if p.startswith(old + b"/")]
                self._forget(path)
                self._forget(old)
                self.paths.update(path + p[len(old):] for p in below)
                self.paths.add(path)
            else:
                self.paths.add(path)

    def snapshot(self):
        with self.lock:
            return set(self.paths)

    def ops(self, path=None, op=None):
        with self.lock:
            return [c for c in self.changes
                    if (path is None or self._path(c, "path") == path) and op in (None, c["op"])]


class Watch:
    """A running `efs-watch DIR`, its lines applied to a View."""

    def __init__(self, root, *options, view=None, wrapper=(), program=PROGRAM):
        self.view = view or View()
        self.ready = None
        self.process = subprocess.Popen([*wrapper, program, *options, root], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=die_with_parent)
        self.reading = threading.Event()
        self.reading.set()
        self.errors = b""
        self.threads = [threading.Thread(target=self._read, daemon=True),
                        threading.Thread(target=self._read_errors, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.reading.wait()
            change = json.loads(line)
            if "ready" in change:
                self.ready = change
            else:
                self.view.apply(change)

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors += line

    def wait_ready(self):
        wait_for(lambda: self.ready or self.process.poll() is not None, "no ready line")
        check(self.ready, f"efs-watch ended: {self.errors.decode()}")
        return self

    def wait_equal(self, root, what, skip=(), seconds=DEADLINE_S):
        def difference():
            want, have = tree(root, skip), self.view.snapshot()
            return (f"{what}: {len(want - have)} of {len(want)} missing {sorted(want - have)[:5]}, "
                    f"{len(have - want)} too many {sorted(have - want)[:5]}; {self.errors[:500]}")
        wait_for(lambda: tree(root, skip) == self.view.snapshot(), difference, seconds)

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.reading.set()
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            fail("efs-watch did not end within 10 s of SIGTERM")
        for thread in self.threads:
            thread.join(5)
        if sys.exc_info()[0] is None:
            check(code == 0, f"efs-watch ended with {code}: {self.errors.decode()}")


class Skipped(SystemExit):
    """It cannot run here; outside of run() too the program then ends with 77."""

    def __init__(self, why):
        print("skipped: " + why, flush=True)
        super().__init__(77)


def needs(*programs):
    """Programs of tests/requirements.txt."""
    for program in programs:
        if not shutil.which(program):
            raise Skipped(f"there is no {program}; `make deps` gets it from PyPI (tests/requirements.txt)")


def run(*tests):
    """Run test functions (or those named on the command line), each with a scratch directory, and
    speak TAP."""
    tests = [t for t in tests if t.__name__ in sys.argv[1:] or not sys.argv[1:]]
    print(f"1..{len(tests)}")
    failed = skipped = 0
    for number, test in enumerate(tests, 1):
        name = test.__doc__ or test.__name__
        try:
            with Scratch() as root:
                note = test(root)
            print(f"ok {number} - {name}{': ' + note if note else ''}", flush=True)
        except Skipped:
            skipped += 1
            print(f"ok {number} - {name} # SKIP", flush=True)
        except (Exception, SystemExit) as error:  # the rest still runs
            failed += 1
            print(f"not ok {number} - {name}: {error!r}", flush=True)
    sys.exit(1 if failed else 77 if skipped else 0)
