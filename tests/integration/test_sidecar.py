#!/usr/bin/env python3
"""efs-sidecar on local directories: what it answers, makes, survives, refuses and leaves behind."""
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

from watchlib import BUILD, check, die_with_parent, run, wait_for

EFS_SIDECAR = os.path.join(BUILD, "efs-sidecar")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("sidecar", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Sidecar:
    def __init__(self, top, *args, name="task-a", run_dir="run", program=EFS_SIDECAR, wait=True,
                 stdout=subprocess.DEVNULL, stderr=None):
        self.run_dir = os.path.join(top, run_dir)
        self.log = open(os.path.join(top, "log"), "a+", encoding="utf-8")
        env = {k: v for k, v in os.environ.items() if not k.startswith("EFS_SIDECAR_")}
        env["PATH"] = "/usr/bin:/bin"
        self.process = subprocess.Popen([program, "--allow-local", f"--run-dir={self.run_dir}", f"--task-name={name}", *args],
                                        stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr or self.log,
                                        preexec_fn=die_with_parent, env=env)
        if wait:
            wait_for(lambda: self.process.poll() is not None or os.path.exists(self.run_dir + "/api.sock"), self.text, 10)
            check(self.process.poll() is None, self.text())

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def get(self, path):
        connection = UnixConnection(self.run_dir + "/api.sock")
        connection.request("GET", path)
        return json.load(connection.getresponse())

    def conditions(self):
        return {c["type"]: (c["status"], c["reason"]) for c in self.get("/v1/status")["conditions"]}

    def watch(self):
        return self.get("/v1/status")["mounts"][0]["watch"]

    def feed(self):
        return self.get("/v1/status")["mounts"][0]["feed"]

    def wait(self, kind, status, reason, seconds=20):
        wait_for(lambda: self.conditions()[kind] == (status, reason), lambda: f"{kind} {status} {reason}: {self.conditions()}",
                 seconds)

    def ready(self):
        self.wait("MountReady", "True", "MountAnswers")
        self.wait("LocksReady", "True", "SlotHeld")
        self.wait("FeedReady", "True", "Watching")
        return self

    def watcher(self):
        """The pid of its efs-watch."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            children = file.read().split()
        check(len(children) == 1, f"children: {children}")
        return int(children[0])

    def changes(self):
        """The stream: a function that reads the next line."""
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(20)
        stream.connect(self.run_dir + "/api.sock")
        stream.sendall(b"GET /v1/changes HTTP/1.0\r\n\r\n")
        lines = stream.makefile("rb")
        while lines.readline().strip():
            pass
        check("ready" in json.loads(lines.readline()), "the stream does not start with ready")
        return lambda: json.loads(lines.readline())

    def stop(self, code=0, seconds=5):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(seconds) == code, f"exit code {self.process.returncode}: {self.text()}")


def places(root):
    top = root.decode()
    data = os.path.join(top, "data")
    os.mkdir(data)
    return top, data


def until(following, wanted):
    """Read changes up to the first that has all of wanted; all that were read."""
    seen = []
    while not seen or not wanted.items() <= seen[-1].items():
        seen.append(following())
    return seen


def works(root):
    """starts, makes this task's places, tells what changes, and leaves nothing of its own behind"""
    top, data = places(root)
    sidecar = Sidecar(top, data, "--watch-exclude=scratch").ready()
    name = data[1:].replace("/", "-")
    task = f"{data}/tasks/task-a"
    check(os.readlink(f"{top}/run/task") == task, "run/task")
    check(os.readlink(f"{top}/run/mounts/{name}/task") == task, "the link to the task's directory")
    check(os.readlink(f"{top}/run/mounts/{name}/root") == data, "the link to the mount")
    check(stat.S_IMODE(os.stat(task).st_mode) == 0o2770, "mode of the task's directory")
    mount = sidecar.get("/v1/status")["mounts"][0]
    check((mount["task_dir"], mount["task_link"]) == (task, f"{top}/run/mounts/{name}/task"), mount)
    wait_for(lambda: glob.glob(f"{data}/.efs-sidecar/members/*.json"), "the member's file", 5)
    wait_for(lambda: os.path.exists(f"{data}/.efs-sidecar/canary/task-a"), "the canary", 5)

    following = sidecar.changes()
    os.makedirs(f"{data}/scratch/x")  # efs-watch has our settings
    with open(f"{top}/run/task/out", "w", encoding="ascii") as file:
        file.write("result")
    seen = until(following, {"path": "tasks/task-a/out", "size": 6})
    check(seen[-1]["observer"] == "task-a" and "scratch" not in str(seen), seen)

    sidecar.stop()
    left = sorted(os.path.relpath(p, data) for p in glob.glob(f"{data}/.efs-sidecar/**", recursive=True) if not os.path.isdir(p))
    journals = [p for p in left if p.startswith(".efs-sidecar/feed/") and p.endswith("-1/1.log")]  # peers may still read it
    check(left == sorted([f".efs-sidecar/{n}" for n in ("VERSION", "VERSION.lock", "board")] + journals) and len(journals) == 1,
          f"left behind: {left}")
    check(not os.path.exists(f"{top}/run/api.sock"), "the socket is left")
    check(os.path.exists(f"{task}/out"), "the task's file is gone")
    again = Sidecar(top, data).ready()
    check(os.path.samefile(f"{top}/run/task/out", f"{task}/out"), "it did not find its directory again")
    again.stop()


def watcher_dies(root):
    """a killed efs-watch is started again, and the consumer's view ends complete"""
    top, data = places(root)
    sidecar = Sidecar(top, data).ready()
    following = sidecar.changes()
    first = sidecar.watcher()
    os.kill(first, signal.SIGSTOP)  # what happens now is seen by nobody
    with open(f"{data}/unseen", "w", encoding="ascii"):
        os.kill(first, signal.SIGKILL)
    sidecar.wait("FeedReady", "False", "WatcherRestarting")
    sidecar.wait("FeedReady", "True", "Watching")
    seen = until(following, {"path": "unseen"})
    check({"op": "resync", "reason": "restart", "path": ""}.items() <= seen[0].items(), seen)
    check(sidecar.watch()["restarts"] == 1 and sidecar.watcher() != first, f"{sidecar.watch()} {sidecar.text()}")
    with open(f"{data}/later", "w", encoding="ascii"):
        until(following, {"path": "later"})
    sidecar.stop()


def watcher_hangs(root):
    """an efs-watch that does not answer is reported, killed and replaced"""
    top, data = places(root)
    sidecar = Sidecar(top, data, "--mount-stall-after=2s").ready()
    following = sidecar.changes()
    first = sidecar.watcher()
    os.kill(first, signal.SIGSTOP)
    with open(f"{data}/meanwhile", "w", encoding="ascii"):
        wait_for(lambda: '"reason":"WatcherStalled"' in sidecar.text(), "WatcherStalled", 8)
    sidecar.wait("FeedReady", "True", "Watching")
    until(following, {"path": "meanwhile"})
    check(sidecar.watcher() != first, "it is the same")
    check(sidecar.conditions()["MountReady"][0] == "True", "the mount was blamed")
    # While it is stopped and about to be stopped: not waited for for ever.
    os.kill(sidecar.watcher(), signal.SIGSTOP)
    sidecar.stop(seconds=12)


def no_watcher(root):
    """without efs-watch everything else works, and the condition says so"""
    top, data = places(root)
    os.makedirs(f"{top}/bin")
    shutil.copy(EFS_SIDECAR, f"{top}/bin")
    sidecar = Sidecar(top, data, program=f"{top}/bin/efs-sidecar")
    sidecar.wait("LocksReady", "True", "SlotHeld")
    sidecar.wait("FeedReady", "False", "WatcherRestarting")
    check("cannot be executed; it belongs beside efs-sidecar" in sidecar.text(), sidecar.text())
    sidecar.stop()


def two_tasks(root):
    """two tasks share a directory: different slots and directories, one feed each; two in one run directory are refused"""
    top, data = places(root)
    a = Sidecar(top, data, name="task-a", run_dir="run-a").ready()
    b = Sidecar(top, data, name="task-b", run_dir="run-b").ready()
    wait_for(lambda: len(os.listdir(f"{data}/.efs-sidecar/members")) == 2, "two members", 5)
    check(sorted(os.listdir(f"{data}/tasks")) == ["task-a", "task-b"], os.listdir(f"{data}/tasks"))
    following = b.changes()
    with open(f"{top}/run-a/task/from-a", "w", encoding="ascii"):
        until(following, {"path": "tasks/task-a/from-a", "observer": "task-b"})

    pid = a.process.pid
    intruder = Sidecar(top, data, name="task-c", run_dir="run-a", wait=False)
    check(intruder.process.wait(5) == 1, "it was let in")
    check(f"another efs-sidecar (pid {pid}) is running in {top}/run-a" in intruder.text(), intruder.text())
    check(a.get("/healthz")["pid"] == pid, "the first one was disturbed")
    a.stop()
    b.stop()


def killed(root):
    """after SIGKILL the next one removes the dead socket and starts; efs-watch died with its parent"""
    top, data = places(root)
    sidecar = Sidecar(top, data).ready()
    watcher = sidecar.watcher()
    sidecar.process.kill()
    sidecar.process.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{watcher}") or "Z" in open(f"/proc/{watcher}/stat", encoding="ascii").read(),
             "efs-watch goes on", 5)
    check(os.path.exists(f"{top}/run/api.sock"), "there is no socket to be removed")
    again = Sidecar(top, data, wait=False)
    wait_for(lambda: again.text().count(" runs: ") == 2, again.text, 10)
    again.ready().stop()


