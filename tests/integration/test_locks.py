#!/usr/bin/env python3
"""Locks over the API of real sidecars, on a local directory that two tasks share."""
import glob
import os
import resource
import socket
import threading
import time

import locklib
from locklib import Hold, now_ms, target, wait_locks
from sidecarlib import Connection
from watchlib import check, check_size, run, wait_for

NAMES_OVER_TIME = int(os.environ.get("LOCK_NAMES", "1000"))


def pair(root):
    """Two tasks on one share."""
    a = locklib.sidecar(root, name="web-1")
    other = os.path.join(a.root, "other")
    os.makedirs(other)
    return a, locklib.sidecar(other, name="web-2", mounts=(a.mounts[0],))


def files(s):
    return len(os.listdir(f"/proc/{s.process.pid}/fd"))


def lock_files(s):
    return sorted(os.path.basename(p) for p in glob.glob(os.path.join(s.mounts[0], ".efs-sidecar/locks/*/*")))


def lock_path(s, name):
    return glob.glob(os.path.join(s.mounts[0], ".efs-sidecar/locks/*/" + name))[0]


def is_clean(path):
    """What the newer record says."""
    with open(path, "rb") as f:
        records = [f.read(512), f.read(512)]
    newest = max((r for r in records if r[:4] == b"EFSL"), key=lambda r: int.from_bytes(r[8:16], "little"))
    return bool(newest[6] & 1)


def events(root):
    """granted, valid after each proof, released; the list says so meanwhile"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        hold = Hold(s, "deploy/web", purpose="release 7")
        granted = hold.until("granted")
        generation, n = granted["token"].split(".")
        check(int(generation) > 1e9 and n == "1" and len(granted["hold"]) == 16, f"{granted}")
        left_ms = granted["valid_until_ms"] - granted["now_ms"]
        check(7000 < left_ms <= 8000 and abs(granted["now_ms"] - now_ms()) < 2000, f"{granted}")
        first, second = hold.until("valid"), hold.until("valid")
        check(granted["valid_until_ms"] < first["valid_until_ms"] < second["valid_until_ms"], f"{granted} {first} {second}")
        listed = s.get("/v1/locks")[1]
        check(listed["held"] == 1 and listed["waiting"] == 0 and listed["budget"] == 512, f"{listed}")
        lock = listed["locks"][0]
        check(lock["name"] == "deploy/web" and lock["state"] == "held" and lock["held_here"], f"{lock}")
        check(lock["holder"]["task"] == "web-1" and lock["holder"]["purpose"] == "release 7" and
              lock["holder"]["zone"] == "" and lock["holder"]["token"] == granted["token"], f"{lock}")
        check(not is_clean(lock_path(s, "deploy%2Fweb")), "a lock that is held looks as if it were given back")
        check(hold.release() == (200, {"released": True}), "it was not released")
        check(is_clean(lock_path(s, "deploy%2Fweb")), "the record was not clean when the release was answered")
        hold.until("released")
        check(hold.next() is None, "the stream goes on behind its end")
        check(s.get("/v1/locks")[1]["locks"] == [], "a lock that is free is listed")
        check(hold.release()[0] == 404, "released twice")


def tries_and_waits(root):
    """a try ends at once, a wait in its time; who waits hears who has it; tasks exclude each other"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        hold = Hold(a, "x", purpose="nightly")
        hold.until("granted")
        for s in a, b:
            began = time.monotonic()
            check(Hold(s, "x", wait_ms=0).until("timeout") and time.monotonic() - began < 2, "a try took long")
            began = time.monotonic()
            waiter = Hold(s, "x", wait_ms=700)
            word = waiter.until("waiting")
            check(time.monotonic() - began < 0.6, "the first word came late")
            check(word["position"] == 1 and word["holder"]["task"] == "web-1" and word["holder"]["purpose"] == "nightly",
                  f"{word}")
            check(waiter.until("timeout") and 0.6 < time.monotonic() - began < 2.5, f"{time.monotonic() - began}")
        waiter = Hold(b, "x")
        waiter.until("waiting")
        hold.release()
        check(waiter.until("granted")["token"].endswith(".2"), "the token of the next one")
        waiter.release()


