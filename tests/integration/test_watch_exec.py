#!/usr/bin/env python3
"""efsctl watch as scripts use it: filters, cursors that outlive consumer and sidecar, commands that are run after changes."""
import json
import os
import signal
import subprocess
import time

from sidecarlib import Sidecar
from watchlib import BUILD, check, die_with_parent, run, wait_for

EFSCTL = os.path.join(BUILD, "efsctl")


def start(root, names=("a",)):
    return Sidecar(root, "--task-name=web-1", mounts=names)


class Watch:
    """A running `efsctl watch`."""
    count = 0

    def __init__(self, sidecar, *args):
        Watch.count += 1
        self.out, self.err = (os.path.join(sidecar.root, f"watch-{Watch.count}.{kind}") for kind in ("out", "err"))
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([EFSCTL, "--run-dir=" + sidecar.run_dir, "watch", *args], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, preexec_fn=die_with_parent)

    def text(self):
        return read(self.out)

    def changes(self):
        lines = [json.loads(line) for line in self.text().splitlines(True) if line.endswith("\n")]
        return [c for c in lines if "op" in c]

    def paths(self):
        return [c["path"] for c in self.changes()]

    def wait(self, condition, what):
        wait_for(condition, lambda: f"{what}: {self.text()!r} {read(self.err)!r}", 20)
        return self

    def ready(self):
        """JSON lines only: with --exec nothing says so."""
        return self.wait(lambda: '"ready"' in self.text(), "not ready")

    def ends(self, code):
        try:
            got = self.process.wait(20)
        except subprocess.TimeoutExpired:
            got = "running"
        check(got == code, f"exit code {got} instead of {code}: {read(self.err)}")
        return read(self.err)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.ends(128 + number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def read(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(*path, text="x"):
    with open(os.path.join(*path), "w", encoding="ascii") as file:
        file.write(text)


def filters(root):
    """--op and --remote-only let through what was asked for, and every resync"""
    with start(root) as sidecar:
        sidecar.wait_watching()
        share = sidecar.mounts[0]
        with Watch(sidecar, "--op=delete,rename") as some, Watch(sidecar, "--remote-only") as remote, Watch(sidecar) as everything:
            for one in (some, remote, everything):
                one.ready()
            write(share, "one")
            everything.wait(lambda: "one" in everything.paths(), "no create")
            os.rename(share + "/one", share + "/two")
            everything.wait(lambda: "two" in everything.paths(), "no rename")
            os.remove(share + "/two")
            everything.wait(lambda: "delete" in [c["op"] for c in everything.changes()], "no delete")
            # a restarted efs-watch is a resync for everybody
            kill_child(sidecar)
            for one in (some, remote, everything):
                one.wait(lambda: "resync" in [c["op"] for c in one.changes()], "no resync")
            check([c["op"] for c in some.changes()] == ["rename", "delete", "resync"], f"{some.changes()}")
            check([c["op"] for c in remote.changes()] == ["resync"], f"{remote.changes()}")
            check({c["source"] for c in everything.changes()} == {"local"}, f"{everything.changes()}")
        with Watch(sidecar, "--op=remove") as wrong:
            check("\"remove\" is none of create" in wrong.ends(1), "the wrong operation is not named")


def kill_child(sidecar):
    """The sidecar's efs-watch."""
    with open(f"/proc/{sidecar.process.pid}/task/{sidecar.process.pid}/children", encoding="ascii") as children:
        for pid in children.read().split():
            if read(f"/proc/{pid}/comm").strip() == "efs-watch":
                os.kill(int(pid), signal.SIGKILL)


def resume(root):
    """a consumer that comes back with its cursor file gets exactly what it missed, also after a kill; after a sidecar's restart a resync"""
    cursor = os.path.join(root.decode(), "cursor")
    with start(root) as sidecar:
        sidecar.wait_watching()
        share = sidecar.mounts[0]
        with Watch(sidecar, "--cursor-file=" + cursor) as first:
            first.ready()
            write(share, "seen")
            first.wait(lambda: "seen" in first.paths(), "no change")
            first.stop()
        check("." in read(cursor), f"the cursor file has {read(cursor)!r}")
        for i in range(50):
            write(share, f"missed-{i:02}")
        with Watch(sidecar, "--cursor-file=" + cursor) as second:
            second.wait(lambda: len(set(second.paths())) >= 50, "what was missed did not come")
            check(sorted(set(second.paths())) == [f"missed-{i:02}" for i in range(50)], f"{second.paths()}")
            saved = read(cursor)
            wait_for(lambda: read(cursor) != saved or saved.strip() == second.changes()[-1]["cursor"], "the cursor is not kept", 5)
            time.sleep(1.2)
            second.process.kill() # no time to save anything
            second.process.wait()
        write(share, "after-the-kill")
        with Watch(sidecar, "--cursor-file=" + cursor) as third:
            third.wait(lambda: "after-the-kill" in third.paths(), "no change")
            check(set(third.paths()) == {"after-the-kill"}, f"{third.paths()}")
            third.stop(signal.SIGINT)
        sidecar.stop()
    write(share, "while-nobody-looked")
    with start(root) as sidecar:
        with Watch(sidecar, "--cursor-file=" + cursor) as fourth:
            fourth.wait(lambda: fourth.changes(), "no resync")
            first = fourth.changes()[0]
            check((first["op"], first["reason"], first["path"]) == ("resync", "restart", ""), f"{first}")
            fourth.stop()
        check(read(cursor).strip() == first["cursor"], "the cursor behind the resync was not kept")
        write(cursor, text="nonsense")
        with Watch(sidecar, "--cursor-file=" + cursor) as bad:
            check(cursor in bad.ends(64), "the file is not named")
        with Watch(sidecar, "--cursor-file=" + sidecar.root + "/no/cursor") as bad:
            check("/no/cursor" in bad.ends(73), "the file that cannot be written is not named")
    with start(root, names=("a", "b")) as sidecar, Watch(sidecar, "--cursor-file=" + cursor + "-2") as both:
        check("--mount" in both.ends(64), "two mounts in one cursor file")


def batches(root):
    """--exec: a burst is one run, a change meanwhile one more, nothing is left out; the command gets lines and environment"""
    with start(root) as sidecar:
        sidecar.wait_watching()
        share, log = sidecar.mounts[0], os.path.join(sidecar.root, "log")
        command = f'echo "run $EFS_WATCH_OP $EFS_WATCH_PATH $EFS_WATCH_CURSOR" >>{log}; cat >>{log}; sleep 1; echo end >>{log}; echo hello'
        with Watch(sidecar) as seen, Watch(sidecar, "--debounce=300ms", "--exec", command) as one:
            seen.ready()
            time.sleep(0.3)
            for i in range(5):
                write(share, f"burst-{i}")
            wait_for(lambda: "run " in read(log), "no run")
            for i in range(5):
                write(share, f"meanwhile-{i}")
            wait_for(lambda: read(log).count("end\n") == 2, lambda: f"not two runs: {read(log)}", 10)
            time.sleep(1.5)
            lines = read(log).splitlines()
            check(len([l for l in lines if l.startswith("run")]) == 2, f"{lines}")
            told = [json.loads(l) for l in lines if l.startswith("{")]
            check({c["path"] for c in told} == {f"{n}-{i}" for n in ("burst", "meanwhile") for i in range(5)}, f"{told}")
            check(lines[0].split()[2].startswith(share + "/burst-"), lines[0])
            last = [l for l in lines if l.startswith("{")][4]
            check(lines[0].split()[3] == json.loads(last)["cursor"], f"{lines[0]} and {last}")
            check(one.text() == "hello\nhello\n", f"its output went elsewhere: {one.text()!r}")
            write(os.fsencode(share), b"not-\xff-text")
            wait_for(lambda: "not-\udcff-text" in read(log), lambda: f"no exact path in {read(log)!r}")
            check(not zombies(one.process.pid), "a zombie is left")


def storm(root):
    """--exec: what changes while the command runs for long is kept up to a bound, then it is a resync; memory stays"""
    with start(root) as sidecar:
        sidecar.wait_watching()
        share, log = sidecar.mounts[0], os.path.join(sidecar.root, "log")
        command = f"echo run >>{log}; [ $(wc -l <{log}) -gt 1 ] || sleep 4; cat >>{log}; echo end >>{log}"
        with Watch(sidecar, "--debounce=50ms", "--exec", command) as one:
            time.sleep(0.5)
            write(share, "first")
            wait_for(lambda: "run" in read(log), "no run")
            for i in range(30000):
                write(share, f"storm-{i:05}")
            peak_kib = rss_kib(one.process.pid)
            wait_for(lambda: read(log).count("end") >= 2 and read(log).count("end") == read(log).count("run"), "the runs do not end")
            write(share, "last")
            wait_for(lambda: '"last"' in read(log), lambda: f"the last change was not told: {read(log)[-300:]}", 30)
            peak_kib = max(peak_kib, rss_kib(one.process.pid))
            told = [json.loads(l) for l in read(log).splitlines() if l.startswith("{")]
            paths, ops = {c["path"] for c in told}, [c["op"] for c in told]
            check(ops.count("resync") == 1, f"{ops.count('resync')} resyncs of {len(paths)} paths: the bound was not met, or met too often")
            with open(EFSCTL, "rb") as file:
                sanitized = b"__asan_init" in file.read() # it keeps what is freed
            check(sanitized or peak_kib < 12 * 1024, f"efsctl has {peak_kib} KiB")


def rss_kib(pid):
    return next(int(line.split()[1]) for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS:"))


def zombies(pid):
    children = read(f"/proc/{pid}/task/{pid}/children").split()
    return [c for c in children if ") Z " in read(f"/proc/{c}/stat")]


def exit_codes(root):
    """--exec: failures are reported and do not end it; --once ends with the command's code; nobody has to read stdin"""
    with start(root) as sidecar:
        sidecar.wait_watching()
        share = sidecar.mounts[0]
        with Watch(sidecar, "--debounce=50ms", "--exec", "exit 3") as failing, Watch(sidecar, "--debounce=50ms", "--once", "--exec", "exit 5") as once, \
                Watch(sidecar, "--debounce=50ms", "--exec", "kill -9 $$") as killed, Watch(sidecar, "--once") as first:
            first.ready()
            time.sleep(0.3)
            write(share, "x" * 200)
            once.ends(5)
            first.ends(0)
            check(len(first.changes()) == 1, f"{first.text()}")
            failing.wait(lambda: "exit code 3" in read(failing.err), "the code is not reported")
            killed.wait(lambda: "signal 9" in read(killed.err), "the signal is not reported")
            write(share, "again")
            failing.wait(lambda: read(failing.err).count("exit code 3") == 2, "it did not go on")


def signals(root):
    """--exec: a signal is forwarded to the command and all that it started, and ends efsctl; what ignores it is killed by the second"""
    with start(root) as sidecar:
        sidecar.wait_watching()
        share, log = sidecar.mounts[0], os.path.join(sidecar.root, "log")
        cursor = os.path.join(sidecar.root, "cursor")
        command = f"trap 'echo got-term >>{log}; exit 0' TERM; echo started $$ >>{log}; while :; do sleep 0.1; done"
        with Watch(sidecar, "--debounce=0ms", "--cursor-file=" + cursor, "--exec", command) as one:
            wait_for(lambda: read(cursor), "no cursor")
            write(share, "x")
            wait_for(lambda: "started" in read(log), "no run")
            one.stop()
            check("got-term" in read(log), read(log))
        os.remove(log)
        with Watch(sidecar, "--debounce=0ms", "--exec", f"trap '' TERM; echo started $$ >>{log}; while :; do sleep 0.1; done") as one:
            time.sleep(0.3)
            write(share, "y")
            wait_for(lambda: "started" in read(log), "no run")
            pid = int(read(log).split()[1])
            one.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            check(one.process.poll() is None, "it left its command behind")
            one.stop()
            wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the command lives on", 5)
        os.remove(log)
        with Watch(sidecar, "--debounce=0ms", "--exec", f"echo started $$ >>{log}; exec sleep 60") as one:
            time.sleep(0.3)
            write(share, "z")
            wait_for(lambda: "started" in read(log), "no run")
            pid = int(read(log).split()[1])
            one.process.kill()
            wait_for(lambda: not os.path.exists(f"/proc/{pid}") or ") Z " in read(f"/proc/{pid}/stat"), "an orphan is left", 5)


def end_of_sidecar(root):
    """--exec: when the sidecar ends, what it told last is still acted on, then 69; the cursor is of what was acted on"""
    with start(root) as sidecar:
        sidecar.wait_watching()
        share, log = sidecar.mounts[0], os.path.join(sidecar.root, "log")
        cursor = os.path.join(sidecar.root, "cursor")
        with Watch(sidecar) as seen, Watch(sidecar, "--debounce=30s", "--cursor-file=" + cursor, "--exec", f"cat >>{log}") as one:
            seen.ready()
            wait_for(lambda: read(cursor), "no cursor")
            write(share, "last")
            seen.wait(lambda: "last" in seen.paths(), "no change")
            check(read(cursor).strip() != seen.changes()[-1]["cursor"], "the cursor ran ahead of the command")
            sidecar.stop()
            check("ended the stream" in one.ends(69), read(one.err))
            check('"last"' in read(log), read(log))
            check(read(cursor).strip() == seen.changes()[-1]["cursor"], "the cursor was not kept")


def misuse(root):
    """options that do not go together are refused, with both named"""
    with start(root) as sidecar:
        for args, word in ((("--exec=true", "--json"), "--exec"), (("--debounce=1s",), "--exec"), (("--exec=true", "--debounce=x"), "\"x\""),
                           (("--since=1.1", "--cursor-file=x"), "--cursor-file")):
            with Watch(sidecar, *args) as wrong:
                check(word in wrong.ends(64), f"{args}: {read(wrong.err)}")


if __name__ == "__main__":
    run(filters, resume, batches, storm, exit_codes, signals, end_of_sidecar, misuse)