def reborn(root):
    """a sidecar that was killed finds its slot again as one that was not left: a new epoch, and one resync for the others"""
    top, data = places(root)
    fast = "--feed-poll=100ms"
    other = Sidecar(top, data, fast, name="task-b", run_dir="run-b").ready()
    following = other.changes()
    sidecar = Sidecar(top, data, fast).ready()
    first = sidecar.feed()
    check((first["member"], first["epoch"], first["peers"]) == (True, 1, 1), first)
    sidecar.process.kill()
    sidecar.process.wait()
    os.unlink(f"{top}/run/api.sock")
    again = Sidecar(top, data, fast).ready()
    second = again.feed()
    check((second["slot"], second["epoch"]) == (first["slot"], 2), second)
    seen = until(following, {"op": "resync"})
    check({"reason": "peer_died", "path": "", "source": "peer"}.items() <= seen[-1].items(), seen[-1])
    again.stop()  # in good order: nobody has to look again
    third = Sidecar(top, data, fast).ready()
    check(third.feed()["epoch"] == 3, third.feed())
    with open(f"{data}/last", "w", encoding="ascii"):
        seen = until(following, {"path": "last"})
    check(not any(c.get("op") == "resync" for c in seen), seen)
    third.stop()
    other.stop()


def no_slot(root):
    """without a slot the changes that are seen here are told all the same, and the conditions say what is missing"""
    top, data = places(root)
    state = f"{data}/.efs-sidecar"
    os.mkdir(state)
    with open(f"{state}/VERSION", "w", encoding="ascii") as file:
        json.dump({"format": 1, "generation": 1, "file_system": "fs-0123456789abcdef0", "root_inode": 1}, file)
    sidecar = Sidecar(top, data)
    sidecar.wait("LocksReady", "False", "ForeignState")
    sidecar.wait("FeedReady", "False", "NotAnnounced")
    check(not sidecar.feed()["member"], sidecar.feed())
    following = sidecar.changes()
    with open(f"{data}/seen", "w", encoding="ascii"):
        until(following, {"path": "seen"})
    os.unlink(f"{state}/VERSION")  # what the message says is more, but this is enough
    sidecar.wait("LocksReady", "True", "SlotHeld", 30)
    sidecar.wait("FeedReady", "True", "Watching", 30)
    check(sidecar.feed()["member"] and sidecar.watch()["restarts"] == 1, f"{sidecar.feed()} {sidecar.watch()}")
    sidecar.stop()