def in_order(root):
    """the clients of one task are served first come, first served; and another task has its turn"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        first = Hold(a, "x")
        first.until("granted")
        queue = []
        for i in range(12):
            queue.append(Hold(a, "x"))
            wait_for(lambda n=i: a.get("/v1/locks")[1]["waiting"] == n + 1, "it does not wait", 5)
        other, order = Hold(b, "x"), []
        threads = [threading.Thread(target=lambda i=i, h=h: (h.until("granted"), order.append((i, h)), time.sleep(0.05),
                                                            h.release())) for i, h in [*enumerate(queue), ("other", other)]]
        for t in threads:
            t.start()
        first.release()
        for t in threads:
            t.join(40)
        names = [i for i, _ in order]
        check([i for i in names if i != "other"] == list(range(12)), f"{names}")
        check(names.index("other") < 12, f"the other task came last: {names}")
        tokens = [int(h.granted["token"].split(".")[1]) for _, h in order]
        check(tokens == sorted(set(tokens)), f"{tokens}")


def refusals(root):
    """bad names and values are errors that say why; odd names are locks like others"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        for path, status, word in (
                (target(""), 400, "needs a name"), (target("x" * 201), 400, "200 bytes"), (target("x" * 5000), 400, "200"),
                ("/v1/locks/a/b", 400, "%2F"), ("/v1/locks/%zz", 400, ""), ("/v1/locks/%ff", 400, "UTF-8"),
                ("/v1/locks/a%00b", 400, ""), ("/v1/locks/a%0ab", 400, "control"), (target("ü" * 90), 400, "three times"),
                (target("x", wait_ms="soon"), 400, "wait_ms"), (target("x", wait_ms=-1), 400, "wait_ms"),
                (target("x", once="maybe"), 400, "once"), (target("x", color="red"), 400, "color"),
                (target("x", purpose="p" * 121), 400, "120"), (target("x", mount="/nowhere"), 404, "/nowhere"),
                (target("x", "/release", hold="0" * 16), 404, "nobody"), (target("x", "/release"), 404, ""),
                (target("x", "/release", hold="zz"), 404, ""), (target("x", "/release", hold="0" * 16, exit_status=900), 400, "")):
            got, answer = s.request("POST", path)
            check(got == status and word in answer["message"], f"POST {path[:80]}: {got} {answer}")
        check(s.request("DELETE", target("x"))[0] == 405, "DELETE")
        check(lock_files(s) == [], f"a refused name left a file: {lock_files(s)}")
        names = ["..", ".", "a b", "../../x", "100%", "grüße/日本", "-", "~", "x" * 200, "COM1", "'; rm -rf /"]
        holds = [Hold(s, name) for name in names]
        for hold in holds:
            hold.until("granted")
        check({lock["name"] for lock in s.get("/v1/locks")[1]["locks"]} == set(names), "the list")
        check(len(lock_files(s)) == len(names) and all("/" not in f and f not in (".", "..") for f in lock_files(s)), "files")
        for hold in holds:
            hold.release()
    with locklib.sidecar(os.path.join(s.root, "observe"), "--profile=observe") as s:
        check(s.request("POST", target("x"))[0] == 404, "locks in the profile observe")


def bare_close(root):
    """after a close without a word, and after half a close, the lock is kept until its time is up"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        closed, half = Hold(a, "closed"), Hold(a, "half")
        until_ms = [h.until("granted")["valid_until_ms"] for h in (closed, half)]
        closed.close()
        half.response.fp.raw._sock.shutdown(socket.SHUT_WR)  # http.client has no other way
        check(Hold(b, "closed", wait_ms=1000).until("timeout"), "")
        waiters = [Hold(b, "closed"), Hold(b, "half")]
        for waiter, valid_ms in zip(waiters, until_ms):
            waiter.until("granted")
            check(now_ms() >= valid_ms, f"granted {valid_ms - now_ms()} ms before the time was up")
            check(waiter.granted["token"].endswith(".2"), f"{waiter.granted}")
            waiter.release()
        late = Hold(a, "late")
        late.until("granted")
        late.close()
        time.sleep(0.5)
        check(late.release() == (200, {"released": False, "accepted": True}), "a late word is not taken")
        check(Hold(b, "late", wait_ms=2000).until("granted"), "it was not given back on a late word")


def unclean(root):
    """a killed sidecar's locks: others wait for the fence, tries heal it, tokens grow"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        for name in "x", "y":
            Hold(a, name).until("granted")
        a.process.kill()
        a.process.wait()
        killed = time.monotonic()
        # Nobody waits for long enough: the lock has to be had in the end all the same.
        check(Hold(b, "y", wait_ms=0).until("timeout"), "")
        waiter = Hold(b, "x")
        wait_for(lambda: {lock["state"] for lock in b.get("/v1/locks")[1]["locks"]} == {"fencing"}, "it is not fenced", 10)
        granted = waiter.until("granted")
        waited = time.monotonic() - killed
        check(waited >= locklib.FENCE_S - 0.1, f"granted {waited:.1f} s after the holder was killed")
        check(waited < locklib.FENCE_S + 5, f"only granted {waited:.1f} s after the holder was killed")
        check(granted["token"].endswith(".2"), f"{granted}")
        waiter.release()
        wait_for(lambda: is_clean(lock_path(b, "y")), "nobody healed y", 10)
        check(Hold(b, "y", wait_ms=0).until("granted"), "a try on a healed lock")


