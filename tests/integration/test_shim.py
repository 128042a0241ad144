#!/usr/bin/env python3
"""libefscache.so: programs print the same with it and without, hit where they should, and read what they wrote."""
import glob
import os
import re
import shutil
import socket
import subprocess
import time

from shimlib import READ, SHIM, WORK, Cache
from watchlib import BUILD, check, die_with_parent, run, wait_for

MUSL = os.path.join(BUILD, "libefscache-musl.so")


def readelf(*words):
    return subprocess.run(["readelf", "-W", *words], check=True, capture_output=True, text=True).stdout


def library(_root):
    """needs nothing newer than glibc 2.17, nothing but libc and libdl, and shows only what it stands before"""
    versions = {tuple(int(n) for n in v.split(".")) for v in re.findall(r"GLIBC_([0-9.]+)", readelf("-V", SHIM))}
    check(versions and max(versions) <= (2, 17), versions)
    check(sorted(re.findall(r"NEEDED.*\[(.*)\]", readelf("-d", SHIM))) == ["libc.so.6", "libdl.so.2"], "NEEDED")
    names = set(subprocess.run(["nm", "-D", "--defined-only", "--format=just-symbols", SHIM], check=True, capture_output=True,
                               text=True).stdout.split())
    wanted = {"open", "openat", "__open_2", "__openat_2", "creat", "fopen", "freopen", "truncate"}
    wanted |= {n[:-2] + "64_2" if n.endswith("_2") else n + "64" for n in wanted}
    wanted |= {n + wide for n in ("fstat", "fstatat", "__fxstat", "__fxstatat") for wide in ("", "64")}
    check(names == wanted | {"rename", "renameat", "renameat2", "unlink", "unlinkat", "remove", "statx", "flistxattr"}, names)
    if os.path.exists(MUSL):
        check(re.findall(r"NEEDED.*\[(.*)\]", readelf("-d", MUSL)) == ["libc.so"], "NEEDED by musl's")


