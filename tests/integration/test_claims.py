#!/usr/bin/env python3
"""Claims over the API of real sidecars, on a local directory that two tasks share."""
import os
import signal
import socket
import time

import locklib
from claimlib import Claimer, claims_on_share, fill, finish, left
from locklib import now_ms, wait_locks
from sidecarlib import Connection
from watchlib import check, run, wait_for

FENCE_S, MARGIN_S = locklib.FENCE_S, locklib.MARGIN_S


def pair(root):
    a = locklib.sidecar(root, name="web-1")
    other = os.path.join(a.root, "other")
    os.makedirs(other)
    return a, locklib.sidecar(other, name="web-2", mounts=(a.mounts[0],))


def events(root):
    """claimed, valid after each proof, done; where the file lies meanwhile; the list says so"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        fill(s, "in", ["a"])
        c = Claimer(s, "in")
        line = c.claimed()
        check(line["name"] == "a" and line["queue"] == "in" and line["attempts"] == 0 and len(line["id"]) == 16, f"{line}")
        left_ms = line["valid_until_ms"] - line["now_ms"]
        check(6000 < left_ms <= 8000 and abs(line["now_ms"] - now_ms()) < 2000, f"{line}")
        check(line["path"].startswith("tasks/web-1/.claims/") and line["path"].endswith("/a"), f"{line}")
        first, second = c.until("valid"), c.until("valid")
        check(line["valid_until_ms"] <= first["valid_until_ms"] < second["valid_until_ms"], f"{first} {second}")
        listed = s.get("/v1/claims")[1]
        check(listed["held"] == 1 and listed["claimers"] == 1 and not listed["draining"], f"{listed}")
        check(listed["claims"][0]["id"] == line["id"] and listed["claims"][0]["path"] == line["path"], f"{listed}")
        check(s.status()["mounts"][0]["claims"] == {"held": 1, "claimers": 1}, "status")
        check(len([p for p in claims_on_share(s) if p.endswith("/a")]) == 1, f"{claims_on_share(s)}")
        check(c.finish() == (200, {"result": "done"}), "not done")
        check(c.finish()[0] == 410 and finish(s, "0123456789abcdef")[0] == 410, "done twice")
        check(left(s, "in") == ([], [], []) and not [p for p in claims_on_share(s) if p.endswith("/a")], "something is left")
        c.until("waiting")
        c.close()
        wait_for(lambda: s.get("/v1/claims")[1]["claimers"] == 0, "the client is not forgotten")
        check(s.stop() == 0 and os.listdir(os.path.join(s.mounts[0], "tasks/web-1/.claims")) == [], "the directory of claims is left")


def batches(root):
    """as many at once as wanted, in all as many as wanted; the next one comes when one is ended"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        fill(s, "in", [f"{i:02}" for i in range(20)])
        c = Claimer(s, "in", batch=3, limit=5)
        lines = [c.claimed() for _ in range(3)]
        check([x["name"] for x in lines] == ["00", "01", "02"], f"{lines}")
        time.sleep(0.3)
        check(s.get("/v1/claims")[1]["held"] == 3, "more than wanted")
        check(c.finish("release", lines[1]) == (200, {"result": "returned"}), "not released")
        fourth = c.claimed()
        check(c.finish("done", lines[0])[0] == 200, "not done")
        fifth = c.claimed()
        for line in lines[2], fourth, fifth:
            check(c.finish("done", line)[0] == 200, "not done")
        c.until("finished")
        check(c.next() is None, "the stream goes on behind its end")
        names, retry, dead = left(s, "in")
        check(len(names) + len(retry) == 16 and dead == [], f"{names} {retry} {dead}")


def counted(root):
    """a failure counts and rests, a release does not; after so many it is dead; the count goes with the file"""
    with locklib.sidecar(root, "--claim-max-attempts=2") as s:
        wait_locks(s)
        fill(s, "in", ["a"])
        c = Claimer(s, "in")
        for word, attempts in ("release", 0), ("failed", 0), ("release", 1):
            line = c.claimed()
            check(line["attempts"] == attempts, f"{word}: {line}")
            check(c.finish(word) == (200, {"result": "returned"}), word)
        check(c.claimed()["attempts"] == 1, "it was forgotten")
        check(c.finish("failed") == (200, {"result": "dead"}), "not dead")
        check(left(s, "in") == ([], [], ["a"]), f"{left(s, 'in')}")
        shown = s.get("/metrics")[1]
        for name, n in ("efs_sidecar_claimed_total", 4), ("efs_sidecar_dead_letters_total", 1):
            wait_for(lambda name=name, n=n: any(x.startswith(name + "{") and float(x.split()[-1]) == n
                                                for x in s.get("/metrics")[1].splitlines()), f"{name}: {shown}", 10)


