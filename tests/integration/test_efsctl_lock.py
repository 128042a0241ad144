#!/usr/bin/env python3
"""efsctl lock, once, lead and locks with real sidecars; what holds when any of their processes is killed or stopped."""
import glob
import json
import os
import pty
import signal
import subprocess
import sys
import time

import locklib
from locklib import Command, Hold, alive, descendants, efsctl, guard_of, kill, now_ms, read_number, stamps, wait_dead, wait_locks
from watchlib import check, run, wait_for

PYTHON = [sys.executable, "-S", "-c"]
STAMP = [*PYTHON, locklib.STAMP]
VALID_MS = 8000  # lease.fence without its margin

# Starts STAMP in a new session from a thread that lives on, and once more in the background of a shell; waits.
FAMILY = ("import subprocess,sys,threading,time\n"
          "def far():\n"
          "    subprocess.Popen([sys.executable,'-S','-c',sys.argv[1],sys.argv[2]+'.far'],start_new_session=True)\n"
          "    time.sleep(1000)\n"
          "threading.Thread(target=far,daemon=True).start()\n"
          "subprocess.Popen(['sh','-c','\"$0\" -S -c \"$1\" \"$2.near\" & wait',sys.executable,*sys.argv[1:]])\n"
          "time.sleep(1000)\n")


def pair(root):
    a = locklib.sidecar(root, name="web-1")
    other = os.path.join(a.root, "other")
    os.makedirs(other)
    return a, locklib.sidecar(other, name="web-2", mounts=(a.mounts[0],))


def path_in(s, name):
    return os.path.join(s.root, name)


def lock_path(s, name):
    return glob.glob(os.path.join(s.mounts[0], ".efs-sidecar/locks/*/" + name))[0]


def exit_codes(root):
    """the command's own code; 75 not obtained, 69 no sidecar, 64 misuse, 126 and 127 as in a shell"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        for args, code, word in (
                (("true",), 0, ""), (("sh", "-c", "exit 7"), 7, ""), (("sh", "-c", "kill -9 $$"), 137, ""),
                (("sh", "-c", "kill $$"), 143, ""), (("/nowhere/x",), 127, "cannot run /nowhere/x"),
                (("/etc/passwd",), 126, "cannot run /etc/passwd")):
            result = efsctl(s, "lock", "x", "--", *args)
            check(result.returncode == code and word in result.stderr, f"{args}: {result.returncode} {result.stderr}")
        hold = Hold(s, "x")
        hold.until("granted")
        for option in "--try", "--wait=300ms":
            result = efsctl(s, "lock", "x", option, "--", "true")
            check(result.returncode == 75 and "somebody else has it" in result.stderr, f"{option}: {result}")
        for args, code in ((), 64), (("x",), 64), (("x", "--"), 64), (("--try", "--wait=1", "x", "--", "true"), 64), \
                (("--wait=soon", "x", "--", "true"), 64), (("--on-lost=cry", "x", "--", "true"), 64), \
                (("n" * 300, "--", "true"), 1), (("--mount=/nowhere", "x", "--", "true"), 1):
            result = efsctl(s, "lock", *args)
            check(result.returncode == code and result.stderr.startswith("efsctl: "), f"{args}: {result}")
    result = efsctl(s, "lock", "x", "--", "true")
    check(result.returncode == 69 and result.stderr.count("\n") == 1, f"{result}")


def what_is_seen(root):
    """the command sees name and token; who waits sees who has it and why; the list shows both"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        result = efsctl(a, "lock", "größe/1", "--", "sh", "-c", "echo $EFS_LOCK_NAME $EFS_LOCK_TOKEN; cat; ls /proc/self/fd | wc -l")
        name, token, n = result.stdout.split()
        check(name == "größe/1" and token.endswith(".1") and int(n) <= 5, f"{result}")
        with Command(a, "lock", "--purpose=nightly load", "x", "--", "sleep", "30") as first:
            guard_of(first)
            with Command(b, "lock", "x", "--", "true") as second:
                second.wait_text("waiting for lock x, which task web-1 has since 20").wait_text('for "nightly load"\n')
                check(second.text().count("waiting") == 1, second.text())
                for s, state in (a, "held"), (b, "waiting"):
                    listed = efsctl(s, "locks").stdout
                    check("x " in listed and state in listed and "web-1" in listed, listed)
                check(json.loads(efsctl(a, "locks", "--json").stdout)["held"] == 1, "--json")
                check("1 held, 0 waiting" in efsctl(a, "status").stdout, "status")
                looked = efsctl(b, "locks", "x").stdout
                check("held" in looked and "web-1" in looked and "nightly load" in looked, looked)
                first.signal(signal.SIGTERM)
                check(first.wait() == 143, first.text())
                check(second.wait() == 0, second.text())