def trouble(root):
    """a lock's file is removed or damaged: lost, or an error that names it; a torn record is none"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        hold = Hold(s, "x")
        hold.until("granted")
        os.unlink(lock_path(s, "x"))
        lost = hold.until("lost")
        check("removed" in lost["reason"], f"{lost}")
        status, answer = hold.release()
        check(status == 410 and "lost" in answer["message"], f"{status} {answer}")
        hold.until("released")
        again = Hold(s, "x")
        again.until("granted")
        again.release()
        os.unlink(lock_path(s, "x"))  # while it is only kept open
        again = Hold(s, "x")
        again.until("granted")
        check(os.path.exists(lock_path(s, "x")), "granted on a file that nobody else sees")
        again.release()
        path = lock_path(s, "x")
        for at, works in ((1, True), (0, False)):  # of the two, the newer is that of the release
            with open(path, "r+b") as f:
                serials = [int.from_bytes(f.read(512)[8:16], "little") for _ in range(2)]
                f.seek(512 * (serials.index(max(serials)) if works else serials.index(min(serials))) + 100)
                f.write(b"torn")
            stream = Hold(s, "x", wait_ms=15000)
            line = stream.until("granted" if works else "error")
            if works:
                stream.release()
                with open(path, "r+b") as f:
                    f.seek(100)
                    f.write(b"torn")
                    f.seek(612)
                    f.write(b"torn")
            else:
                check("damaged" in line["message"] and "locks/" in line["message"], f"{line}")


def many_waiters(root):
    """more waiters than there can be: refused, and questions are still answered"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        hold = Hold(s, "x")
        hold.until("granted")
        before, rss = files(s), s.rss_kib()
        connections, refused = [], 0
        for i in range(1100):
            connection = Connection(s.socket, 20)
            connection.request("POST", target("x" if i % 2 else "y" if i % 3 else f"z{i}"))
            response = connection.getresponse()
            if response.status != 200:
                check(response.status == 429, f"{response.status}")
                refused += 1
                connection.close()
            else:
                connections.append(response)
        check(700 < len(connections) < 768, f"{refused} refused, {len(connections)} wait")  # HTTP_USER_STREAMS_MAX
        check(s.health_ms() < 500, "health does not answer")
        check(hold.release()[0] == 200, "a release finds no place")
        for connection in connections:
            connection.close()
        wait_for(lambda: s.get("/v1/locks")[1]["waiting"] == 0, "waiters that left are still there", 20)
        check_size(s.rss_kib() < rss + 24 * 1024, f"{rss} KiB became {s.rss_kib()}")
        wait_for(lambda: files(s) < before + 300, lambda: f"{before} files, now {files(s)}", 20)


def few_files(root):
    """a limit on open files is raised as far as it can be; where it ends there is an error with words"""
    with locklib.sidecar(root, "--lock-max=200") as s:
        resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE, (250, 250))
        wait_locks(s)
        holds, line = [], None
        while not line or line["event"] == "granted":
            check(len(holds) < 200, "there is no limit")
            holds.append(Hold(s, f"n{len(holds)}"))
            line = holds[-1].next()
        check(len(holds) > 50 and line["event"] == "error" and "nofile" in line["message"], f"{len(holds)}: {line}")
        for hold in holds:
            hold.close()
        wait_for(lambda: s.health_ms() < 500, "health does not answer")


