#!/usr/bin/env python3
"""efs-watch sees every change of a tree: creation, renames, moves, odd names."""
import ctypes
import os

from watchlib import View, Watch, check, run, tree, wait_for


def make_trees(root, count):
    for i in range(count):
        top = os.path.join(root, b"t%d" % i)
        os.makedirs(os.path.join(top, b"s1/s2"))
        for place in (b"", b"s1", b"s1/s2"):
            with open(os.path.join(top, place, b"file"), "wb") as f:
                f.write(b"x" * (i + 1))


def nested_trees(root):
    """500 nested trees of directories and 1500 files are all reported, with their sizes"""
    with Watch(root).wait_ready() as watch:
        make_trees(root, 500)
        watch.wait_equal(root, "after creating the trees")
        files = {c["path"]: c for c in watch.view.ops() if c["path"].endswith("/file")}
        check(len(files) == 1500, f"{len(files)} of 1500 files")
        wrong = [c for p, c in files.items() if c.get("size") != int(p.split("/")[0][1:]) + 1]
        check(not wrong, f"{len(wrong)} with a wrong size, as {wrong[:2]}")
        return f"{len(files)}/1500 files"


def rename_with_common_prefix(root):
    """`ab` renamed while `abc` exists: paths stay right"""
    for name in (b"ab/in", b"abc/in"):
        os.makedirs(os.path.join(root, name))
    with Watch(root).wait_ready() as watch:
        os.rename(root + b"/ab", root + b"/xy")
        for name in (b"xy/in/1", b"abc/in/2", b"xy/3", b"abc/4"):
            open(os.path.join(root, name), "w").close()
        wanted = {b"xy", b"xy/in/1", b"abc/in/2", b"xy/3", b"abc/4"}
        wait_for(lambda: watch.view.snapshot() == wanted,
                 lambda: f"view is {watch.view.snapshot()}")
        renames = watch.view.ops(op="rename")
        check([(c["from"], c["path"], c["dir"]) for c in renames] == [("ab", "xy", True)],
              f"renames {renames}")


def moves(root):
    """Directories and files moved in, out and around keep the view equal to the tree"""
    outside = root + b"/.efs-stage"  # excluded, so outside of what is watched
    inside = root + b"/in"
    for path in (outside, inside):
        os.mkdir(path)
    with Watch(root, view=View([b"in"])).wait_ready() as watch:
        make_trees(outside, 3)
        os.rename(outside + b"/t0", inside + b"/arrived")
        watch.wait_equal(root, "moved in", skip=(b".efs-stage",), seconds=10)
        open(inside + b"/arrived/s1/s2/later", "w").close()
        os.rename(inside + b"/arrived/s1", inside + b"/arrived2")
        open(inside + b"/arrived2/s2/latest", "w").close()
        watch.wait_equal(root, "moved around", skip=(b".efs-stage",), seconds=10)
        os.rename(inside + b"/arrived2", outside + b"/gone")
        open(outside + b"/gone/s2/unseen", "w").close()
        os.rename(outside + b"/t1/file", inside + b"/published")
        watch.wait_equal(root, "moved out", skip=(b".efs-stage",), seconds=10)
        check(watch.view.ops(b"in/arrived2", "delete"), "no delete for the directory that left")
        published = watch.view.ops(b"in/published")
        check([c["op"] for c in published] == ["create"] and published[0]["size"] == 2,
              f"published: {published}")
        check(not [c for c in watch.view.ops() if ".efs-stage" in c["path"]], "the stage was shown")


def rename_storm(root):
    """Directories renamed while files are made in them: nothing is lost"""
    os.mkdir(root + b"/d0")
    with Watch(root).wait_ready() as watch:
        for i in range(300):
            here = root + b"/d%d" % i
            os.mkdir(here + b"/sub%d" % i)
            for place in (b"/sub%d/f" % i, b"/g%d" % i):
                open(here + place, "w").close()
            os.rename(here, root + b"/d%d" % (i + 1))
        watch.wait_equal(root, "after 300 renames")