def signals(root):
    """signals reach the command; a terminal's ^C only once; who waits ends by them; nohup stays"""
    script = ("import signal,time,os\nn=[]\n"
              "for s in (2,10,15): signal.signal(s,lambda s,f:n.append(s))\n"
              "open({0!r},'w').write('1')\nend=time.time()+{1}\n"
              "while time.time()<end: time.sleep(0.05)\n"
              "open({0!r}+'.got','w').write(repr(n))\n")
    with locklib.sidecar(root) as s:
        wait_locks(s)
        ready = path_in(s, "ready")
        with Command(s, "lock", "x", "--", *PYTHON, script.format(ready, 1.5)) as command:
            read_number(ready)
            with Command(s, "lock", "x", "--", "true") as waiter:
                waiter.wait_text("waiting")
                waiter.signal(signal.SIGTERM)
                check(waiter.wait() == 143, waiter.text())
            for number in signal.SIGUSR1, signal.SIGTERM:
                command.signal(number)
                time.sleep(0.1)
            check(command.wait() == 0, command.text())
        with open(ready + ".got", encoding="ascii") as file:
            check(file.read() == "[10, 15]", "signals that were forwarded")
        os.unlink(ready)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(locklib.EFSCTL, ["efsctl", "lock", "x", "--", *PYTHON, script.format(ready, 1.0)], locklib.environment(s))
        read_number(ready)
        os.write(terminal, b"\x03")
        wait_for(lambda: os.path.exists(ready + ".got") and os.waitpid(pid, os.WNOHANG)[0] == pid, "the terminal's command", 20)
        os.close(terminal)
        with open(ready + ".got", encoding="ascii") as file:
            check(file.read() == "[2]", "^C at a terminal")
        result = subprocess.run(["nohup", locklib.EFSCTL, "lock", "x", "--", "grep", "SigIgn", "/proc/self/status"],
                                env=locklib.environment(s), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        check(int(result.stdout.split()[1], 16) & 1, f"nohup is undone: {result.stdout}")


def background(root):
    """what the command leaves behind keeps the lock, and gets the signals then"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        pid_path = path_in(s, "pid")
        with Command(s, "lock", "x", "--", "sh", "-c", f"setsid sleep 60 & echo $! >{pid_path}; exit 3") as command:
            child = read_number(pid_path)
            command.wait_text("still run")
            check(efsctl(s, "lock", "--try", "x", "--", "true").returncode == 75, "the lock was given up")
            command.signal(signal.SIGTERM)
            check(command.wait() == 3 and not alive(child), command.text())
        check(efsctl(s, "lock", "--try", "x", "--", "true").returncode == 0, "not given back")


def once(root):
    """once: of many runs on two tasks one does it, the others wait for that; a failure frees the key"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        log = path_in(a, "log")
        check(efsctl(a, "once", "k/1", "--", "sh", "-c", f"echo failed >>{log}; exit 4").returncode == 4, "its own code")
        check(efsctl(a, "once", "k/1", "--", "/nowhere/x").returncode == 127, "127")
        commands = [Command(s, "once", "k/1", "--", "sh", "-c", f"echo began >>{log}; sleep 0.5; echo ended >>{log}")
                    for s in (a, b) * 6]
        for command in commands:
            check(command.wait() == 0, command.text())
            with open(log, encoding="ascii") as file:
                check(file.read() == "failed\nbegan\nended\n", "it was done before, or twice")
        check("done before" in efsctl(b, "once", "k/1", "--", "false").stderr, "no word")
        check("done" in efsctl(b, "locks", "once/k/1").stdout.splitlines()[0], "the list's word")
        check(efsctl(b, "once", "--again", "k/1", "--", "false").returncode == 1, "not again")
        check(efsctl(b, "once", "k/1", "--", "sh", "-c", "exit 3").returncode == 3, "a key whose second run failed is not free")
        check(efsctl(b, "once", "--again", "k/1", "--", "true").returncode == 0, "not again")
        check("done before" in efsctl(a, "once", "k/1", "--", "false").stderr, "no word")
        check("never granted" in efsctl(a, "locks", "other").stdout, "a lock that nobody had")


def other_clock(root):
    """a container in a time namespace cannot know when its time is up: refused, and nothing is done"""
    other = ["unshare", "--map-root-user", "--time", "--boottime", "100000"]
    if subprocess.run([*other, "true"], capture_output=True, check=False).returncode != 0:
        print("# no time namespaces here")
        return
    with locklib.sidecar(root) as s:
        wait_locks(s)
        result = subprocess.run([*other, locklib.EFSCTL, "once", "k", "--", "echo", "ran"], env=locklib.environment(s),
                                capture_output=True, text=True, check=False)
        check(result.returncode == 1 and "clock" in result.stderr and not result.stdout, f"{result}")
        check(efsctl(s, "once", "--try", "k", "--", "echo", "ran").stdout == "ran\n", "it counts as done, or is still held")


def lead(root):
    """lead: runs again after a loss, ends with the command"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        log = path_in(s, "log")
        script = f"echo $EFS_LOCK_TOKEN >>{log}; [ -e {log}.end ] || exec sleep 60; exit 5"
        with Command(s, "lead", "x", "--", "sh", "-c", script) as leader:
            wait_for(lambda: os.path.exists(log), "it does not lead", 10)
            with open(log + ".end", "w", encoding="ascii"):
                os.unlink(lock_path(s, "x"))
            check(leader.wait() == 5, leader.text())
            with open(log, encoding="ascii") as file:
                check(len(file.readlines()) == 2, "it did not lead twice")


def on_lost(root):
    """a lost lock: term lets it end well, kill does not, ignore lets it run on"""
    script = "trap 'echo term >{0}; exit 0' TERM; echo 1 >{0}.ready; n=0; while [ $n -lt {1} ]; do sleep 0.1; n=$((n+1)); done; echo end >{0}; exit 9"
    with locklib.sidecar(root) as s:
        wait_locks(s)
        for how, code, word, ticks in ("term", 76, "term", 300), ("kill", 76, None, 300), ("ignore", 9, "end", 30):
            out = path_in(s, how)
            with Command(s, "lock", "--on-lost=" + how, how, "--", "sh", "-c", script.format(out, ticks)) as command:
                read_number(out + ".ready")
                os.unlink(lock_path(s, how))
                check(command.wait() == code, f"{how}: {command.text()}")
                check("removed" in command.text(), command.text())
            got = None
            if os.path.exists(out):
                with open(out, encoding="ascii") as file:
                    got = file.read().strip()
            check(got == word, f"{how}: {got}")


def fork_bomb(root):
    """a few hundred processes that ignore SIGTERM and fork go on are gone in time"""
    script = ("import os,signal,time,sys\nsignal.signal(15,signal.SIG_IGN)\n"
              "for i in range(8):\n    if os.fork() == 0 and i % 3 == 0: os.setsid()\n"
              "while True:\n"
              "    open(sys.argv[1],'a').write('%d\\n'%(time.clock_gettime(time.CLOCK_BOOTTIME)*1000))\n    time.sleep(0.2)\n")
    with locklib.sidecar(root) as s:
        wait_locks(s)
        out = path_in(s, "out")
        with Command(s, "lock", "x", "--", *PYTHON, script, out) as command:
            wait_for(lambda: len(descendants(command.pid)) >= 257, lambda: f"{len(descendants(command.pid))}", 30)
            family = descendants(command.pid)
            os.unlink(lock_path(s, "x"))
            check(command.wait() == 76, command.text())
            check(not [p for p in family if alive(p)], "some are left")
        late = max(stamps(out)) - now_ms()
        check(late <= 0, f"{late}")


def begin_family(a, *options):
    """A command whose family is spread over sessions and threads, and the files where it stamps."""
    out = path_in(a, f"out{len(os.listdir(a.root))}")
    command = Command(a, "lock", *options, "x", "--", *PYTHON, FAMILY, locklib.STAMP, out)
    for end in ".near", ".far":
        read_number(out + end)
    return command, [out + ".near", out + ".far"]


def check_end(b, waiter, outs, limit_ms, what):
    """Nobody ran when b was granted the lock, nor after limit_ms."""
    granted_ms = 0
    waiter.until("granted")
    granted_ms = now_ms()
    time.sleep(0.2)
    last_ms = max(stamps(o)[-1] for o in outs)
    check(last_ms < granted_ms, f"{what}: ran {last_ms - granted_ms:.0f} ms beside the next holder")
    check(last_ms <= limit_ms, f"{what}: ran {last_ms - limit_ms:.0f} ms after its time")
    waiter.release()


def broken(root):
    """whoever is killed or stopped: never two that run, and none beyond its time"""
    for victim in "efsctl killed", "efsctl stopped", "guard killed", "guard stopped", "sidecar stopped", "sidecar killed":
        directory = os.path.join(root.decode(), victim.split()[0] + victim.split()[1])
        os.makedirs(directory)
        a, b = pair(directory)
        with a, b:
            wait_locks(a)
            wait_locks(b)
            command, outs = begin_family(a)
            with command:
                waiter = Hold(b, "x", timeout=60)
                pids, guard = descendants(command.pid), guard_of(command)
                who, how = victim.split()
                number = signal.SIGKILL if how == "killed" else signal.SIGSTOP
                kill({"efsctl": command.pid, "guard": guard, "sidecar": a.process.pid}[who], number)
                limit_ms = now_ms() + VALID_MS + 100
                if victim == "guard stopped":  # efsctl ends it, half a second after its time
                    kill(a.process.pid, signal.SIGKILL)
                    limit_ms += 500
                if victim == "guard killed":
                    check(command.wait() == 76 and "guard was killed" in command.text(), command.text())
                    limit_ms = now_ms()
                wait_dead([p for p in pids if p != guard], 15)
                if victim == "efsctl stopped":
                    command.signal(signal.SIGCONT)
                    check(command.wait() == 76, command.text())
                if victim == "sidecar stopped":
                    time.sleep(0.5)
                    kill(a.process.pid, signal.SIGCONT)
                if who == "sidecar" or victim == "guard stopped":
                    check(command.wait(60) == 76, command.text())
                check_end(b, waiter, outs, limit_ms, victim)


if __name__ == "__main__":
    run(exit_codes, what_is_seen, signals, background, once, other_clock, lead, on_lost, fork_bomb, broken)