def state_mount(root):
    """state.mount: a directory that is only read is a member's, and nothing is written to it"""
    top, data = places(root)
    os.mkdir(f"{top}/state")
    fs = "fs-0123456789abcdef0"
    sidecar = Sidecar(top, f"{data}={fs}:ro", f"--state-mount={top}/state").ready()
    check(os.listdir(f"{top}/state") == [f"{fs}-{os.stat(data).st_ino}"], os.listdir(f"{top}/state"))
    check(os.listdir(data) == [] and sidecar.feed()["member"], f"{os.listdir(data)} {sidecar.feed()}")
    sidecar.stop()


def nobody_reads(root):
    """with stdout and stderr never read it goes on answering and stops in time"""
    top, data = places(root)
    pipes = [os.pipe() for _ in range(2)]
    for _, end in pipes:
        os.set_blocking(end, False)
        while True:  # fill it
            try:
                os.write(end, bytes(4096))
            except BlockingIOError:
                break
        os.set_blocking(end, True)
    sidecar = Sidecar(top, data, "--metrics-interval=1s", "--log-level=debug", stdout=pipes[0][1], stderr=pipes[1][1])
    sidecar.ready()
    for _ in range(2):  # log lines: efs-watch is restarted; a third time it would be WatcherFailing
        restarts = sidecar.watch()["restarts"]
        os.kill(sidecar.watcher(), signal.SIGKILL)
        wait_for(lambda: sidecar.watch()["restarts"] > restarts, "a restart", 5)
        sidecar.wait("FeedReady", "True", "Watching")
    check(sidecar.get("/healthz")["loop_lag_ms"] < 500, sidecar.get("/healthz"))
    sidecar.stop(seconds=6)
    for pair in pipes:
        for end in pair:
            os.close(end)


