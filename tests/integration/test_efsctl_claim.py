#!/usr/bin/env python3
"""`efsctl claim`: a command for each file, on local directories and on two tasks of one share."""
import os
import signal
import time

import locklib
from claimlib import claims_on_share, fill, left
from locklib import Command, descendants, efsctl, guard_of, kill, read_number, wait_dead, wait_locks
from watchlib import check, run, wait_for


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().splitlines()


def each_once(root):
    """once per file, oldest first, with path, name and queue; then nothing is left anywhere"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        fill(s, "in", ["c", "a", "b"])
        log = os.path.join(s.root, "log")
        script = f'echo "$EFS_CLAIM_NAME $EFS_CLAIM_QUEUE $EFS_CLAIM_ATTEMPTS $(basename "$1") $(cat "$1")" >>{log}'
        result = efsctl(s, "claim", "in", "--wait=0", "--", "sh", "-c", script, "sh", "{}")
        check(result.returncode == 0 and not result.stderr, f"{result}")
        check(lines(log) == ["c in 0 c x", "a in 0 a x", "b in 0 b x"], f"{lines(log)}")
        check(left(s, "in") == ([], [], []), f"{left(s, 'in')}")
        result = efsctl(s, "claim", s.mounts[0] + "/in", "--once", "--", "cat")
        check(result.returncode == 75, f"nothing to do: {result}")
        fill(s, "in", ["x.jpg", "y.txt", ".hidden"], b"content")
        os.mkdir(os.path.join(s.mounts[0], "in", "dir.jpg"))
        result = efsctl(s, "claim", "in", "--match=*.jpg", "--wait=0", "--", "cat")
        check(result.returncode == 0 and result.stdout == "content", f"{result}")
        check(left(s, "in")[0] == ["y.txt"], f"{left(s, 'in')}")
        check(s.stop() == 0 and not claims_on_share(s), f"{claims_on_share(s)}")


def odd_names(root):
    """names of 255 bytes, with newlines, blanks and bytes that are no UTF-8 arrive whole"""
    names = [b"n" * 255, b"two\nlines", b"\xff\xfe no utf-8", b"-rf", b"{}", b"$(x) \"'"]
    with locklib.sidecar(root) as s:
        wait_locks(s)
        for i, name in enumerate(names):
            fill(s, "in \u00e4", [name], b"%d" % i)
        out = os.path.join(s.root, "out")
        os.mkdir(out)
        script = f'n=$(cat "$1"); printf %s "$EFS_CLAIM_NAME" >{out}/$n; [ "${{1##*/}}" = "$EFS_CLAIM_NAME" ]'
        result = efsctl(s, "claim", "in \u00e4", "--wait=0", "--", "sh", "-c", script, "sh")
        check(result.returncode == 0, f"{result}")
        for i, name in enumerate(names):
            with open(f"{out}/{i}", "rb") as file:
                check(file.read() == name, f"{name}")


def failures(root):
    """a file whose command fails goes back, counted, and to .dead in the end; a command that cannot be run costs nothing"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        fill(s, "in", ["bad", "good"])
        log = os.path.join(s.root, "log")
        script = f'echo "$EFS_CLAIM_NAME $EFS_CLAIM_ATTEMPTS" >>{log}; [ $EFS_CLAIM_NAME = good ]'
        result = efsctl(s, "claim", "in", "--wait=3s", "--max-attempts=2", "--", "sh", "-c", script, "sh")
        check(result.returncode == 1, f"{result}")
        check(lines(log) == ["bad 0", "good 0", "bad 1"], f"{lines(log)}")
        check(left(s, "in") == ([], [], ["bad"]), f"{left(s, 'in')}")
        check("failed 2 times" in s.log() and "in/.dead" in s.log(), s.log())
        for command, code in ("/nowhere/x", 127), ("/etc/passwd", 126):
            fill(s, "in", ["a"])
            result = efsctl(s, "claim", "in", "--wait=0", "--max-attempts=1", "--", command)
            check(result.returncode == code and "cannot run" in result.stderr, f"{result}")
            wait_for(lambda: left(s, "in") == ([], ["a"], ["bad"]), lambda: f"{left(s, 'in')}")
            check(efsctl(s, "claim", "in", "--once", "--", "true").returncode == 0, "it is not to be had again")