def tree(cache):
    """A small application of everything."""
    for i in range(40):
        path = cache.write(f"text/{i % 4}/f{i}", f"line {i}\n" * 300 + "key value\n")
        os.chmod(path, 0o600 | i)
        os.utime(path, ns=(1, i * 10 ** 17 + i))
        if os.geteuid() == 0:
            os.chown(path, 1000 + i, 2000 + i)
    cache.write("lib/module.py", "def greet():\n    return 'from a module'\n")
    cache.write("lib/module.js", "exports.greet = () => 'from a module'\n")
    cache.write("lib/module.php", "<?php function greet() { return 'from a module'; }\n")
    cache.write("lib/Module.pm", "package Module; sub greet { 'from a module' } 1;\n")
    cache.write("lib/Hello.java", 'public class Hello { public static void main(String[] a) throws Exception {'
                ' System.out.println(new String(java.nio.file.Files.readAllBytes(java.nio.file.Path.of(a[0]))).length()); } }\n')
    cache.write("lib/script.sh", "for f in text/0/*; do read -r a b <$f; echo $a $b $(cat $f | wc -c); done\n")
    git = ["git", "-C", cache.share + "/repo", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    os.makedirs(cache.share + "/repo")
    subprocess.run([*git, "init", "-q"], check=True)
    for i in range(3):
        cache.write(f"repo/file{i}", f"content {i}\n" * 100)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", f"commit {i}"], check=True)
    subprocess.run(["sqlite3", cache.share + "/rows.db", "create table t(x); insert into t values (1), (2), (3);"], check=True)


STAT = "stat -c '%n %.9Y %a %u %g %s'"
COPIES = f"cd ../copy && {STAT} */* && cat */* && /usr/bin/python3 -c 'import os, sys; print([os.listxattr(f) for f in sys.argv[1:]])' */*"


def programs(top, origins):
    """What, the hits it has to have at least, and what it is called with below the share. Without `origins`, some have none."""
    files = sorted(glob.glob(top + "/text/*/*"))
    yield "cat", 40, ["cat", *files]
    yield "cp", origins and 40, ["sh", "-c", f"rm -rf ../copy && cp -rp text ../copy && {COPIES}"]
    yield "cp -a", origins and 40, ["sh", "-c", f"rm -rf ../copy && cp -a text ../copy && {COPIES}"]
    yield "install", origins and 40, ["sh", "-c", "rm -rf ../copy && mkdir ../copy && install -p -m 600 text/*/* ../copy && cat ../copy/*"]
    yield "grep", 40, ["grep", "-rh", "key", "text/1", "text/2", "text/3", "text/0", "--no-messages"]
    yield "sed", origins and 2, ["sed", "-n", "2p", files[0], files[1]]
    yield "tar", origins and 40, ["sh", "-c", "tar --sort=name -cf - text | tee ../all.tar | tar -tvf - && sha256sum <../all.tar && tar -xOf ../all.tar"]
    if origins:
        yield "stat", 1, ["sh", "-c", "stat - <text/1/f1 | grep -v -e Access: -e Birth:"]
    yield "awk", 2, ["awk", "{ n += NF } END { print n }", files[0], files[1]]
    yield "sort", 2, ["sort", "-m", files[0], files[1]]
    yield "head", 3, ["head", "-n", "1", *files[:3]]
    yield "tail", 0, ["tail", "-n", "1", *files[:3]]
    yield "perl", 2, ["perl", "-Ilib", "-MModule", "-e", "print Module::greet(); open F, '<', 'text/1/f1'; print <F>"]
    yield "python3", 2, ["/usr/bin/python3", "-B", "-c",
                         "import sys; sys.path.insert(0, 'lib'); import module; print(module.greet(), open('text/1/f1').read())"]
    yield "node", 2, ["node", "-e", "console.log(require('./lib/module.js').greet(), String(require('fs').readFileSync('text/1/f1')))"]
    yield "php", 2, ["php", "-n", "-r", "include 'lib/module.php'; echo greet(), file_get_contents('text/1/f1');"]
    yield "git", 4, ["git", "-C", "repo", "log", "-p"]
    yield "git fsck", 4, ["git", "-C", "repo", "fsck", "--full", "--no-progress"]
    yield "sqlite3", 1, ["sqlite3", "-readonly", "rows.db", "select sum(x) from t"]
    yield "java", 1, ["java", "-Xshare:auto", "lib/Hello.java", "text/1/f1"]
    yield "dash", 20, ["dash", "lib/script.sh"]
    yield "bash", 1, ["bash", "--norc", "-c", "source lib/script.sh"]
    yield "32 threads", 32 * 40 * 2, [READ, "threads", "32", "4", *files]
    yield "a static program", 0, ["busybox", "cat", files[0]]


def matrix(root):
    """the program matrix: the same output with and without, and hits"""
    cache = Cache(root)
    tree(cache)
    os.environ["GIT_CONFIG_COUNT"] = "1"  # a repository of whoever runs this
    os.environ["GIT_CONFIG_KEY_0"], os.environ["GIT_CONFIG_VALUE_0"] = "safe.directory", "*"
    left_out = []
    for mode, origins in (("validate", True), ("immutable", True), ("immutable", False)):
        if origins and not cache.keeps_origins():
            continue
        cache.fill(mode)
        if not origins:
            cache.forget_origins()
        for name, hits, argv in programs(cache.share, origins):
            if not origins and hits > 0:
                continue
            if not shutil.which(argv[0]):
                left_out.append(name)
                continue
            plain, _ = cache.run(*argv, library=None)
            with_it, counted = cache.run(*argv)
            check(plain == with_it and plain[1] == 0, f"{mode}, {name}: without: {plain}\nwith: {with_it}")
            check(counted["hits"] >= hits if hits else counted["hits"] == 0, f"{mode}, {name}: {counted}, and not {hits} hits, origins {origins}")
            check(counted["unreadable"] == counted["raced"] == counted["changed"] == 0, f"{mode}, {name}: {counted}")
        (_, _), counted = cache.run("cat", "text/1/f1", EFS_CACHE="off")
        check(sum(counted.values()) == 0, f"EFS_CACHE=off: {counted}")
    check(set(left_out) <= {"node", "java"}, f"not here: {left_out}")


def nginx(root):
    """nginx: workers serve hits, and a file that is published later"""
    cache = Cache(root)
    content = "served\n" * 1000
    cache.write("www/page.txt", content)
    cache.fill("validate")
    config, sock = f"{cache.root}/nginx.conf", f"{cache.root}/http.sock"
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"""daemon off; worker_processes 2; pid {cache.root}/pid; error_log {cache.root}/error.log;
user {'root' if os.geteuid() == 0 else 'nobody'};
events {{}} http {{ access_log off; client_body_temp_path {cache.root}/t1; proxy_temp_path {cache.root}/t2; fastcgi_temp_path {cache.root}/t3;
uwsgi_temp_path {cache.root}/t4; scgi_temp_path {cache.root}/t5; server {{ listen unix:{sock}; root {cache.share}/www; }} }}""")

    def get():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(sock)
            client.sendall(b"GET /page.txt HTTP/1.0\r\n\r\n")
            answer = b""
            while part := client.recv(65536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(os.stat(cache.share + "/www/page.txt").st_mtime))
        check(f"Last-Modified: {modified}".encode() in head, head)
        return body.decode()

    with subprocess.Popen(["/usr/sbin/nginx", "-c", config, "-p", cache.root], env=cache.environment(), stderr=subprocess.DEVNULL,
                          preexec_fn=die_with_parent) as server:
        try:
            wait_for(lambda: os.path.exists(sock), "nginx did not start")
            check([get() for _ in range(20)] == [content] * 20, "another page")
            check(cache.counts()["hits"] >= 20, cache.counts())
            cache.write("www/page.txt", "newer\n")
            check(get() == "newer\n", "an old page")
        finally:
            server.terminate()
            server.wait(30)


