#!/usr/bin/env python3
"""Publishing on one host: the API and efsctl publish, what readers and the feed see, names, errors, limits, steps that are cut off."""
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading

from locklib import EFSCTL, Hold, environment, sidecar, wait_locks
from sidecarlib import Changes
from watchlib import check, wait_for

EXISTS, STALE = 73, 76


def put(s, path, text):
    with open(os.path.join(s.mounts[0], path), "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())


def get(s, path):
    with open(os.path.join(s.mounts[0], path), "rb") as f:
        return f.read().decode()


def names(s, path):
    try:
        return sorted(os.listdir(os.path.join(s.mounts[0], path)))
    except FileNotFoundError:
        return []


def publish(s, source, to, **more):
    return s.request("POST", "/v1/publish", json.dumps({"from": source, "to": to, **more}), timeout=30)


def equal(what, got, wanted):
    check(got == wanted, f"{what}: {got!r}, not {wanted!r}")


def answered(what, answer, status, code):
    check(answer[0] == status and answer[1]["code"] == code, f"{what}: {answer}, not {status} {code}")


def efsctl(s, *args, stdin=None, env=None, cwd=None):
    return subprocess.run([EFSCTL, *args], env=environment(s) | (env or {}), input=stdin, capture_output=True, timeout=60, check=False,
                          cwd=cwd)


def nothing_staged(s):
    equal("what is left in .stage", names(s, "tasks/web-1/.stage"), [])
    left = [f for _, _, files in os.walk(os.path.join(s.mounts[0], ".efs-stage")) for f in files]
    equal("what is left in .efs-stage", left, [])


def the_api(s):
    put(s, "tasks/web-1/a", "one")
    with Changes(s) as changes:
        changes.next()
        status, answer = publish(s, "tasks/web-1/a", "in/a", mkdir=True, mode="0640")
        digest = hashlib.sha256(b"one").hexdigest()
        equal("answer", (status, answer), (200, {"path": "in/a", "size": 3, "sha256": digest, "outcome": "published"}))
        told = changes.until(lambda c: c.get("op") == "publish")[-1]
        equal("event", [told[k] for k in ("path", "size", "sha256", "observer", "source")], ["in/a", 3, digest, "web-1", "local"])
    equal("content", get(s, "in/a"), "one")
    equal("mode", os.stat(os.path.join(s.mounts[0], "in/a")).st_mode & 0o7777, 0o640)
    check("a" not in names(s, "tasks/web-1"), "the old place still has it")
    put(s, "tasks/web-1/a", "two")
    answered("a place that is taken", publish(s, "tasks/web-1/a", "in/a"), 409, "Exists")
    equal("both are there", (get(s, "in/a"), get(s, "tasks/web-1/a")), ("one", "two"))
    equal("replace", publish(s, "tasks/web-1/a", "in/a", replace=True)[0], 200)
    equal("content", get(s, "in/a"), "two")
    put(s, "tasks/web-1/a", "x" * 100)
    equal("without a digest", publish(s, "tasks/web-1/a", "in/b", digest=False)[1], {"path": "in/b", "size": 100, "outcome": "published"})


def under_a_lock(s):
    hold = Hold(s, "deploy/web")
    token = hold.until("granted")["token"]
    fenced = {"lock": "deploy/web", "token": token}
    put(s, "tasks/web-1/a", "one")
    equal("fenced", publish(s, "tasks/web-1/a", "out/a", mkdir=True, **fenced)[0], 200)
    put(s, "tasks/web-1/a", "two")
    answered("fenced, taken", publish(s, "tasks/web-1/a", "out/a", **fenced), 409, "Exists")
    equal("fenced by its hold", publish(s, "tasks/web-1/a", "out/a", replace=True, hold=hold.granted["hold"])[0], 200)
    equal("content", get(s, "out/a"), "two")
    put(s, "tasks/web-1/a", "three")
    generation, _, n = token.partition(".")
    for stale in (f"{generation}.{int(n) - 1}", f"{generation}.{int(n) + 1}", f"{int(generation) - 1}.{n}"):
        answered(f"token {stale}", publish(s, "tasks/web-1/a", "out/a", replace=True, lock="deploy/web", token=stale), 409, "StaleToken")
    answered("another lock", publish(s, "tasks/web-1/a", "out/a", replace=True, lock="other", token=token), 409, "StaleToken")
    equal("given back", hold.release()[1], {"released": True})
    answered("after the release", publish(s, "tasks/web-1/a", "out/a", replace=True, **fenced), 409, "StaleToken")
    answered("its hold", publish(s, "tasks/web-1/a", "out/a", replace=True, hold=hold.granted["hold"]), 409, "StaleToken")
    equal("content", (get(s, "out/a"), get(s, "tasks/web-1/a")), ("two", "three"))
    nothing_staged(s)


def a_set(s):
    for i in range(20):
        put(s, f"tasks/web-1/{i}", f"{i}")
    files = [{"from": f"tasks/web-1/{i}", "to": f"set/{i}"} for i in range(20)]
    with Changes(s, "?op=publish") as changes:
        changes.next()
        status, answer = s.request("POST", "/v1/publish", json.dumps({"files": files, "manifest": "set/all.json", "mkdir": True}))
        check(status == 200, answer)
        told = [c["path"] for c in changes.until(lambda c: c.get("path") == "set/all.json")]
    equal("all before the manifest", sorted(told[:-1]), sorted(f"set/{i}" for i in range(20)))
    manifest = json.loads(get(s, "set/all.json"))
    equal("manifest", manifest["files"], [{"path": f"set/{i}", "size": len(str(i)), "sha256": hashlib.sha256(str(i).encode()).hexdigest()}
                                          for i in range(20)])
    equal("answer", answer["files"], manifest["files"])

    for i in range(3):
        put(s, f"tasks/web-1/{i}", "again")
    files = [{"from": f"tasks/web-1/{i}", "to": f"set2/{i}"} for i in (0, 1)] + [{"from": "tasks/web-1/2", "to": "set/2"}]
    status, answer = s.request("POST", "/v1/publish", json.dumps({"files": files, "manifest": "set2/all.json", "mkdir": True}))
    answered("one that is taken", (status, answer), 409, "Exists")
    check("of 3 files are published" in answer["message"] and "set/2" in answer["message"], answer)
    check("all.json" not in names(s, "set2"), "the manifest of half a set")
    nothing_staged(s)


def the_command(s, root):
    outside = os.path.join(root, "outside")
    with open(outside, "wb") as f:
        f.write(b"body")
    os.chmod(outside, 0o604)
    equal("a copy", efsctl(s, "publish", "--mkdir", outside, "cli/a").returncode, 0)
    equal("its mode", os.stat(os.path.join(s.mounts[0], "cli/a")).st_mode & 0o7777, 0o604)
    again = efsctl(s, "publish", outside, "cli/a")
    equal("taken", again.returncode, EXISTS)
    check(b"--replace" in again.stderr, again.stderr)
    equal("stdin", efsctl(s, "publish", "--replace", "-", s.mounts[0] + "/cli/a", stdin=b"stdin").returncode, 0)
    equal("content", get(s, "cli/a"), "stdin")
    put(s, "tasks/web-1/k", "kept")
    link = os.path.join(s.run_dir, "task", "k")
    equal("kept", efsctl(s, "publish", "--keep", link, "cli/").returncode, 0)
    equal("in place", efsctl(s, "publish", "--mode=0600", link, "cli/k2").returncode, 0)
    equal("the old place", names(s, "tasks/web-1").count("k"), 0)
    equal("both", (get(s, "cli/k"), get(s, "cli/k2")), ("kept", "kept"))
    for args, code in ((("publish", "nosuch", "x"), 1), (("publish", root, "x"), 1), (("publish", outside), 64),
                       (("publish", "--mode=9", outside, "x"), 64), (("publish", outside, root + "/x"), 64),
                       (("publish", "--lock=l", outside, "x"), 64), (("publish", "--token=1.1", outside, "x"), 64),
                       (("publish", "--lock=l", "--token=1.1", outside, "x"), STALE),
                       (("publish", outside, "../x"), 1), (("publish", "--mount=/nosuch", outside, "x"), 64)):
        result = efsctl(s, *args)
        check(result.returncode == code and result.stderr.startswith(b"efsctl: "), f"{args}: {result}")
    equal("under efsctl lock", efsctl(s, "lock", "l", "--", EFSCTL, "publish", "--lock=l", outside, "cli/locked").returncode, 0)
    equal("another host's", efsctl(s, "publish", "--lock=l", outside, "cli/x", env={"EFS_LOCK_NAME": "l", "EFS_LOCK_TOKEN": "1.1"}).returncode,
          STALE)
    many = []
    for i in range(1000):
        many.append(os.path.join(root, f"many-{i}-" + "n" * 150))
        with open(many[-1], "w", encoding="ascii") as f:
            f.write(str(i))
    result = efsctl(s, "publish", "--manifest=many/all.json", "--mkdir", *many, "many")
    check(result.returncode == 0, f"1000 files: {result.returncode}, {result.stderr[-500:]}")
    equal("1000 files and their manifest", len(names(s, "many")), 1001)
    nothing_staged(s)


def no_sidecar(s, root):
    result = efsctl(s, "--run-dir=" + root, "publish", os.path.join(root, "outside"), "x")
    equal("without a sidecar", result.returncode, 69)


def path_of(told):
    return base64.b64decode(told["path_base64"]) if "path_base64" in told else told["path"].encode()


def any_name(s):
    for name in (b"n" * 255, b"line\nbreak", b"\xff\xfe", b"caf\xc3\xa9", b" ", b"-x", b"\x01\x1b[31m"):
        put(s, "tasks/web-1/n", "named")
        to = b"names/" + name
        body = {"from": "tasks/web-1/n", "to_base64": base64.b64encode(to).decode(), "mkdir": True}
        with Changes(s, "?op=publish") as changes:
            changes.next()
            status, answer = s.request("POST", "/v1/publish", json.dumps(body))
            check(status == 200, (name, answer))
            changes.until(lambda told, to=to: path_of(told) == to)  # the last round's replacement may come first
        check(name in os.listdir(os.path.join(s.mounts[0], "names").encode()), name)
        result = efsctl(s, "publish", "--replace", b"-", b"names/" + name, stdin=b"again")
        check(result.returncode == 0, (name, result))
    put(s, "tasks/web-1/n", "named")
    answered("256 bytes", publish(s, "tasks/web-1/n", "names/" + "n" * 256), 400, "BadRequest")


def what_is_refused(s):
    put(s, "tasks/web-1/a", "mine")
    share = s.mounts[0]
    os.symlink("/etc", share + "/tasks/web-1/out")
    os.symlink("/etc/passwd", share + "/tasks/web-1/file")
    os.makedirs(share + "/dir", exist_ok=True)
    for source, to, status, code in (("tasks/web-1/a", "nosuch/a", 404, "NotFound"), ("tasks/web-1/nosuch", "a", 404, "NotFound"),
                                     ("tasks/web-1/file", "a", 400, "BadRequest"), ("tasks/web-1/out/passwd", "a", 400, "BadRequest"),
                                     ("tasks/web-1/a", "tasks/web-1/out/a", 400, "BadRequest"), ("dir", "a", 400, "BadRequest"),
                                     ("tasks/web-1/a", "dir", 409, "Exists"), ("/etc/passwd", "a", 400, "BadRequest"),
                                     ("../x", "a", 400, "BadRequest"), ("tasks/web-1/a", ".efs-sidecar/board", 400, "BadRequest"),
                                     ("tasks/web-1/a", "x/.efs-stage/y", 400, "BadRequest"), ("tasks/web-1/a", "tasks/web-1/a", 400, "BadRequest")):
        answered(f"{source} as {to}", publish(s, source, to), status, code)
    answered("over a directory", publish(s, "tasks/web-1/a", "dir", replace=True), 400, "BadRequest")
    answered("another mount", publish(s, "tasks/web-1/a", "a", mount="/nosuch"), 400, "BadRequest")
    for body in ("", "[]", "{", '{"from":"a","to":"b"}x'):
        equal(f"body {body!r}", s.request("POST", "/v1/publish", body)[0], 400)
    equal("GET", s.get("/v1/publish")[0], 405)
    equal("nothing is lost", get(s, "tasks/web-1/a"), "mine")
    check("a" not in names(s, "."), "something was published")


def only_one_wins(s):
    """Without replace, of several for one place; with it, readers see one whole file at any time."""
    for i in range(16):
        put(s, f"tasks/web-1/w{i}", f"{i}")
    results = [None] * 16

    def one(i):
        results[i] = publish(s, f"tasks/web-1/w{i}", "won")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    won = [i for i, (status, _) in enumerate(results) if status == 200]
    check(len(won) == 1 and get(s, "won") == str(won[0]), f"winners {won}, content {get(s, 'won')}")
    equal("the others", sorted(r[1]["code"] for r in results if r[0] != 200), ["Exists"] * 15)

    stop, seen = threading.Event(), set()

    def read():
        while not stop.is_set():
            seen.add(get(s, "whole"))

    put(s, "whole", "a" * 100000)
    reader = threading.Thread(target=read)
    reader.start()
    for letter in "bcdefghij":
        put(s, "tasks/web-1/w", letter * 100000)
        equal("replace", publish(s, "tasks/web-1/w", "whole", replace=True)[0], 200)
    stop.set()
    reader.join()
    check(all(len(t) == 100000 and len(set(t)) == 1 for t in seen), "a reader saw something else than a whole file")


def no_more_than(s):
    """What an outsider can grow has a cap."""
    equal("1001 files", s.request("POST", "/v1/publish", json.dumps({"files": [{"from": "a", "to": "b"}] * 1001, "manifest": "m"}))[0], 400)
    equal("a large body elsewhere", s.request("POST", "/v1/status", "x" * 70000)[0], 413)
    check(b" 413 " in s.raw(b"POST /v1/publish HTTP/1.1\r\nContent-Length: 2097153\r\n\r\n"), "one that is too large")


def main():
    with tempfile.TemporaryDirectory() as root:
        with sidecar(root, "--feed-poll=200ms") as s:
            wait_locks(s)
            wait_for(lambda: names(s, "tasks") == ["web-1"], "no task directory", 20)
            s.wait_watching()
            for case in (the_api, under_a_lock, a_set, any_name, what_is_refused, only_one_wins, no_more_than):
                case(s)
                print(f"ok - {case.__name__}", flush=True)
            the_command(s, root)
            no_sidecar(s, root)
            print("ok - the_command", flush=True)
            published = s.get("/v1/metrics")[1]
            check('"Published"' in json.dumps(published), "the metric is missing")
            equal("the sidecar's end", s.stop(), 0)


if __name__ == "__main__":
    sys.exit(main())