def misuse(root):
    """what is wrong with the arguments, and no sidecar"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        for args, code, word in (
                ((), 64, "needed"), (("in",), 64, "needed"), (("in", "--batch=0", "--", "true"), 64, "--batch"),
                (("in", "--wait=soon", "--", "true"), 64, "--wait"), (("in", "--max-attempts=0", "--", "true"), 1, "max_attempts"),
                (("../in", "--", "true"), 1, "no directory beneath"), (("in", "--match=[", "--", "true"), 1, "match"),
                (("/elsewhere", "--", "true"), 1, "no mount"), (("nowhere", "--", "true"), 1, "nowhere")):
            result = efsctl(s, "claim", *args)
            check(result.returncode == code and word in result.stderr, f"{args}: {result}")
    check(efsctl(s, "claim", "in", "--", "true").returncode == 69, "no sidecar")


def together(root):
    """two tasks with three workers each: every file by exactly one of them"""
    files = [f"f{i:03}" for i in range(120)]
    a = locklib.sidecar(root, name="web-1")
    other = os.path.join(a.root, "other")
    os.makedirs(other)
    b = locklib.sidecar(other, name="web-2", mounts=(a.mounts[0],))
    with a, b:
        wait_locks(a)
        wait_locks(b)
        fill(a, "in", files)
        log = os.path.join(a.root, "log")
        script = f'echo "$EFS_CLAIM_NAME $0" >>{log}; sleep 0.01'
        with Command(a, "claim", "in", "--batch=3", "--wait=1s", "--", "sh", "-c", script, "a") as first, \
                Command(b, "claim", "in", "--batch=3", "--wait=1s", "--", "sh", "-c", script, "b") as second:
            check(first.wait() == 0, first.text())
            check(second.wait() == 0, second.text())
        done = [line.split() for line in lines(log)]
        check(sorted(name for name, _ in done) == files, f"{len(done)} runs for {len(files)} files")
        shares = {task: sum(1 for _, t in done if t == task) for task in "ab"}
        print(f"# shares: {shares}")
        check(min(shares.values()) >= 20, f"{shares}")


def waits_for_files(root):
    """who waits hears of a new file by the feed; SIGTERM ends a worker that waits, and one that works gives its file back uncounted"""
    with locklib.sidecar(root, "--feed-poll=100ms") as s:
        wait_locks(s)
        s.wait_watching()
        os.makedirs(os.path.join(s.mounts[0], "in"))
        log, pids = os.path.join(s.root, "log"), os.path.join(s.root, "pid")
        with Command(s, "claim", "in", "--", "sh", "-c", f"echo $EFS_CLAIM_NAME >>{log}", "sh") as command:
            wait_for(lambda: s.get("/v1/claims")[1]["claimers"] == 1, "it does not wait")
            time.sleep(3)  # until the queue is looked at rarely
            fill(s, "in", ["late"])
            wait_for(lambda: lines(log) == ["late"], lambda: f"{lines(log)}", 9)
            command.signal(signal.SIGTERM)
            check(command.wait() == 143, command.text())
        fill(s, "in", ["work"])
        with Command(s, "claim", "in", "--batch=2", "--", "sh", "-c", f"echo $$ >{pids}; exec sleep 60", "sh") as command:
            pid = read_number(pids)
            command.signal(signal.SIGTERM)
            check(command.wait() == 143, command.text())
            wait_dead([pid])
        wait_for(lambda: left(s, "in") == ([], ["work"], []), lambda: f"{left(s, 'in')}")
        check(efsctl(s, "claim", "in", "--once", "--", "sh", "-c", "exit $EFS_CLAIM_ATTEMPTS", "sh").returncode == 0, "it was counted")


def killed(root):
    """efsctl, guard or command killed: the file goes back, counted, when nobody can work on it any more"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        for victim in "command", "guard", "efsctl":
            pids = os.path.join(s.root, "pid." + victim)
            fill(s, "in", [victim])
            with Command(s, "claim", "in", "--once", "--", "sh", "-c", f"echo $$ >{pids}; exec sleep 60", "sh") as command:
                pid, family = read_number(pids), descendants(command.pid)
                kill({"command": pid, "guard": guard_of(command), "efsctl": command.pid}[victim], signal.SIGKILL)
                command.wait()
                wait_for(lambda v=victim: v in left(s, "in")[1], lambda v=victim: f"{v}: {left(s, 'in')}", 30)
                check(not [p for p in family if locklib.alive(p)], f"{victim}: given back, and somebody still works on it")
        for _ in range(3):
            code = efsctl(s, "claim", "in", "--wait=5s", "--once", "--", "sh", "-c", "exit $((EFS_CLAIM_ATTEMPTS != 1))", "sh").returncode
            check(code == 0, f"{code}")


def sidecar_restarts(root):
    """a worker that waits outlives a sidecar that is started again"""
    s = locklib.sidecar(root)
    with s:
        wait_locks(s)
        os.makedirs(os.path.join(s.mounts[0], "in"))
        log = os.path.join(s.root, "log")
        with Command(s, "claim", "in", "--", "sh", "-c", f"echo $EFS_CLAIM_NAME >>{log}", "sh") as command:
            wait_for(lambda: s.get("/v1/claims")[1]["claimers"] == 1, "it does not wait")
            s.process.kill()
            s.process.wait()
            with locklib.sidecar(s.root) as again:
                wait_locks(again)
                fill(again, "in", ["x"])
                wait_for(lambda: lines(log) == ["x"], command.text, 60)
                check(again.stop() == 0, again.log())
                check(command.wait() == 0, command.text())


if __name__ == "__main__":
    run(each_once, odd_names, failures, misuse, together, waits_for_files, killed, sidecar_restarts)