def same_semantics(root):
    """descriptors, flags, errno, fork, vfork, signals and streams are those of a plain open, with both libcs"""
    cache = Cache(root)
    path = cache.write("dir/hot", "hot content\n" * 100)
    for libc in ("", "-musl"):
        if not os.path.exists(WORK + libc):
            continue
        for mode in ("immutable", "validate", "bounded:600000"):
            cache.fill(mode, "dir/hot")
            plain, _ = cache.run(WORK + libc, "semantics", path, library=None)
            with_it, counted = cache.run(WORK + libc, "semantics", path, library=SHIM.replace(".so", libc + ".so"))
            check(plain == with_it and plain[1] == 0, f"libc{libc}, {mode}:\n{plain[0].decode()}\n{with_it[0].decode()}")
            check(counted["hits"] >= 200 and counted["marked"] == 0, counted)


def freshness(root):
    """each mode is as fresh as it promises"""
    cache = Cache(root)
    cache.write("a/i", "1\n")
    cache.write("a/v", "1\n")
    cache.write("a/b", "1\n")
    cache.write("a/empty", "")
    cache.fill("immutable", "a/i", "a/empty")
    cache.fill("validate", "a/v")
    cache.fill("bounded:1500", "a/b")
    filled = time.monotonic()
    for name in "ivb":
        cache.write("a/" + name, "2\n")  # by a peer: nothing is marked here
    cache.reads("a/i", "1\n")
    cache.reads("a/v", "2\n", hit=False, why="changed")
    if time.monotonic() < filled + 1:
        cache.reads("a/b", "1\n")
    time.sleep(max(0, filled + 1.6 - time.monotonic()))
    cache.reads("a/b", "2\n", hit=False, why="expired")
    cache.reads("a/empty", "", hit=False, why="unusual")
    cache.tool("drop", "a/i")
    cache.reads("a/i", "2\n", hit=False, why="absent")
    check(set(cache.tool("misses").split()) == {"a/i", "a/v", "a/b"}, "what was missed is told")
    os.unlink(cache.share + "/a/v")
    check(cache.run("cat", "a/v")[0][1] == 1, "a file that is gone was read")
    cache.fill("immutable", "a/i")
    os.unlink(cache.dir + "/data/a/i")  # by somebody who cleans up
    cache.reads("a/i", "2\n", hit=False, why="unreadable")