def same_name(root):
    """a second file of the name of one that is claimed waits for that, and replaces nothing"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        fill(s, "in", ["a"], b"first")
        one = Claimer(s, "in")
        first = one.claimed()
        fill(s, "in", ["a", "b"], b"second")
        two = Claimer(s, "in", batch=2)
        check(two.claimed()["name"] == "b", "another one was expected")
        with open(os.path.join(s.mounts[0], first["path"]), "rb") as file:
            check(file.read() == b"first", "it was replaced")
        check(one.finish()[0] == 200, "not done")
        line = two.claimed() if one.sidecar.get("/v1/claims")[1]["held"] < 2 else None
        line = line or one.claimed()
        with open(os.path.join(s.mounts[0], line["path"]), "rb") as file:
            check(line["name"] == "a" and file.read() == b"second", f"{line}")


def exclusive(root):
    """two tasks that want the same 200 files: each has its own, together all"""
    a, b = pair(root)
    files = [f"{i:03}" for i in range(200)]
    with a, b:
        wait_locks(a)
        wait_locks(b)
        fill(a, "in", files)
        claimers, names = [Claimer(a, "in", batch=4, wait_ms=500), Claimer(b, "in", batch=4, wait_ms=500)], ([], [])
        ended = [False, False]
        while not all(ended):
            for i, c in enumerate(claimers):
                if ended[i]:
                    continue
                line = c.until("claimed", "timeout")
                ended[i] = line["event"] == "timeout"
                if not ended[i]:
                    names[i].append(line["name"])
                    check(c.finish("done", line)[0] == 200, f"{line}")
        check(sorted(names[0] + names[1]) == files, f"{len(names[0])} and {len(names[1])}")
        check(min(len(n) for n in names) > 20, f"{len(names[0])} and {len(names[1])}")


def left_alone(root):
    """what a client that just left had is kept until its time is up, and counts as failed"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        fill(s, "in", ["a"])
        c = Claimer(s, "in")
        line = c.claimed()
        c.close()
        until_ms = line["valid_until_ms"] + MARGIN_S * 1000
        wait_for(lambda: s.get("/v1/claims")[1]["claims"][0]["abandoned"], "it does not count as left")
        d = Claimer(s, "in")
        again = d.claimed()
        check(again["attempts"] == 1 and now_ms() >= until_ms, f"{now_ms() - until_ms:.0f} ms: {again}")
        d.close()  # its word may come later than its end
        wait_for(lambda: s.get("/v1/claims")[1]["claims"][0]["abandoned"], "it does not count as left")
        check(d.finish() == (200, {"result": "done"}), "its word does not count")


def restart(root):
    """SIGKILL of the sidecar: another task, or the next one of this, has the file after the fence and not before"""
    a, b = pair(root)
    with a, b:
        wait_locks(a)
        wait_locks(b)
        fill(a, "in", ["a"])
        claimed = Claimer(a, "in").claimed()
        waiter = Claimer(b, "in", timeout=90)
        waiter.until("waiting")
        a.process.kill()
        a.process.wait()
        began_ms = now_ms()
        with locklib.sidecar(a.root, name="web-1") as again:
            line = waiter.claimed()
            took_s = (now_ms() - began_ms) / 1000
            check(line["name"] == "a" and line["attempts"] == 1, f"{line}")
            check(took_s >= FENCE_S and now_ms() > claimed["valid_until_ms"] + MARGIN_S * 1000, f"{took_s} s")
            print(f"# had by the other task {took_s:.1f} s after the death, the fence being {FENCE_S} s")
            check(waiter.finish()[0] == 200, "not done")
            wait_for(lambda: not [p for p in claims_on_share(again) if p.startswith("web-1/")], lambda: f"{claims_on_share(again)}", 30)
            check("can be claimed again" in again.log(), again.log())


