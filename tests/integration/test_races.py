#!/usr/bin/env python3
"""Names that lead out of the mount, and names that change while they are used: a directory and a symbolic link to a secret outside take
each other's place some thousand times a second, a parent is moved out of the mount and back, another file system is mounted within it,
/proc has links that no path check sees. Whatever is asked of the API, efs-watch, the reaper and the gate meanwhile, the secret is not
read, listed, written, linked or removed, nothing appears beside it, and no answer tells whether it exists."""
import ctypes
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from cachelib import HOOKS, CacheSidecar
from sidecarlib import PROGRAM, Changes, Connection
from watchlib import BUILD, Scratch, check, die_with_parent, wait_for

SECONDS = 3
SEED = 10
UID, MODE, SIZE = 4242, 0o612, 7919  # of the secret: numbers that are nowhere else
AT_FDCWD, RENAME_EXCHANGE = -100, 2
LIBC = ctypes.CDLL(None, use_errno=True)


class Outside:
    """Beside the mount. Reading or listing it moves a time of access that lies before the one of modification (relatime)."""

    def __init__(self, top):
        self.top = os.path.join(top, "outside")
        self.secret = os.path.join(self.top, "dir/secret")
        self.text = "SECRET-%016x " % random.SystemRandom().getrandbits(64)
        self.paths = [self.top, os.path.join(self.top, "dir"), os.path.join(self.top, "dir/deep"), self.secret,
                      os.path.join(self.top, "dir/deep/secret"), os.path.join(self.top, "dir/f")]
        os.makedirs(self.paths[2])
        for path in self.paths[3:]:
            with open(path, "w", encoding="ascii") as f:
                f.write((self.text * SIZE)[:SIZE])
            os.chmod(path, MODE | 0o444)
            if os.geteuid() == 0:
                os.chown(path, UID, UID)
        for path in self.paths:
            os.utime(path, ns=(10**18, 10**18 + 1000))
        self.told = [self.text.strip(), hashlib.sha256((self.text * SIZE)[:SIZE].encode()).hexdigest(), str(SIZE), str(UID)]
        self.before = self.look()

    def look(self):
        found = {}
        for path in self.paths:
            st = os.lstat(path)
            found[path] = {"inode": st.st_ino, "mode": st.st_mode, "links": st.st_nlink, "owner": st.st_uid, "size": st.st_size,
                           "written": st.st_mtime_ns, "read": st.st_atime_ns}
        return found

    def check(self, what):
        after = self.look()
        for path in self.paths:
            changed = {k: (v, after[path][k]) for k, v in self.before[path].items() if after[path][k] != v}
            check(not changed, f"{what}: {path} outside of the mount was touched: {changed}")

    def check_text(self, what, text):
        for word in self.told:
            check(word not in text, f"{what}: the answer tells of what is outside ({word}): {text[:400]}")

    def check_copies(self, *trees):
        """Nobody has a copy or another name of it."""
        inodes = {self.before[p]["inode"] for p in self.paths}
        for tree in trees:
            for top, _, files in os.walk(tree):
                for name in files:
                    path = os.path.join(top, name)
                    if not os.path.islink(path) and os.path.isfile(path):
                        check(os.stat(path).st_ino not in inodes, f"{path} is a name of the secret")
                        with open(path, "rb") as f:
                            check(self.text.encode() not in f.read(1 << 20), f"{path} has the secret's content")