def paths(root):
    """which spellings of a path are hits, and which are left to the file system"""
    cache = Cache(root)
    cache.write("d/e/f", "x\n")
    os.symlink("d", cache.share + "/link")
    os.symlink(cache.share, cache.root + "/outside")
    os.makedirs(cache.root + "/sharexyz/d/e")
    shutil.copy(cache.share + "/d/e/f", cache.root + "/sharexyz/d/e/f")
    cache.fill()
    top = cache.share
    for path, cwd in ((f"{top}/d/e/f", "/"), (f"/{top}//d/./e/f", "/"), ("d/e/f", top), ("./f", f"{top}/d/e"), ("share/d/e/f", cache.root),
                      ("d/e/f", f"{cache.root}/outside"), ("e/f", f"{top}/link")):
        cache.reads(path, "x\n", cwd=cwd)
    for path, cwd in ((f"{top}/d/../d/e/f", "/"), (f"{top}/link/e/f", "/"), (f"{cache.root}/outside/d/e/f", "/"), ("../e/f", f"{top}/d/e"),
                      (f"{cache.root}/sharexyz/d/e/f", "/")):
        cache.reads(path, "x\n", cwd=cwd, hit=False)
    long = "/".join(["n" * 200] * 6)
    cache.write(long, "long\n")
    cache.reads(long, "long\n", hit=False)


def own_writes(root):
    """what one process of the task did to a file, the next open of any process sees, also by rename and by other names for it"""
    cache = Cache(root)
    hot, other = cache.share + "/d/hot", cache.share + "/d/tmp"
    os.makedirs(cache.share + "/d/sub")
    os.symlink("d", cache.share + "/link")
    os.symlink(cache.share, cache.root + "/outside")
    names = {"plain": (hot, other, "/"), "relative": ("hot", "tmp", cache.share + "/d"), "above": (f"{cache.share}/d/sub/../hot", other, "/"),
             "link": (f"{cache.share}/link/hot", f"{cache.share}/link/tmp", "/"),
             "outside": (f"{cache.root}/outside/d/hot", f"{cache.root}/outside/d/tmp", "/")}
    for op in ("open", "rdwr", "creat", "fopen", "freopen", "truncate", "unlink", "remove", "unlinkat", "rename", "renameat", "exchange"):
        for name, (path, temporary, cwd) in names.items():
            cache.write("d/hot", "old\n")
            cache.fill("immutable", "d/hot")
            cache.tool("caught-up")
            cache.reads(hot, "old\n")
            done, counted = cache.run(WORK, op, path, temporary, cwd=cwd)
            check(done == (b"", 0) and counted["writes"] >= 1, f"{op} {name}: {done} {counted}")
            cache.reads(hot, "" if op == "truncate" else "new\n", hit=False, why="marked")
    for verb, words in (("mv", ["../tmp", hot]), ("cp", ["../tmp", hot]), ("tee", [hot]), ("rsync or install", ["../tmp", hot])):
        cache.write("../tmp", "new\n")
        cache.write("d/hot", "old\n")
        cache.fill("immutable", "d/hot")
        cache.reads(hot, "old\n")
        cache.run("install" if " " in verb else verb, *words, stdin=b"new\n" if verb == "tee" else None)
        cache.reads(hot, "new\n", hit=False, why="marked")


def whole_directories(root):
    """after a directory was renamed nothing of the mount is a hit until the sidecar has caught up"""
    cache = Cache(root)
    cache.write("old/f", "1\n")
    cache.write("new/f", "2\n")
    cache.write("else/f", "3\n")
    cache.fill()
    cache.run("mv", "old", "older")
    cache.run("mv", "new", "old")
    cache.reads("old/f", "2\n", hit=False, why="marked")
    cache.reads("else/f", "3\n", hit=False, why="marked")
    cache.tool("caught-up")
    cache.reads("else/f", "3\n")