def lost(root):
    """a slot that is lost: the client hears of it at once, its word comes too late"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        fill(s, "in", ["a"])
        c = Claimer(s, "in", timeout=60)
        line = c.claimed()
        os.unlink(os.path.join(s.mounts[0], ".efs-sidecar/board"))
        said = c.until("lost")
        check(said["reason"], f"{said}")
        check(c.next() is None, "the stream goes on behind its end")
        check(finish(s, line["id"])[0] == 410, "its word counts")


def drained(root):
    """SIGTERM: nothing new, what is held may be finished, then the sidecar ends; its directory of claims is gone"""
    with locklib.sidecar(root, "--stop-timeout=60s") as s:
        wait_locks(s)
        fill(s, "in", ["a", "b"])
        busy, idle = Claimer(s, "in"), Claimer(s, "empty")
        os.makedirs(os.path.join(s.mounts[0], "empty"), exist_ok=True)
        line = busy.claimed()
        s.process.send_signal(signal.SIGTERM)
        busy.until("draining")
        check(s.request("POST", "/v1/claims?dir=in")[0] == 409, "a new client is served")
        time.sleep(1)
        check(s.process.poll() is None and s.get("/v1/claims")[1]["draining"], "it did not wait")
        check(busy.finish("done", line)[0] == 200, "not done")
        busy.until("drained")
        check(s.process.wait(30) == 0, s.log())
        check(left(s, "in") == (["b"], [], []) and not claims_on_share(s), f"{left(s, 'in')} {claims_on_share(s)}")
        idle.close()


def refused(root):
    """what cannot be, and what is not there"""
    with locklib.sidecar(root) as s:
        wait_locks(s)
        fill(s, "in", [])
        for query, code, word in (
                ("", 400, "dir"), ("dir=", 400, "dir"), ("dir=../in", 400, "beneath"), ("dir=in/../in", 400, "beneath"),
                ("dir=in&batch=0", 400, "batch"), ("dir=in&batch=65", 400, "batch"), ("dir=in&wait_ms=x", 400, "wait_ms"),
                ("dir=in&match=%5B", 400, "pattern"), ("dir=in&max_attempts=0", 400, "max_attempts"),
                ("dir=in&limit=0", 400, "limit"), ("dir=in&what=1", 400, "what"), ("dir=in&mount=/x", 404, "mount"),
                ("dir=/elsewhere/in", 404, "/elsewhere/in")):
            status, body = s.request("POST", "/v1/claims?" + query)
            check(status == code and word in body["message"], f"{query}: {status} {body}")
        for method, path, code in (("PUT", "", 405), ("GET", "/0123456789abcdef/done", 405), ("POST", "/x/done", 404),
                                   ("POST", "/0123456789abcdef/cry", 404), ("POST", "/0123456789ABCDEF/done", 404),
                                   ("POST", "/0123456789abcdef/done?x=1", 400), ("GET", "?x=1", 400)):
            check(s.request(method, "/v1/claims" + path)[0] == code, f"{method} {path}")
        os.symlink("/tmp", os.path.join(s.mounts[0], "out"))
        for queue in "nowhere", "out":
            line = Claimer(s, queue).until("error")
            check(queue in line["message"], f"{line}")
        os.symlink("/etc/passwd", os.path.join(s.mounts[0], "in", "link"))
        os.mkfifo(os.path.join(s.mounts[0], "in", "fifo"))
        check(Claimer(s, "in", wait_ms=0).until("timeout", "claimed")["event"] == "timeout", "what is no file was claimed")


def many(root):
    """clients that come and go by the hundred leave nothing behind; a client that does not read costs no memory"""
    with locklib.sidecar(root, "--lease-fence=10s") as s:
        wait_locks(s)
        fill(s, "in", [])
        before = len(os.listdir(f"/proc/{s.process.pid}/fd"))
        for _ in range(300):
            connection = Connection(s.socket, 10)
            connection.request("POST", "/v1/claims?dir=in")
            connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
        wait_for(lambda: s.get("/v1/claims")[1]["claimers"] == 0, lambda: f"{s.get('/v1/claims')[1]}", 30)
        for i in range(80):  # more directories than are remembered at once
            fill(s, f"q{i}", ["x"])
            status, _ = s.request("POST", f"/v1/claims?dir=q{i}&wait_ms=0&limit=1&match=none") if i < 60 else (200, None)
            check(status == 200, f"{i}: {status}")
        wait_for(lambda: len(os.listdir(f"/proc/{s.process.pid}/fd")) <= before + 8, "descriptors are left", 30)


if __name__ == "__main__":
    run(events, batches, counted, same_name, exclusive, left_alone, restart, lost, drained, refused, many)