def swaps(root):
    """Names that change places keep their places in the view"""
    with Watch(root).wait_ready() as watch:
        for name in b"a", b"b":
            os.makedirs(os.path.join(root, name, name))
        watch.wait_equal(root, "two directories")
        os.rename(root + b"/a", root + b"/t")
        os.rename(root + b"/b", root + b"/a")
        os.rename(root + b"/t", root + b"/b")
        open(root + b"/a/new", "w").close()
        watch.wait_equal(root, "swapped")
        check(b"b/a" in watch.view.snapshot(), "b is not the former a")


def exchange(root):
    """Two names exchanged in one step: both are told"""
    rename_exchange = 2
    libc = ctypes.CDLL(None, use_errno=True)
    for name in b"d1", b"d2":
        os.makedirs(os.path.join(root, name, b"in-" + name))
    for name in b"f1", b"f2":
        open(os.path.join(root, name), "w").close()
    with Watch(root, view=View(tree(root))).wait_ready() as watch:
        for one, other in ((b"f1", b"f2"), (b"d1", b"d2")):
            done = libc.renameat2(-100, os.path.join(root, one), -100, os.path.join(root, other),
                                  rename_exchange)
            check(done == 0, os.strerror(ctypes.get_errno()))
            watch.wait_equal(root, "exchanged", seconds=10)
        open(root + b"/d1/in-d2/new", "w").close()
        open(root + b"/d2/in-d1/new", "w").close()
        watch.wait_equal(root, "after the exchange", seconds=10)


def replaced_by_rename(root):
    """Write beside, then rename over: one change of the final name, none of the temporary one"""
    target = root + b"/data"
    open(target, "w").close()
    with Watch(root, "--watch-batch=300ms").wait_ready() as watch:
        with open(root + b"/.data.tmp", "w") as f:
            f.write("12345")
        os.rename(root + b"/.data.tmp", target)
        wait_for(lambda: watch.view.ops(b"data"), "no change")
        told = [(c["path"], c["op"], c.get("size")) for c in watch.view.ops()]
        check(told == [("data", "create", 5)], f"told {told}")


def short_lived(root):
    """What came and went within a batch is not told; repeated writes are told once"""
    with Watch(root, "--watch-batch=300ms").wait_ready() as watch:
        for _ in range(100):
            open(root + b"/temporary", "w").close()
            os.unlink(root + b"/temporary")
            with open(root + b"/kept", "a") as f:
                f.write("x")
        wait_for(lambda: watch.view.ops(b"kept"), "no change")
        told = [(c["path"], c["op"], c["size"]) for c in watch.view.ops()]
        check(told == [("kept", "create", 100)], f"told {told}")


def not_utf8(root):
    """Names that are not UTF-8 survive exactly"""
    os.mkdir(root + b"/caf\xe9")
    with Watch(root).wait_ready() as watch:
        for name in (b"caf\xe9/\xff\xfe", b"new\nline \"quoted\" \\", b"\x80dir/\xf0\x9f\x98\x80"):
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            open(os.path.join(root, name), "w").close()
        os.rename(root + b"/caf\xe9", root + b"/cafe\xcc")
        wanted = {b"cafe\xcc", b"cafe\xcc/\xff\xfe", b"new\nline \"quoted\" \\", b"\x80dir",
                  b"\x80dir/\xf0\x9f\x98\x80"}
        wait_for(lambda: watch.view.snapshot() == wanted,
                 lambda: f"view is {watch.view.snapshot()}")


def links(root):
    """Symbolic links are entries, never followed"""
    with Watch(root).wait_ready() as watch:
        os.makedirs(root + b"/real/dir")
        os.symlink(b"real", root + b"/link")
        os.symlink(b"/", root + b"/slash")
        watch.wait_equal(root, "with links")
        open(root + b"/link/dir/f", "w").close()
        watch.wait_equal(root, "a file through the link")


if __name__ == "__main__":
    run(nested_trees, rename_with_common_prefix, moves, rename_storm, swaps, exchange, replaced_by_rename,
        short_lived, not_utf8, links)