def run_directory(root):
    """is made such that others can pass; one that cannot be made is an error that names the way out"""
    top, data = places(root)
    sidecar = Sidecar(top, data, run_dir="a/b").ready()
    check(stat.S_IMODE(os.stat(f"{top}/a/b").st_mode) == 0o3775, "mode")
    sidecar.stop()
    with open(f"{top}/file", "w", encoding="ascii"):
        bad = Sidecar(top, data, run_dir="file/run", wait=False)
    check(bad.process.wait(5) == 1 and "run_dir: " in bad.text() and "set another run_dir" in bad.text(), bad.text())


def missing(root):
    """a directory that is not there is a condition, not an end; it is used once it is there"""
    top, _ = places(root)
    sidecar = Sidecar(top, f"{top}/later", "--mount-probe-interval=1s")
    sidecar.wait("MountReady", "False", "NotMounted")
    sidecar.wait("FeedReady", "Unknown", "Starting")
    os.mkdir(f"{top}/later")
    sidecar.ready()
    check(os.path.isdir(f"{top}/later/tasks/task-a"), "the task's directory")
    sidecar.stop()


def plain_directory(root):
    """without allow_local a plain directory is refused, and nothing is written to it"""
    top, data = places(root)
    sidecar = Sidecar(top, data, "--allow-local=no")
    sidecar.wait("MountReady", "False", "NotMounted")
    time.sleep(1.2)
    check(os.listdir(data) == [], os.listdir(data))
    sidecar.stop()


def profiles(root):
    """observe writes only its canary; what is switched off says NotEnabled"""
    top, data = places(root)
    sidecar = Sidecar(top, data, "--profile=observe")
    sidecar.wait("MountReady", "True", "MountAnswers")
    wait_for(lambda: os.path.exists(f"{data}/.efs-sidecar/canary/task-a"), "the canary", 5)
    check(os.listdir(data) == [".efs-sidecar"] and os.listdir(f"{data}/.efs-sidecar") == ["canary"], "it wrote more")
    conditions = sidecar.conditions()
    for kind in "FeedReady", "LocksReady", "CacheReady", "CredentialsValid":
        check(conditions[kind] == ("Unknown", "NotEnabled"), conditions)
    sidecar.stop()
    sidecar = Sidecar(top, data, "--watch-enabled=no")
    sidecar.wait("LocksReady", "True", "SlotHeld")
    check(sidecar.conditions()["FeedReady"] == ("Unknown", "NotEnabled"), sidecar.conditions())
    check(sidecar.watch()["state"] == "off", sidecar.watch())
    sidecar.stop()


