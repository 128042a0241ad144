#!/usr/bin/env python3
"""efs-init on local directories: its answers, exit codes, reports, and what it leaves behind."""
import filecmp
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import time

from watchlib import BUILD, check, die_with_parent, run, wait_for

EFS_INIT = os.path.join(BUILD, "efs-init")
LIBRARIES = [name for name in ("libefscache.so", "libefscache-musl.so") if os.path.exists(os.path.join(BUILD, name))]


def start(*args, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("EFS_SIDECAR_", "AWS_", "ECS_"))}
    return subprocess.Popen([EFS_INIT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                            text=True, preexec_fn=die_with_parent, env=dict(clean, **(env or {})))


def end(process, code, *words, timeout=20):
    """Wait for it; words have to stand in the last line. The lines before it, and stdout."""
    stdout, stderr = process.communicate(timeout=timeout)
    answer = stderr.strip().rpartition("\n")[2]
    check(process.returncode == code, f"{process.args[1:]}: exit code {process.returncode}, not {code}: {stderr}")
    for word in words:
        check(word in answer, f"{process.args[1:]}: no \"{word}\" in the last line: {answer}")
    return stderr, stdout


def gate(*args, env=None):
    return start("--allow-local", *args, env=env)


def places(root):
    """The run directory and a data directory that everybody may write to."""
    top = root.decode()
    os.chmod(top, 0o755)
    data = os.path.join(top, "data")
    os.mkdir(data)
    os.chmod(data, 0o777)
    return f"--run-dir={top}/run", data


def passes(root):
    """a good directory passes, and the ready report says so, whole and readable for all"""
    run_dir, data = places(root)
    lines, stdout = end(gate(run_dir, data, "--format", "json"), 0, "efs-init: ready after", f"{data} (read-write)")
    check(": warn    mount    not NFS" in lines, lines)
    path = os.path.join(root.decode(), "run/ready.json")
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    check(report == json.loads(stdout), "stdout and ready.json differ")
    check(report["ok"] is True and report["exit_code"] == 0 and "cause" not in report, report)
    ids = {c["id"]: c["verdict"] for c in report["mounts"][0]["checks"]}
    check(ids == {"path": "ok", "mount": "warn", "access": "ok", "write": "ok", "lock": "ok", "names": "ok", "owner": "ok"}, ids)
    check(stat.S_IMODE(os.stat(path).st_mode) == 0o644, "mode of ready.json")
    check(os.listdir(data) == [] and os.listdir(os.path.dirname(path)) == ["ready.json"], "something is left")


def fails(root):
    """a failure has its code, its cause in the report, and leaves the directory alone"""
    run_dir, data = places(root)
    end(start(run_dir, data), 13, "NotMounted", "is a plain directory on", "mountPoints entry")
    with open(os.path.join(root.decode(), "run/ready.json"), encoding="utf-8") as file:
        report = json.load(file)
    check((report["ok"], report["cause"], report["exit_code"]) == (False, "NotMounted", 13), report)
    check(report["fix"] and report["path"] == data, report)
    check(os.listdir(data) == [], "it was written to")


def several(root):
    """several mounts at once: good ones are told apart from bad ones, the first bad one is the answer"""
    run_dir, data = places(root)
    lines, _ = end(gate(run_dir, data, data + "/none", "/etc/passwd", "/tmp:ro"), 10, f"{data}/none does not exist",
                   f"what there is of it is {data}", "Mounts with failures: 2")
    check(f"{data}: ok      names" in lines and "/tmp: ok      list" in lines and "/etc/passwd: fail" in lines, lines)
    end(gate(run_dir, env={"EFS_SIDECAR_MOUNTS": f"{data}:rw,/tmp:ro"}), 0, f"{data} (read-write), /tmp (read-only)")


def paths(root):
    """symbolic links, trailing slashes, loops, files"""
    run_dir, data = places(root)
    top = root.decode()
    os.symlink("data", top + "/link")
    os.mkdir(top + "/new\nline")
    lines, _ = end(gate(run_dir, top + "/new\nline"), 0, "new?line")
    check(all(line.startswith("efs-init: ") for line in lines.splitlines()), lines)
    os.symlink("loop", top + "/loop")
    os.symlink("nowhere", top + "/dangling")
    lines, _ = end(gate(run_dir, top + "/link/"), 0)
    check(f"its own name is {data}" in lines, lines)
    end(gate(run_dir, top + "/loop"), 12, "PathUnusable", "ELOOP")
    end(gate(run_dir, top + "/dangling"), 10, "PathMissing")
    end(gate(run_dir, "/etc/passwd/x"), 11, "NotADirectory")


def usage(root):
    """bad settings: all errors at once, each with its field, exit 64, nothing done"""
    run_dir, data = places(root)
    cases = [(["data"], "not an absolute path"), ([data + "/../x"], '".."'), (["/" + "x" * 300], "255"), ([data + ":rx"], ":rw or :ro"),
             ([data, data], "twice"), ([data + "=fs-x"], "file system id"), (["--deadline", "never", data], "--deadline"),
             (["--as", "root", data], "--as"), (["--lock-hold", "1d", data], "--lock-hold"), (["--no-such", data], "--no-such"),
             (["--config", "/nonexistent", data], "/nonexistent"), ([], "nothing to check")]
    for args, word in cases:
        end(start(run_dir, *args), 64, "NOT READY (Usage, exit 64)", word)
    lines, _ = end(start("a", "/b/../c", "--deadline=x", "--wrong"), 64, "3 more above")
    check(lines.count("error: ") == 4, lines)
    check(not os.path.exists(os.path.join(root.decode(), "run")) and os.listdir(data) == [], "something was done")
    _, help_text = end(start("--help"), 0)
    check("--expect-owner" in help_text and "ClientIdentityShared" in help_text, help_text)
    _, settings = end(start("--check", run_dir, data), 0)
    check(json.loads(settings)["run_dir"]["source"] == "option", settings)


def identity(root):
    """--as and --expect-owner: ids are compared and named"""
    if os.geteuid() != 0:
        return "skipped: needs root"
    run_dir, data = places(root)
    lines, _ = end(gate(run_dir, "--as", "1234:567", data), 0)
    check("new files belong to 1234:567, as this process does" in lines, lines)
    os.chmod(data, 0o755)
    end(gate(run_dir, "--as", "1234:567", data), 22, "belongs to 0:0 with mode 0755, this process is 1234:567", "Give the directory to 1234:567")
    os.chown(data, 1234, 567)
    end(gate(run_dir, "--as", "1234:567", "--expect-owner", "1234:567", data), 0)
    end(gate(run_dir, "--as", "1234:567", "--expect-owner", "1:2", data), 25, "belong to 1234:567, expected is 1:2")
    os.mkdir(data + "/closed", 0o700)
    end(gate(run_dir, "--as", "4:4", data + "/closed/in"), 22, "looking up the directory", f"{data}/closed belongs to 0:0 with mode 0700")
    # Not as root there is no way to become somebody else.
    os.chmod(root.decode(), 0o777)
    end(subprocess.Popen(["setpriv", "--reuid=99", "--regid=99", "--clear-groups", EFS_INIT, "--allow-local", run_dir, "--as", "1:1", data],
                         stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True), 26, "CannotChangeIdentity")
    return None


def child_of(process):
    path = f"/proc/{process.pid}/task/{process.pid}/children"

    def children():
        with open(path, encoding="ascii") as file:
            return file.read().split()
    wait_for(children, "the probe starts", 10)
    return int(children()[-1])  # the probe is started last


def hung(root):
    """a probe that does not come back: the answer at the deadline, what it was doing, and its files removed by a later run"""
    run_dir, data = places(root)
    begin = time.monotonic()
    process = gate(run_dir, "--deadline=1s", "--lock-hold=1s", data)
    wait_for(lambda: any(n.endswith(".moved") for n in os.listdir(data)), "the probe holds its lock", 10)
    os.kill(child_of(process), signal.SIGSTOP)
    end(process, 30, "MountHung", '"read under lock" has been waiting for', "deadline 2.0 s")
    took = time.monotonic() - begin
    check(2 <= took < 3, f"it took {took} s")
    left = os.listdir(data)
    check(left and all(n.startswith(".efs-sidecar-probe.") for n in left), left)

    end(gate(run_dir, data), 0)
    check(sorted(os.listdir(data)) == sorted(left), "young leftovers were removed")
    for name in left:
        os.utime(os.path.join(data, name), (1, 1))
    lines, _ = end(gate(run_dir, data), 0)
    check(f"removed {len(left)} names" in lines and os.listdir(data) == [], lines)


def crash(root):
    """a probe that dies is no success"""
    run_dir, data = places(root)
    process = gate(run_dir, "--lock-hold=30s", data)
    wait_for(lambda: any(n.endswith(".moved") for n in os.listdir(data)), "the probe holds its lock", 10)
    os.kill(child_of(process), signal.SIGKILL)
    end(process, 70, "the probe of", "died")


def stopped(root):
    """SIGTERM ends it soon, with a code of its own and a report; the probe tidies up and goes with it"""
    run_dir, data = places(root)
    ready = root.decode() + "/run/ready.json"
    end(gate(run_dir, data), 0)
    process = gate(run_dir, "--lock-hold=30s", data)
    child = child_of(process)
    check(not os.path.exists(ready), "the answer of the run before is still there")
    wait_for(lambda: any(n.endswith(".moved") for n in os.listdir(data)), "the probe holds its lock", 10)
    process.terminate()
    end(process, 75, "Interrupted", "SIGTERM", timeout=5)
    wait_for(lambda: not os.path.exists(f"/proc/{child}"), "the probe is gone", 5)
    check(os.listdir(data) == [], os.listdir(data))
    with open(ready, encoding="utf-8") as file:
        check(json.load(file)["cause"] == "Interrupted", "ready.json")


def run_directory(root):
    """a run directory that cannot be written to has a code of its own, and an old report is replaced"""
    run_dir, data = places(root)
    end(gate("--run-dir=/proc/none", data), 60, "RunDirUnwritable", "/proc/none")
    os.mkdir(root.decode() + "/run")
    with open(root.decode() + "/run/ready.json", "w", encoding="utf-8") as file:
        file.write("{")
    end(start(run_dir, data), 13)
    with open(root.decode() + "/run/ready.json", encoding="utf-8") as file:
        check(json.load(file)["ok"] is False, "ready.json")


def full(root):
    """a full file system is named"""
    if os.geteuid() != 0:
        return "skipped: needs root"
    run_dir, data = places(root)
    script = 'mount -t tmpfs -o size=64k,nr_inodes=32 tmpfs "$1" && head -c 64k /dev/zero >"$1/all"; shift; exec "$@"'
    end(subprocess.Popen(["unshare", "-m", "sh", "-c", script, "sh", data, EFS_INIT, "--allow-local", run_dir, data],
                         stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True), 34, "NoSpace", "ENOSPC")
    return None


def content(root):
    """markers come before anything is written, directories are made, required paths compared, databases in WAL mode named"""
    run_dir, data = places(root)
    end(gate(run_dir, data, f"--marker={data}/.id=prod"), 17, "MarkerMismatch", f"the marker {data}/.id is missing")
    check(os.listdir(data) == [], "the wrong directory was written to")
    with open(data + "/.id", "w", encoding="utf-8") as file:
        file.write("test\n")
    lines, _ = end(gate(run_dir, data, f"--marker={data}/.id=prod"), 17, 'does not say "prod"')
    check("skip    write" in lines, lines)
    create = f"--create={data}/a/b:2770,{data}/c"
    lines, _ = end(gate(run_dir, data, f"--marker={data}/.id=test", create, f"--require={data}/a/b:{os.getuid()}:{os.getgid()}:2770"), 0)
    check("marker   1 as expected" in lines and "create   2 made, 0 existed" in lines and "require  1 as required" in lines, lines)
    end(gate(run_dir, data, create, f"--require={data}/a/b:4711:815,{data}/none"), 16, "required is 4711:815")
    end(gate(run_dir, data, f"--require={data}/none"), 15, f"{data}/none does not exist")
    end(gate(run_dir, data, f"--create={data}/.id/x"), 11, "/.id/x cannot be made")
    end(gate(run_dir, data, "--require=/etc/passwd"), 64, "lies in none of the mounts")
    end(gate(run_dir, data + ":ro", f"--require={data}/a/b", f"--marker={data}/.id"), 0)

    with sqlite3.connect(data + "/a/app.db") as database:
        database.execute("pragma journal_mode=wal")
        database.execute("create table t(x)")
    with sqlite3.connect(data + "/rollback.db") as database:
        database.execute("create table t(x)")
    lines, _ = end(gate(run_dir, data), 0, "2 warnings above")
    check(f"warn    database {data}/a/app.db is an SQLite database in WAL mode" in lines and "rollback" not in lines, lines)


def groups(root):
    """more groups than NFS tells the server"""
    if os.geteuid() != 0:
        return "skipped: needs root"
    run_dir, data = places(root)
    for n, warned in ((16, False), (17, True)):
        lines, _ = end(subprocess.Popen(["setpriv", "--groups", ",".join(map(str, range(100, 100 + n))), EFS_INIT, "--allow-local", run_dir, data],
                                        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True), 0)
        check((f"warn    groups   this process has {n} supplementary groups" in lines) == warned, lines)
    return None


def waiting(root):
    """--wait: begins anew while it may heal, says once per change what for, ends when it is time or when it cannot heal"""
    run_dir, data = places(root)
    process = gate(run_dir, "--wait=60s", data + "/later", f"--require={data}/later/file")
    check("later does not exist" in next(process.stderr), "it does not say what it waits for")
    os.mkdir(data + "/later")
    check("later/file does not exist" in next(process.stderr), "it does not say what it waits for now")
    with open(data + "/later/file", "w", encoding="utf-8"):
        pass
    lines = process.stderr.read()
    check(process.wait(5) == 0 and "waiting" not in lines and "ready after" in lines, lines)
    process.stdout.close()

    begin = time.monotonic()
    end(gate(run_dir, "--wait=2s", "--deadline=1s", data + "/none"), 10, "does not exist")
    check(1 <= time.monotonic() - begin < 12, "waiting for nothing")
    begin = time.monotonic()
    end(start(run_dir, "--wait=20s", "/etc/passwd"), 11)
    end(gate(run_dir, "--wait=20s", data + "/none", "--expect-owner=4711:815", data), 10)
    check(time.monotonic() - begin < 12, "waited for what does not heal")
    process = gate(run_dir, "--wait=60s", data + "/none")
    time.sleep(0.8)
    process.terminate()
    end(process, 75, "Interrupted")


def waiting_for_a_mount(root):
    """--wait: a mount that does not answer is waited for by the same probe, and the gate goes on when it does"""
    run_dir, data = places(root)
    process = gate(run_dir, "--deadline=1s", "--wait=20s", "--lock-hold=1s", data)
    wait_for(lambda: any(n.endswith(".moved") for n in os.listdir(data)), "the probe holds its lock", 10)
    child = child_of(process)
    os.kill(child, signal.SIGSTOP)
    time.sleep(3)
    os.kill(child, signal.SIGCONT)
    lines, _ = end(process, 0, "ready after")
    check(lines.count("waiting, for") == 1 and f"{data} does not answer (\"read under lock\")" in lines, lines)


def install(root):
    """--install puts a static efsctl there, whole and executable, with or without mounts, and says what is in the way"""
    if "SANITIZED" in os.environ:
        return "there is no static program with sanitizers"
    run_dir, data = places(root)
    top = root.decode()
    end(start(f"--install={top}/tools"), 0, "there was no mount to check")
    with open(BUILD + "/efsctl-static", "rb") as mine, open(top + "/tools/efsctl", "rb") as theirs:
        check(mine.read() == theirs.read(), "not the same")
    check(stat.S_IMODE(os.stat(top + "/tools/efsctl").st_mode) == 0o755 and set(os.listdir(top + "/tools")) == {"efsctl", *LIBRARIES},
          "mode, or leftovers")
    for library in LIBRARIES:
        check(filecmp.cmp(f"{BUILD}/{library}", f"{top}/tools/{library}", shallow=False), library)
    version = subprocess.run([top + "/tools/efsctl", "--version"], capture_output=True, text=True, timeout=10, check=True)
    check(version.stdout.startswith("efsctl "), version)
    with open(top + "/tools/efsctl", "w", encoding="utf-8") as file:
        file.write("old")
    lines, stdout = end(gate(run_dir, data, f"--install={top}/tools", "--format=json"), 0, "ready after")
    size = os.path.getsize(BUILD + "/efsctl-static")
    check(f"installed {top}/tools/efsctl ({size} bytes), {top}/tools/libefscache.so (" in lines and os.path.getsize(top + "/tools/efsctl") == size, lines)
    check(str(size) in json.loads(stdout)["installed"], stdout)

    # From an installation, and without one.
    os.makedirs(top + "/usr/bin")
    os.makedirs(top + "/usr/lib/efs-sidecar")
    shutil.copy(EFS_INIT, top + "/usr/bin")
    shutil.copy(BUILD + "/efsctl-static", top + "/usr/lib/efs-sidecar/efsctl")
    shutil.copy(BUILD + "/libefscache.so", top + "/usr/lib/efs-sidecar")
    subprocess.run([top + "/usr/bin/efs-init", f"--install={top}/more"], check=True, capture_output=True, timeout=10)
    check(os.path.getsize(top + "/more/efsctl") == size and set(os.listdir(top + "/more")) == {"efsctl", "libefscache.so"}, "from an installation")
    os.unlink(top + "/usr/lib/efs-sidecar/efsctl")
    end(subprocess.Popen([top + "/usr/bin/efs-init", f"--install={top}/more"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True), 61,
        "InstallFailed", "there is neither ../lib/efs-sidecar/efsctl nor efsctl-static in")
    end(start("--install=/proc/none"), 61, "InstallFailed", "/proc/none")
    end(start(f"--install={data}/.."), 64)
    end(gate(run_dir, data, "--install=/etc/passwd"), 61, "/etc/passwd")
    end(start(run_dir, data, "--install=/etc/passwd"), 13)  # the mount says more
    return None


if __name__ == "__main__":
    check(shutil.which("setpriv"), "setpriv (util-linux) is missing")
    run(passes, fails, several, paths, usage, identity, hung, crash, stopped, run_directory, full, content, groups,
        waiting, waiting_for_a_mount, install)