def later_sidecars(root):
    """a process that started before the sidecar, or lived on when it was replaced, finds the new files"""
    cache = Cache(root)
    cache.write("f", "x\n")
    path = cache.share + "/f"
    os.rename(cache.control, cache.control + ".away")
    script = "import sys\nfor _ in sys.stdin:\n    print(open(sys.argv[1]).read(), end='', flush=True)"
    with subprocess.Popen(["/usr/bin/python3", "-c", script, path], env=cache.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, preexec_fn=die_with_parent) as reader:
        def read():
            reader.stdin.write("\n")
            reader.stdin.flush()
            return reader.stdout.readline()

        def hits():
            before = cache.counts()["hits"]
            check(read() == "x\n", "another content")
            return cache.counts()["hits"] > before

        check(read() == "x\n", "without a cache")
        os.rename(cache.control + ".away", cache.control)
        cache.fill()
        wait_for(hits, "no hit after the sidecar came")
        cache.tool("init")
        check(not hits(), "a hit in a file that was retired")
        cache.fill()
        wait_for(hits, "no hit after the sidecar was replaced")
        # One who writes finds the new one at once.
        cache.tool("init")
        cache.fill()
        mark = cache.tool("mark", "f")
        cache.run(WORK, "open", path)
        check(cache.tool("mark", "f") != mark, "no mark")
        reader.stdin.close()
        reader.wait(30)


def another_mount(root):
    """what lies at the path here and is not the sidecar's mount is never served from the cache"""
    cache = Cache(root)
    cache.write("f", "right\n")
    cache.fill()
    os.rename(cache.share, cache.share + ".away")
    cache.write("f", "another\n")
    cache.reads("f", "another\n", hit=False)


def growing(root):
    """tail -F follows a file that grows and is rotated, for tail does without"""
    cache = Cache(root)
    path = cache.write("log", "one\n")
    cache.fill("validate")
    output = cache.root + "/tail.out"
    with open(output, "wb") as out, subprocess.Popen(["tail", "-s", "0.1", "-n", "+1", "-F", path], env=cache.environment(), stdout=out,
                                                     stderr=subprocess.DEVNULL, preexec_fn=die_with_parent) as tail:
        def shown():
            with open(output, encoding="utf-8") as file:
                return file.read()

        try:
            wait_for(lambda: "one\n" in shown(), "nothing was shown")
            with open(path, "a", encoding="utf-8") as file:
                file.write("two\n")
            wait_for(lambda: "two\n" in shown(), lambda: f"what was appended is not shown: {shown()!r}")
            os.rename(path, path + ".1")
            cache.write("log", "three\n")
            wait_for(lambda: "three\n" in shown(), lambda: f"the new file is not shown: {shown()!r}")
        finally:
            tail.terminate()
            tail.wait(30)


# Of each descriptor: all that stat of the path says, and is it a copy.
SHOW = """
import os, socket, sys
path, cache = sys.argv[1:3]
def show(fd):
    st = os.fstat(fd)
    return [getattr(st, n) for n in ("st_dev", "st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_mtime_ns", "st_ctime_ns")]
wanted = show(os.open(path, os.O_PATH))
def check(what, fd):
    if not os.readlink(f"/proc/self/fd/{fd}").startswith(cache):
        sys.exit(f"{what}: no copy")
    if show(fd) != wanted:
        sys.exit(f"{what}: {show(fd)}, not {wanted}")
check("inherited", 0)
fd = os.open(path, os.O_RDONLY)
check("opened", fd)
check("dup2", os.dup2(fd, 100))
one, other = socket.socketpair()
socket.send_fds(one, [b"x"], [fd])
check("passed on", socket.recv_fds(other, 1, 1)[1][0])
os.close(fd)
with open(path) as file:
    check("a stream", file.fileno())
    if os.fork() == 0:
        check("after a fork", file.fileno())
        os._exit(0)
    if os.wait()[1] != 0:
        sys.exit(1)
if os.open("/etc/passwd", os.O_RDONLY) != fd or os.fstat(fd).st_ino != os.stat("/etc/passwd").st_ino:
    sys.exit("another file by the same number")
for line in sys.stdin.buffer:
    pass
check("read to its end", 0)
"""