def settings(root):
    """all errors at once with code 64; --check prints what is set and starts nothing"""
    top, data = places(root)

    def ends(code, *args):
        done = subprocess.run([EFS_SIDECAR, *args], capture_output=True, text=True, timeout=10, check=False)
        check(done.returncode == code, f"{args}: {done}")
        return done

    errors = ends(64, "--watch-max-dirs=0", "--profile=fast", "--stop-timeout=1s").stderr
    for word in "--watch-max-dirs", "--profile", "--stop-timeout":
        check(f"error: {word}: " in errors, errors)
    errors = ends(64, "--task-name=a/b", "--state-dir=../x", "--task-root=/abs").stderr
    for word in "task.name", "state.dir", "task.root", "mounts: none is given":
        check(f"error: {word}" in errors, errors)
    errors = ends(64, "--state-mount=/state", "/a=fs-0123456789abcdef0:ro", "/b").stderr
    check("error: state.mount: /b needs its file system id" in errors and errors.count("error:") == 1, errors)
    ends(64, data, "relative/path")
    check("--bogus" in ends(64, "--bogus").stderr, "an unknown option")
    printed = json.loads(ends(0, "--check", f"--run-dir={top}/run", data).stdout)
    check(printed["mounts"]["value"] == f"{data}:rw", printed["mounts"])
    check(printed["task.name"]["value"] == socket.gethostname(), printed["task.name"])
    check(not os.path.exists(f"{top}/run"), "--check made something")
    check("--mounts=" in ends(0, "--help").stdout, "--help")
    check(ends(0, "--version").stdout.startswith("efs-sidecar "), "--version")
    # Two paths that would have one name.
    os.makedirs(f"{top}/a/b")
    os.makedirs(f"{top}/a-b")
    both = Sidecar(top, f"{top}/a/b", f"{top}/a-b", wait=False)
    check(both.process.wait(5) == 1 and f"{top}/a/b and {top}/a-b would both be called" in both.text(), both.text())


def rest(root):
    """an idle sidecar is small, and its processes hardly run"""
    with open(EFS_SIDECAR, "rb") as file:
        if b"__asan_init" in file.read():
            return "skipped: built with a sanitizer"
    top, data = places(root)
    for i in range(1000):
        os.makedirs(f"{data}/{i % 10}/{i}")
    sidecar = Sidecar(top, data).ready()
    pids = [sidecar.process.pid, sidecar.watcher()]

    def ticks():
        return sum(sum(map(int, open(f"/proc/{pid}/stat", encoding="ascii").read().rpartition(")")[2].split()[11:13]))
                   for pid in pids)

    time.sleep(2)
    before, seconds = ticks(), 10
    time.sleep(seconds)
    used = (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds
    rss_kib = sum(int(line.split()[1]) for pid in pids for line in open(f"/proc/{pid}/status", encoding="ascii")
                  if line.startswith("VmRSS"))
    dirs = sidecar.watch()["dirs"]
    check(dirs > 1000, f"{dirs} directories")
    check(rss_kib <= 16 * 1024, f"{rss_kib} KiB")
    check(used <= 0.003, f"{100 * used} % of a core")  # a tick is 0.1 % of these ten seconds
    sidecar.stop()
    return f"{rss_kib} KiB, {100 * used:.1f} % of a core with {dirs} directories"


if __name__ == "__main__":
    run(works, watcher_dies, watcher_hangs, no_watcher, two_tasks, killed, reborn, no_slot, state_mount, nobody_reads, run_directory, missing, plain_directory, profiles,
        settings, rest)