def many_locks(root):
    """300 locks at once; a budget with words; many names over time cost neither memory nor files"""
    with locklib.sidecar(root, "--lock-max=300") as s:
        wait_locks(s)
        holds = [Hold(s, f"n{i}") for i in range(300)]
        for hold in holds:
            hold.until("granted")
        check(s.get("/v1/locks")[1]["held"] == 300, "300 are not held")
        check(s.health_ms() < 500, "health is late")
        status, answer = s.request("POST", target("more"))
        check(status == 429 and "lock.max" in answer["message"], f"{status} {answer}")
        holds[0].until("valid")
        for hold in holds:
            check(hold.release() == (200, {"released": True}), "release")
            hold.close()
        rss, names = s.rss_kib(), iter(range(NAMES_OVER_TIME))

        def client():
            for i in names:
                hold = Hold(s, f"over/time/{i}")
                hold.until("granted")
                hold.release()
                hold.close()

        threads = [threading.Thread(target=client) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(170)
        check(len(lock_files(s)) == 300 + NAMES_OVER_TIME, f"{len(lock_files(s))} names were locked")
        check_size(s.rss_kib() < rss + 4096, f"{rss} KiB became {s.rss_kib()}")
        check(files(s) < 300 + 120, f"{files(s)} files are open")


def stopping(root):
    """SIGTERM: a lock is kept until its client leaves; one that stays is left unclean when the time is up"""
    for leaves in True, False:
        with locklib.sidecar(os.path.join(root.decode(), str(leaves)), "--stop-timeout=10s") as s:
            wait_locks(s)
            hold = Hold(s, "x")
            hold.until("granted")
            waiter = Hold(s, "x")
            waiter.until("waiting")
            began = time.monotonic()
            s.process.terminate()
            check("stopping" in waiter.until("error")["message"], "a waiter at the end")
            time.sleep(1.5)
            check(s.process.poll() is None, "it did not wait for its lock's client")
            check(s.request("POST", target("y"))[0] == 409, "a lock was granted at the end")
            if leaves:
                check(hold.release() == (200, {"released": True}), "release at the end")
            check(s.process.wait(20) == 0, "exit code")
            took = time.monotonic() - began
            check(took < (5 if leaves else 9.5), f"the end took {took:.1f} s")
            check(is_clean(lock_path(s, "x")) == leaves, "the record at the end")


def looks(root):
    """what the file of a lock says, also of one that only another task has; counts in the status"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        status, seen = b.get(target("deploy/web"))
        check(status == 200 and seen["record"] is None and not seen["taken"] and seen["mount"] == b.mounts[0], f"{status} {seen}")
        check(lock_files(b) == [], "a look made a file")
        hold = Hold(a, "deploy/web", purpose="release 7")
        hold.until("granted")
        seen = b.get(target("deploy/web"))[1]
        check(seen["taken"] and os.path.exists(os.path.join(b.mounts[0], ".efs-sidecar", seen["file"])), f"{seen}")
        check(seen["record"]["task"] == "web-1" and seen["record"]["purpose"] == "release 7" and not seen["record"]["clean"] and
              seen["record"]["token"] == hold.granted["token"] and seen["record"]["fence_ms"] == 10000, f"{seen}")
        waiter = Hold(b, "deploy/web")
        waiter.until("waiting")
        for s, counts in (a, {"held": 1, "waiting": 0}), (b, {"held": 0, "waiting": 1}):
            check(s.status()["mounts"][0]["locks"] == counts, f"{s.status()['mounts'][0]['locks']}")
        hold.release(done=1)
        waiter.until("granted")
        waiter.release(done=1)
        seen = a.get(target("deploy/web"))[1]
        check(not seen["taken"] and seen["record"]["clean"] and seen["record"]["done"], f"{seen}")
        for path, code in (target("x" * 201), 400), (target("x", mount="/nowhere"), 404), (target("x", color="red"), 400), \
                (target("x", "/release", hold="0" * 16), 405):
            check(a.get(path)[0] == code, f"{path}: {a.get(path)}")


def once(root):
    """once: a success is for all, a failure frees the key; done waits for its record"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        first = Hold(a, "job", once=1)
        first.until("granted")
        second = Hold(b, "job", once=1)
        first.release(done=0, exit_status=9)
        second.until("granted")
        third = Hold(a, "job", once=1)
        second.release(done=1, exit_status=0)
        check(third.until("done")["exit_status"] == 0 and third.next() is None, "done")
        check(Hold(b, "job", once=1).until("done"), "done for ever")


if __name__ == "__main__":
    run(events, tries_and_waits, in_order, refusals, bare_close, unclean, trouble, many_waiters, few_files, many_locks, stopping, looks, once)
