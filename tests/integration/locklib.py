"""Locks of a running sidecar: clients of the API, and commands under `efsctl lock`."""
import json
import os
import signal
import subprocess
import time
import urllib.parse

from sidecarlib import Connection, Sidecar
from watchlib import BUILD, check, die_with_parent, fail, wait_for

EFSCTL = os.path.join(BUILD, "efsctl")
FENCE_S, MARGIN_S = 10, 2

# A command that writes CLOCK_BOOTTIME in ms to a file again and again, for as long as it runs.
STAMP = ("import time,sys\n"
         "f=open(sys.argv[1],'w',buffering=1)\n"
         "while True:\n"
         "    f.write('%d\\n'%(time.clock_gettime(time.CLOCK_BOOTTIME)*1000))\n"
         "    time.sleep(0.01)\n")


def now_ms():
    return time.clock_gettime(time.CLOCK_BOOTTIME) * 1000


def sidecar(root, *options, name="web-1", **more):
    return Sidecar(root, f"--task-name={name}", "--lease-fence=10s", "--lock-proof-interval=1s", *options, **more)


def wait_locks(s):
    wait_for(lambda: s.condition("LocksReady")["status"] == "True", lambda: f"no locks: {s.condition('LocksReady')}")
    return s


def target(name, verb="", **query):
    text = "/v1/locks/" + urllib.parse.quote(name, safe="") + verb
    return text + ("?" + urllib.parse.urlencode(query) if query else "")


class Hold:
    """A stream of POST /v1/locks/NAME."""

    def __init__(self, s, name, timeout=30, **query):
        self.sidecar, self.name, self.granted = s, name, None
        self.connection = Connection(s.socket, timeout)
        self.connection.request("POST", target(name, **query))
        self.response = self.connection.getresponse()
        if self.response.status != 200:
            fail(f"{name}: {self.response.status} {self.response.read(500)}")

    def next(self):
        """None at the end."""
        line = self.response.readline()
        return json.loads(line) if line else None

    def until(self, event):
        seen = []
        while True:
            line = self.next()
            if line is None:
                fail(f"{self.name}: the stream ended before \"{event}\": {seen}")
            seen.append(line)
            if line["event"] == event:
                if event == "granted":
                    self.granted = line
                return line

    def release(self, **query):
        return self.sidecar.request("POST", target(self.name, "/release", hold=self.granted["hold"], **query))

    def close(self):
        self.response.close()
        self.connection.close()


def environment(s):
    env = {k: v for k, v in os.environ.items() if not k.startswith("EFS_")}
    return dict(env, EFS_SIDECAR_RUN_DIR=s.run_dir)


def efsctl(s, *args, timeout=60):
    return subprocess.run([EFSCTL, *args], env=environment(s), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False)


class Command:
    """A running `efsctl lock ...` in a session of its own; its words go to a file."""

    def __init__(self, s, *args, **more):
        self.path = os.path.join(s.root, f"efsctl.{len(os.listdir(s.root))}")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen([EFSCTL, *args], env=environment(s), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, preexec_fn=die_with_parent, **more)
        self.pid = self.process.pid

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_text(self, words, seconds=20):
        wait_for(lambda: words in self.text(), lambda: f"no {words!r} in {self.text()!r}", seconds)
        return self

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self, seconds=40):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            fail(f"it still runs after {seconds} s: {self.text()!r}")
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [*descendants(self.pid), self.pid]:
            kill(pid, signal.SIGCONT)
            kill(pid, signal.SIGKILL)
        self.process.wait()


def kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def children(pid):
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def guard_of(command):
    wait_for(lambda: children(command.pid), "there is no guard", 10)
    return children(command.pid)[0]


def read_number(path):
    wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > 0, lambda: f"{path} was not written", 20)
    with open(path, encoding="ascii") as file:
        return int(file.read().split()[0])


def stamps(path):
    """What a STAMP command wrote, whole lines only."""
    with open(path, encoding="ascii") as file:
        return [int(line) for line in file.read().split("\n")[:-1]]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_dead(pids, seconds=15):
    wait_for(lambda: not any(alive(p) for p in pids), lambda: f"still there: {[p for p in pids if alive(p)]}", seconds)