def identity(root):
    """what fstat says of a copy is what stat says of the file: however the descriptor got there; and no other file can say so of itself"""
    cache = Cache(root)
    if not cache.keeps_origins():
        return
    path = cache.write("f", "content\n")
    os.link(path, path + ".2")
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
    os.chmod(path, 0o4751)
    for mode in ("immutable", "validate"):
        cache.fill(mode, "f")
        (text, code), counted = cache.run("sh", "-c", '/usr/bin/python3 -c "$1" "$2" "$3" <"$2"', "sh", SHOW, path, cache.dir)
        check((text, code) == (b"", 0) and counted["hits"] == 3, f"{mode}: {text} {counted}")
    copy = cache.dir + "/.validate/data/f"
    script = "import os, sys; st = os.fstat(os.open(sys.argv[1], os.O_RDONLY)); print(st.st_ino, st.st_uid, oct(st.st_mode))"

    def told(what, expected):
        (text, _), _ = cache.run("/usr/bin/python3", "-c", script, copy)
        own = os.stat(copy)
        wanted = os.stat(path) if expected else own
        check(text.decode() == f"{wanted.st_ino} {wanted.st_uid} {oct(wanted.st_mode)}\n", f"{what}: {text}")

    told("a copy by its path", True)
    attribute = os.getxattr(copy, "user.efs")
    os.rename(copy, copy + ".old")
    shutil.copy(copy + ".old", copy)
    os.chmod(copy, 0o644)
    os.setxattr(copy, "user.efs", attribute)
    os.chmod(copy, 0o444)
    told("one that has the attribute of another", False)
    os.rename(copy + ".old", copy)
    os.chmod(copy, 0o644)
    told("one that may be written", False)
    for wrong in (b"", attribute[:-1], attribute + b"x"):
        os.setxattr(copy, "user.efs", wrong)
        os.chmod(copy, 0o444)
        told("an attribute of another size", False)
        os.chmod(copy, 0o644)
    os.setxattr(copy, "user.efs", attribute)
    os.chmod(copy, 0o444)
    told("the copy again", True)
    if os.geteuid() == 0:
        os.chown(copy, 4321, 4321)
        told("one of another owner", False)


def in_place(root):
    """sed -i and perl -i leave the bytes, owner and mode that they leave without"""
    cache, seen = Cache(root), []
    for library in (None, SHIM):
        for name, argv in (("sed", ["sed", "-i", "s/old/new/"]), ("perl", ["perl", "-i", "-pe", "s/old/new/"])):
            path = cache.write(name, "old\n")
            if os.geteuid() == 0:
                os.chown(path, 1234, 5678)
            os.chmod(path, 0o640)
            cache.fill("validate", name)
            done, counted = cache.run(*argv, path, library=library)
            st = os.stat(path)
            with open(path, encoding="utf-8") as file:
                seen.append((done, file.read(), st.st_mode, st.st_uid, st.st_gid))
            check(counted["hits"] == (1 if library else 0), f"{name}: {counted}")
    check(seen[:2] == seen[2:] and seen[0][1] == "new\n", f"{seen}")


def report(root):
    """EFS_CACHE_REPORT: a line for each process"""
    cache = Cache(root)
    cache.write("f", "x\n")
    cache.fill()
    cache.run("cat", "f", "f", EFS_CACHE_REPORT=cache.root + "/report")
    with open(cache.root + "/report", encoding="utf-8") as file:
        text = file.read()
    check(re.fullmatch(r"efscache: \d+ cat hits=2 absent=0 .*\n", text), text)


if __name__ == "__main__":
    run(library, matrix, nginx, same_semantics, freshness, paths, own_writes, whole_directories, later_sidecars, another_mount, growing, identity,
        in_place, report)
