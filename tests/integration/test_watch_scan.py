#!/usr/bin/env python3
"""The reconcile scan tells what no event tells: here what happens in directories that are not watched."""
import os
import time

from watchlib import Watch, check, run, wait_for

# One directory is watched, the root; what happens below it shows only to the scan.
OPTIONS = ("--watch-max-dirs=1", "--feed-poll-idle=100ms", "--scan-rate=10000")
BASELINE_S = 1.5


def put(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def found(watch, path, op):
    return [c for c in watch.view.ops(path, op) if c["source"] == "scan"]


def wait_found(watch, path, op):
    wait_for(lambda: found(watch, path, op), lambda: f"no {op} of {path}: {watch.view.changes}")


def everything(root):
    """Files and trees that were made, changed in place, replaced and removed"""
    os.makedirs(root + b"/sub/deep")
    for name in (b"changed", b"replaced", b"removed", b"deep/still"):
        put(root + b"/sub/" + name, "before")
    with Watch(root, "--scan-interval=300ms", *OPTIONS).wait_ready() as watch:
        time.sleep(BASELINE_S)
        put(root + b"/sub/changed", "after!")
        put(root + b"/sub/.new", "after!")
        os.rename(root + b"/sub/.new", root + b"/sub/replaced")
        os.unlink(root + b"/sub/removed")
        os.makedirs(root + b"/sub/tree/branch")
        put(root + b"/sub/tree/branch/leaf", "")
        wait_found(watch, b"sub/changed", "modify")
        wait_found(watch, b"sub/replaced", "modify")
        wait_found(watch, b"sub/removed", "delete")
        for name in (b"sub/tree", b"sub/tree/branch", b"sub/tree/branch/leaf"):
            wait_found(watch, name, "create")
        os.rename(root + b"/sub/tree", root + b"/sub/moved")
        wait_found(watch, b"sub/moved/branch/leaf", "create")
        wait_found(watch, b"sub/tree", "delete")
        check(not watch.view.ops(b"sub/deep/still"), "what did not change was told")
        size = found(watch, b"sub/changed", "modify")[-1]["size"]
        check(size == 6, f"the attributes are not those of now: {size}")


def no_echo(root):
    """What events told already is not told again by the scan"""
    with Watch(root, "--scan-interval=300ms", *OPTIONS).wait_ready() as watch:
        time.sleep(BASELINE_S)
        for i in range(50):
            put(root + b"/f%d" % i, "x")
        os.rename(root + b"/f0", root + b"/g0")
        os.unlink(root + b"/f1")
        time.sleep(4)  # a finding waits 2.1 s for somebody's word
        again = [c for c in watch.view.changes if c["source"] == "scan"]
        check(not again, f"told again: {again}")


def off(root):
    """By default nothing is scanned"""
    os.mkdir(root + b"/sub")
    with Watch(root, *OPTIONS).wait_ready() as watch:
        put(root + b"/sub/unseen", "")
        put(root + b"/seen", "")
        wait_for(lambda: watch.view.ops(b"seen"), "nothing was told")
        time.sleep(3)
        check(not watch.view.ops(b"sub/unseen"), "it was scanned")


run(everything, no_echo, off)