def write(path, text="inside"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def normal(text, *names):
    for name in names:
        text = text.replace(name, "NAME")
    return text


class Client:
    """What anybody in the task can ask for, on any path."""

    def __init__(self, sidecar):
        self.s, self.n, self.lock = sidecar, 0, threading.Lock()

    def fresh(self):
        with self.lock:
            self.n += 1
            write(self.s.at(f"ok/src{self.n}"))
            return f"ok/src{self.n}", f"ok/out{self.n}"

    def publish(self, source, to, **more):
        return self.s.request("POST", "/v1/publish", json.dumps({"from": source, "to": to, **more}))

    def away(self, path, **more):
        return self.publish(path, self.fresh()[1], **more)

    def into(self, path, **more):
        return self.publish(self.fresh()[0], path, **more)

    def claim(self, path):
        """The first event of a claim in the directory that path is in."""
        connection = Connection(self.s.socket, 20)
        try:
            connection.request("POST", f"/v1/claims?dir={os.path.dirname(path)}&wait_ms=0")
            response = connection.getresponse()
            event = json.loads(response.readline())
            return response.status, {key: event[key] for key in ("event", "message") if key in event}
        finally:
            connection.close()

    def cache(self, what):
        return lambda path: self.s.post(what, paths=[path])

    def changes(self, path):
        with Changes(self.s, "?path=" + path) as stream:
            return 200, {"ready": "ready" in stream.next()}

    def kinds(self):
        return {"publish": self.away, "publish, replacing": lambda p: self.away(p, replace=True),
                "publish with a mode": lambda p: self.away(p, mode="0600"), "publish to": self.into,
                "publish to, replacing": lambda p: self.into(p, replace=True),
                "publish to, with directories": lambda p: self.into(p + ".new/x", mkdir=True), "claim": self.claim,
                "warm": self.cache("warm"), "pin": self.cache("pin"), "evict": self.cache("evict"), "changes": self.changes}


def links_out(s, outside):
    """Symbolic links to the directory outside, and ones to where nothing is; the second of each pair is missing."""
    missing = os.path.join(outside.top, "none")
    pairs = {"absolute": (outside.paths[1], missing), "relative": ("../outside/dir", "../outside/none"),
             "proc": ("/proc/self/root" + outside.paths[1], "/proc/self/root" + missing),
             "cwd": (f"/proc/{s.process.pid}/cwd", "/proc/self/nothing")}
    for name, targets in pairs.items():
        for i, target in enumerate(targets):
            os.symlink(target, s.at(f"{name}{i}"))
    for i, target in enumerate((outside.secret, outside.secret + "-no")):
        os.makedirs(s.at(f"file{i}"), exist_ok=True)
        os.symlink(target, s.at(f"file{i}/secret"))
    return [*pairs, "file"]


def standing_still(s, client, outside):
    """Each request on a link that leads to something and on one that leads nowhere: the same answer."""
    for name in links_out(s, outside):
        for kind, ask in client.kinds().items():
            answers = []
            for i in (0, 1):
                path = f"{name}{i}/secret"
                status, answer = ask(path)
                text = json.dumps(answer)
                outside.check_text(f"{kind} {path}", text)
                outside.check(f"{kind} {path}")
                answers.append((status, normal(text, f"{name}{i}", f"src{client.n}", f"out{client.n}")))
            if name != "file" or kind not in ("publish to", "publish to, replacing", "publish to, with directories"):
                check(answers[0] == answers[1], f"{kind} tells whether the target of {name} exists: {answers}")


def mounted_below(s, client, outside):
    """What is mounted below the mount is another tree, also where it is the same file system."""
    os.mkdir(s.at("mounted"))
    done = subprocess.run(["mount", "--bind", outside.paths[1], s.at("mounted")], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return "; without a mount below the mount, which cannot be made here"
    try:
        for kind, ask in client.kinds().items():
            answers = []
            for path in ("mounted/secret", "mounted/none"):
                status, answer = ask(path)
                answers.append((status, normal(json.dumps(answer), path, f"src{client.n}", f"out{client.n}")))
                outside.check_text(f"{kind} {path}", str(answers[-1]))
                outside.check(f"{kind} {path}")
            check(answers[0] == answers[1], f"{kind} tells what is mounted below the mount: {answers}")
    finally:
        subprocess.run(["umount", "-l", s.at("mounted")], check=True)
    return ""


def swap(a, b):
    LIBC.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE)


def attack(share, aside, ghost):
    """In a process of its own, until it is killed."""
    dice = random.Random(SEED)
    pairs = [("d", "d.link"), ("d/f", "f.link"), ("u/deep", "deep.link"), ("m", "m.link"), (ghost, "ghost.link"),
             (ghost + "/.stage", "stage.link"), ("tasks/.orphans", "orphans.link"), ("old", "old.link")]
    dirs = [os.open(os.path.join(share, name), os.O_PATH | os.O_DIRECTORY) for name in ("d", "d/deep", "u/deep", "m", "p", "p/deep")]
    while True:
        kind = dice.randrange(len(pairs) + 1)
        try:  # what was published or claimed
            os.close(os.open("f", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=dice.choice(dirs)))
        except OSError:
            pass
        if kind < len(pairs):
            a, b = (os.path.join(share, name) for name in pairs[kind])
            swap(a, b)
            time.sleep(dice.random() / 2000)
            swap(a, b)
        else:
            try:
                os.rename(os.path.join(share, "p"), aside)
                time.sleep(dice.random() / 2000)
                os.rename(aside, os.path.join(share, "p"))
            except OSError:
                pass


class Attack:
    """From before the sidecar starts, because the reaper does its work at once."""

    def __init__(self, top, outside, ghost):
        share = os.path.join(top, "share")
        for name in ("d/f", "d/deep/f", "u/deep/f", "m/f", "p/f", "p/deep/f", "old/x"):
            write(os.path.join(share, name))
        for name in ("d.link", "m.link", "deep.link", "ghost.link", "stage.link", "orphans.link", "old.link"):
            os.symlink({"m.link": "/proc/self/root" + outside.paths[1], "deep.link": "../../outside/dir"}.get(name, outside.paths[1]),
                       os.path.join(share, name))
        os.symlink(outside.secret, os.path.join(share, "f.link"))
        self.pid = os.fork()
        if self.pid == 0:
            die_with_parent()
            try:
                attack(share, os.path.join(top, "aside"), ghost)
            finally:
                os._exit(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.pid = None


def gate(s, outside, until):
    while time.monotonic() < until:
        said = subprocess.run([os.path.join(BUILD, "efs-init"), "--allow-local", f"--run-dir={s.root}/gate",
                               f"--require={s.share}/d/secret,{s.share}/d:0:0:0755", f"--create={s.share}/d/new/er,{s.share}/m/new",
                               f"--marker={s.share}/d/f=inside", s.share], capture_output=True, text=True, timeout=30, check=False)
        outside.check_text("efs-init", said.stdout + said.stderr)


def asking(client, outside, seed, until, counts):
    dice = random.Random(seed)
    kinds = client.kinds()
    quick = [kind for kind in kinds if kind != "changes"]  # it answers after 200 ms
    while time.monotonic() < until:
        kind = dice.choice(list(kinds)) if dice.random() < 0.05 else dice.choice(quick)
        path = dice.choice(("d/f", "d/secret", "d/deep/f", "u/deep/f", "u/deep/secret", "m/f", "m/secret", "p/f", "p/deep/f"))
        status, answer = kinds[kind](path)
        outside.check_text(f"{kind} {path}", json.dumps(answer))
        counts[status] = counts.get(status, 0) + 1


def racing(s, client, outside):
    counts, failures = {}, []
    until = time.monotonic() + SECONDS

    def guarded(work, *arguments):
        try:
            work(*arguments)
        except BaseException as error:  # fail() raises SystemExit
            failures.append(error)
    threads = [threading.Thread(target=guarded, args=(asking, client, outside, SEED + i, until, counts)) for i in range(3)]
    threads.append(threading.Thread(target=guarded, args=(gate, s, outside, until)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, f"{failures}")
    check(counts.get(200, 0) > 20 and sum(n for status, n in counts.items() if status >= 400) > 20, f"nothing raced: {counts}")
    return counts


def not_watched(s, outside):
    """efs-watch has no watch outside: what is written there now is not told."""
    with Changes(s) as stream:
        stream.next()
        write(os.path.join(outside.top, "dir/told"))
        write(s.at("after-all"))
        lines = stream.until(lambda line: line.get("path") == "after-all")
    check(not [line for line in lines if str(line.get("path", "")).endswith("told")], f"what is outside is watched: {lines}")


def leave_a_ghost(root, program, env):
    """A task that ended well, so that its directory is an orphan at once."""
    with CacheSidecar(root, "--task-name=ghost", "--orphans-policy=keep", program=program, env=env) as s:
        wait_for(lambda: s.condition("LocksReady")["status"] == "True", "the ghost has no slot")
        wait_for(lambda: os.path.exists(s.at("tasks/ghost/.owner")), "the ghost has no directory")
        write(s.at("tasks/ghost/.stage/left"))
        write(s.at("tasks/ghost/result"))
        check(s.stop() == 0, "exit code")


def main():
    if os.geteuid() == 0 and "RACES_ALONE" not in os.environ:
        alone = ["unshare", "--mount", "--propagation", "private"]
        if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode == 0:
            os.execvpe("unshare", [*alone, sys.executable, *sys.argv], dict(os.environ, RACES_ALONE="1"))
    mutant = sys.argv[1:] == ["--without-beneath"]
    program, env = (HOOKS, {"EFS_SIDECAR_OMIT": "beneath"}) if mutant else (PROGRAM, {})
    with Scratch() as root:
        top = root.decode()
        leave_a_ghost(root, program, env)
        outside = Outside(top)
        options = ("--task-name=living", "--orphans-policy=archive", "--orphans-archive=old", "--publish-mode=0640")
        with Attack(top, outside, "tasks/ghost") as attacker, CacheSidecar(root, *options, program=program, env=env) as s:
            s.wait_watching()
            s.wait_cache()
            client = Client(s)
            standing_still(s, client, outside)
            note = mounted_below(s, client, outside)
            counts = racing(s, client, outside)
            attacker.end()
            outside.check("the races")
            outside.check_copies(s.share, s.cache_dir, s.run_dir)
            outside.check_text("the log", s.log())
            not_watched(s, outside)
        print(f"{sum(counts.values())} requests raced, answered {dict(sorted(counts.items()))}{note}")
    if not mutant and os.path.exists(HOOKS):
        said = subprocess.run([sys.executable, __file__, "--without-beneath"], capture_output=True, text=True, timeout=120, check=False)
        check(said.returncode != 0 and "outside" in said.stdout, f"without RESOLVE_BENEATH nothing is noticed: {said.stdout} {said.stderr}")
        print("without RESOLVE_BENEATH: " + said.stdout.splitlines()[0])


if __name__ == "__main__":
    sys.exit(main())
