#!/usr/bin/env python3
"""Releases beside each other (docs/compatibility.md): what the last one showed is still there, and programs of both work together.

tests/data/formats/RELEASE/answers.json and names.json are what that release answered and how it names things. FORMATS_WRITE=DIRECTORY
writes them for today's programs."""
import concurrent.futures
import glob
import hashlib
import json
import os
import shutil
import subprocess

from cachelib import App, content
from claimlib import Claimer, fill, left
from locklib import Hold, environment
from releaselib import FORMATS, SANITIZED, TODAY, answers, missing, names, previous, running, shape
from sidecarlib import Changes
from watchlib import check, run, wait_for

PREVIOUS = None


def compare(what, now):
    files = sorted(glob.glob(os.path.join(FORMATS, "*", what + ".json")))
    check(files, f"there is no {what}.json of a release")
    for path in files:
        with open(path, encoding="utf-8") as file:
            had = json.load(file)
        if SANITIZED and what == "answers":
            del had["what --install makes"], had["ready.json"]["installed"]
        gone = missing(had, now)
        check(not gone, f"release {os.path.basename(os.path.dirname(path))} had more: " + "; ".join(gone[:20]))
    return len(files)


def save(what, value):
    """Never over what is there: a release does not change."""
    with open(os.path.join(os.environ["FORMATS_WRITE"], what + ".json"), "x", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")


def api(root):
    """every field that a release answered, wrote or logged is still there, with the same type"""
    now = shape(answers(TODAY, root.decode()))
    if "FORMATS_WRITE" in os.environ:
        save("answers", now)
    compare("answers", now)
    if PREVIOUS:
        with_fewer = json.loads(json.dumps(now))
        del with_fewer["GET /v1/status"]["200"]["mounts"][0]["watch"]["blind_total"]
        with_fewer["changes"]["publish"]["size"] = "string"
        gone = missing(now, with_fewer)
        check(len(gone) == 2 and "blind_total is gone" in gone[0] + gone[1] and "size was number and is string" in gone[0] + gone[1], gone)


def named(_):
    """every setting, option, command, exit code, metric, alarm, variable, path and volume that a release had is still there"""
    now = names(TODAY)
    if "FORMATS_WRITE" in os.environ:
        save("names", now)
    compare("names", now)
    return f"{sum(map(len, now.values()))} names"


# ---- with the programs of the previous release ----

def efsctl(release, s, *words, code=0, **more):
    program = release.program("efsctl" if SANITIZED and release is TODAY else "efsctl-static")
    done = subprocess.run([program, *words], env=environment(s), capture_output=True, text=True, timeout=60,
                          check=False, **more)
    check(done.returncode == code, f"efsctl of {release.build} {words}: {done}")
    return done.stdout


def commands(release, s):
    """What an app's image does with its copy of efsctl."""
    share = s.mounts[0]
    check("FeedReady" in efsctl(release, s, "status"), "status")
    check("healthy" in efsctl(release, s, "health", "--fail-on=mount", "--for=5m"), "health")
    check("ProbeLatency" in efsctl(release, s, "metrics"), "metrics")
    check(json.loads(efsctl(release, s, "status", "--json"))["mounts"], "status --json")
    check(efsctl(release, s, "lock", "--wait=20s", "deploy", "--", "sh", "-c", "echo $EFS_LOCK_TOKEN").count(".") == 1, "lock")
    check("deploy" in efsctl(release, s, "locks", "deploy"), "locks")
    key = "once-" + hashlib.sha256(release.build.encode()).hexdigest()[:8]
    check(efsctl(release, s, "once", key, "--", "echo", "done") == "done\n", "once")
    check(efsctl(release, s, "once", key, "--", "echo", "done") == "", "once more")
    efsctl(release, s, "publish", "--mkdir", "-", "out/" + key, input="content")
    with open(os.path.join(share, "out", key), encoding="utf-8") as file:
        check(file.read() == "content", "publish")
    efsctl(release, s, "publish", "-", "out/" + key, input="again", code=73)
    fill(s, "jobs-" + key, ["one"])
    efsctl(release, s, "claim", "--once", "jobs-" + key, "--", "test", "-f", "{}")
    check(left(s, "jobs-" + key) == ([], [], []), "claim")
    for words in (["tasks"], ["cache"], ["config"], ["log"], ["metrics", "--cost"], ["locks"]):
        check(efsctl(release, s, *words), words)
    check(efsctl(release, s, "watch", "--help"), "watch")


def controls(root):
    """efsctl of the previous release with today's sidecar, and today's with the previous one's: each command"""
    for kind, (of_sidecar, of_efsctl) in {"old efsctl": (TODAY, PREVIOUS), "old sidecar": (PREVIOUS, TODAY)}.items():
        with running(of_sidecar, os.path.join(root.decode(), kind.replace(" ", "-")), "web-1") as s:
            commands(of_efsctl, s)


def shims(root):
    """libefscache.so of either release finds the other's cache: hits with the right bytes"""
    for kind, (of_sidecar, of_shim) in {"old-shim": (TODAY, PREVIOUS), "old-cache": (PREVIOUS, TODAY)}.items():
        top = os.path.join(root.decode(), kind)
        os.makedirs(top + "/share/hot")
        for path in (root.decode(), top, top + "/share", top + "/share/hot"):
            os.chmod(path, 0o755)
        paths = {}
        for i in range(20):
            path = f"{top}/share/hot/{i}"
            with open(path, "wb") as file:
                file.write(content(i + 1, 512))
            paths[path] = i + 1
        with running(of_sidecar, top, "web-1", "--cache-rules=hot/**=immutable") as s:
            with App(os.path.join(top, "web-1/cache"), preload=of_shim.program("libefscache.so")) as app:
                app.warm(paths)
                counted = s.get("/v1/cache")[1]["mounts"][0]
                check(json.dumps(counted).count("hits") >= 1, counted)


def watchers(root):
    """efs-watch of either release under the other's sidecar: it speaks the same frames, or both versions are named"""
    for kind, (of_sidecar, of_watch) in {"old-watch": (TODAY, PREVIOUS), "old-daemon": (PREVIOUS, TODAY)}.items():
        top = os.path.join(root.decode(), kind)
        os.makedirs(top)
        shutil.copy(of_sidecar.program("efs-sidecar"), top)
        shutil.copy(of_watch.program("efs-watch"), top)
        mixed = type(TODAY)(top, None)
        # The filter of system calls goes on to efs-watch, and would keep it from looking for leaks.
        with running(mixed, top, "web-1", *(["--security-seccomp=false"] if SANITIZED else [])) as s, Changes(s) as changes:
            with open(s.mounts[0] + "/new", "w", encoding="utf-8") as file:
                file.write("x")
            changes.until(lambda c: c.get("path") == "new")
            check(s.status()["mounts"][0]["watch"]["restarts"] == 0, s.status())


def neighbours(root):
    """both on one share: changes, locks and publishes both ways; what either leaves when it is killed the other gives back"""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = [pool.submit(outlive, survivor, victim, os.path.join(root.decode(), name))
                for name, survivor, victim in (("new-survives", TODAY, PREVIOUS), ("old-survives", PREVIOUS, TODAY))]
        for one in both:
            one.result()


def outlive(survivor, victim, top):
    with running(victim, top, "web-2") as b, running(survivor, top, "web-1") as a:
        for here, there in ((a, b), (b, a)):
            wait_for(lambda x=here: x.status()["mounts"][0]["feed"]["peers"] == 1, "they do not hear each other")
            path = f"from-{os.path.basename(here.root)}"
            with Changes(there, "?op=publish", timeout=30) as changes:
                changes.next()
                write_published(here, path)
                told = changes.until(lambda c, p=path: c.get("path") == p)[-1]
                check(told["sha256"] == hashlib.sha256(b"x").hexdigest(), told)  # which only the other's journal says
        first = Hold(b, "nightly").until("granted")
        refused = a.request("POST", "/v1/locks/nightly?wait_ms=0")
        check("granted" not in json.dumps(refused), refused)
        fill(b, "queue", ["job"])
        Claimer(b, "queue").claimed()
        b.process.kill()
        b.process.wait()
        second = Hold(a, "nightly", timeout=60, wait_ms=60000).until("granted")
        check(token(second) > token(first), f"{second} after {first}")
        worker = Claimer(a, "queue", timeout=100)
        check(worker.claimed()["attempts"] >= 1, worker.last)
        check(worker.finish()[0] == 200 and left(a, "queue") == ([], [], []), left(a, "queue"))


def token(granted):
    return tuple(int(part) for part in granted["token"].split("."))


def write_published(s, to):
    name = os.path.basename(s.root)
    with open(f"{s.mounts[0]}/tasks/{name}/made", "w", encoding="utf-8") as file:
        file.write("x")
    status, answer = s.request("POST", "/v1/publish", json.dumps({"from": f"tasks/{name}/made", "to": to}))
    check(status == 200, answer)


if __name__ == "__main__":
    PREVIOUS = previous()
    run(api, named, *([controls, shims, watchers, neighbours] if PREVIOUS else []))
