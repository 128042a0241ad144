#!/usr/bin/env python3
"""efs-watch where others lose: overflows, churn while it starts, slow readers."""
import os
import signal
import subprocess
import sys
import time

from watchlib import PROGRAM, View, Watch, check, die_with_parent, run, tree, wait_for

# A process of its own, so that the watcher's process and the changes really run at once.
CHURN = r"""
import os, sys
root = sys.argv[1].encode()
i = 0
while True:
    top = b"%s/churn%d" % (root, i % 50)
    try:
        os.makedirs(top + b"/a/b")
        open(top + b"/a/b/f", "w").close()
        os.rename(top + b"/a", top + b"/c")
        open(root + b"/temporary%d" % i, "w").close()
        os.unlink(root + b"/temporary%d" % i)
        if i % 3:
            os.unlink(top + b"/c/b/f"); os.rmdir(top + b"/c/b"); os.rmdir(top + b"/c"); os.rmdir(top)
    except OSError:
        pass
    i += 1
"""


def start_churn(root):
    return subprocess.Popen([sys.executable, "-c", CHURN, root.decode()],
                            preexec_fn=die_with_parent)


def stop(process):
    process.kill()
    process.wait()


def queue_limit():
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as limit:
        return int(limit.read())


def overflow(root):
    """An overflowed queue (SIGSTOP, 20,000 creates, a mkdir, SIGCONT): the view ends equal to the tree"""
    count = max(20000, queue_limit() + 1000)
    os.mkdir(root + b"/doomed")
    open(root + b"/doomed/f", "w").close()
    with Watch(root, view=View(tree(root))).wait_ready() as watch:
        watch.process.send_signal(signal.SIGSTOP)
        for i in range(count):
            open(b"%s/f%d" % (root, i), "w").close()
        os.mkdir(root + b"/new")
        os.unlink(root + b"/doomed/f")
        os.rmdir(root + b"/doomed")
        watch.process.send_signal(signal.SIGCONT)
        wait_for(lambda: watch.view.ops(b"", "resync"), "no resync")
        watch.wait_equal(root, "after the overflow")
        open(root + b"/new/afterwards", "w").close()
        watch.wait_equal(root, "a file in the new directory afterwards", seconds=10)
        reasons = [c["reason"] for c in watch.view.ops(op="resync")]
        check(reasons == ["overflow"], f"resyncs {reasons}")
        return f"{count} files"


def overflows_again_and_again(root):
    """Overflows in the middle of the repair of overflows"""
    os.makedirs(root + b"/deep/er")
    with Watch(root, view=View(tree(root))).wait_ready() as watch:
        for round_ in range(4):
            watch.process.send_signal(signal.SIGSTOP)
            for i in range(queue_limit() // 3 + 100):
                name = b"%s/deep/er/f%d" % (root, i)
                open(name, "w").close()
                os.rename(name, name + b"x")
            os.mkdir(b"%s/deep/d%d" % (root, round_))
            watch.process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        open(b"%s/deep/d3/last" % root, "w").close()
        watch.wait_equal(root, "after 4 overflows")


def churn_during_start(root):
    """Directories come, move and go while it starts: every directory ends up watched"""
    for i in range(2000):
        os.makedirs(b"%s/old%d/x/y/z" % (root, i))
    churn = start_churn(root)
    try:
        time.sleep(0.2)
        with Watch(root, "--watch-max-dirs=100000").wait_ready() as watch:
            time.sleep(0.3)
            stop(churn)
            dirs = [p for p in tree(root) if os.path.isdir(os.path.join(root, p))]
            for path in dirs:
                open(os.path.join(root, path, b"proof"), "w").close()
            wanted = {os.path.join(p, b"proof") for p in dirs}
            wait_for(lambda: wanted <= watch.view.snapshot(), lambda:
                     f"{len(wanted - watch.view.snapshot())} of {len(dirs)} directories are not "
                     f"watched, as {sorted(wanted - watch.view.snapshot())[:3]}")
            return f"{len(dirs)} directories"
    finally:
        stop(churn)


def churn(root):
    """Two seconds of making, moving and removing directories: the view ends equal to the tree"""
    with Watch(root).wait_ready() as watch:
        churning = start_churn(root)
        try:
            time.sleep(2)
        finally:
            stop(churning)
        watch.wait_equal(root, "after the churn")
        return f"{len(watch.view.ops())} changes"


def slow_reader(root):
    """A reader that stops: memory stays flat, a resync says so, the view recovers"""
    with Watch(root, "--watch-batch=10ms").wait_ready() as watch:
        open(root + b"/first", "w").close()
        wait_for(lambda: watch.view.snapshot() == {b"first"}, "the first change is not told")
        watch.reading.clear()
        before = watch.rss_kib()
        for i in range(queue_limit() * 3):
            open(b"%s/file-with-a-name-of-some-length-%d" % (root, i), "w").close()
        time.sleep(0.5)
        grown = watch.rss_kib() - before
        check(grown < 8 * 1024, f"grew by {grown} KiB")
        cpu = watch.cpu_s()
        time.sleep(1)
        check(watch.cpu_s() - cpu < 0.1, f"took {watch.cpu_s() - cpu} s of CPU while it waited")
        watch.reading.set()
        watch.wait_equal(root, "after the reader went on")
        reasons = {c["reason"] for c in watch.view.ops(op="resync")}
        check(reasons == {"slow_reader"}, f"resyncs {reasons}")
        return f"grew by {grown} KiB"


def reader_leaves(root):
    """A reader that leaves ends it quietly, also while nothing happens"""
    for change in (True, False):
        ours, theirs = os.pipe()
        process = subprocess.Popen([PROGRAM, root], stdout=theirs, stderr=subprocess.PIPE,
                                   preexec_fn=die_with_parent)
        os.close(theirs)
        check(b"ready" in os.read(ours, 4096), "no ready line")
        os.close(ours)
        if change:
            open(root + b"/f", "w").close()
        check(process.wait(10) == 0, f"exit code {process.returncode}")
        check(process.stderr.read() == b"", "it complained")


if __name__ == "__main__":
    run(overflow, overflows_again_and_again, churn_during_start, churn, slow_reader, reader_leaves)
