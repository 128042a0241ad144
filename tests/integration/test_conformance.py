#!/usr/bin/env python3
"""efsctl conformance on a local directory: alone, two together, and when something does not hold. Real NFS: tests/cluster."""
import json
import os
import shutil
import subprocess

from watchlib import check, run

EFSCTL = os.path.join(os.environ.get("BUILD", "build"), "efsctl")


def conformance(root, *options, wrap=()):
    return subprocess.Popen([*wrap, EFSCTL, "conformance", "--json", *options, root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    output, errors = process.communicate(timeout=120)
    return process.returncode, {p["id"]: p for p in json.loads(output)["properties"]} if output else {}, errors


def alone(root):
    """all that one host can try holds here, and nothing is left behind"""
    code, found, errors = finish(conformance(root))
    check(code == 0 and len(found) == 16, f"{code} {errors} {found}")
    check({p["verdict"] for p in found.values()} == {"holds", "measured"}, f"{found}")
    check(os.listdir(root) == [], f"{os.listdir(root)}")


def together(root):
    """two at once try what takes two, and both say the same"""
    both = [conformance(root, "--peer"), conformance(root, "--peer")]
    results = [finish(process) for process in both]
    for code, found, errors in results:
        check(code == 0 and len([i for i in found if i.startswith("peer-")]) == 8, f"{code} {errors} {found}")
    of_peer = [{i: p for i, p in found.items() if i.startswith("peer-")} for _, found, _ in results]
    check(of_peer[0] == of_peer[1], f"{of_peer}")
    check(os.listdir(root) == [], f"{os.listdir(root)}")


def broken(root):
    """a file system that lies about link() and fails at fsync() is found out"""
    check(shutil.which("strace"), "strace is missing")
    code, found, _ = finish(conformance(root, wrap=("strace", "-f", "-qq", "-e", "trace=linkat,fsync", "-o", "/dev/null", "-e", "inject=linkat:retval=0")))
    check(code == 1 and found["link-exclusive"]["verdict"] == "FAILS", f"{code} {found.get('link-exclusive')}")
    code, found, _ = finish(conformance(root, wrap=("strace", "-f", "-qq", "-e", "trace=fsync", "-o", "/dev/null", "-e", "inject=fsync:error=EIO")))
    check(code == 1 and found["names"]["verdict"] == "FAILS" and "Input/output error" in found["names"]["observed"], f"{found}")
    check(found["lock-conflict"]["verdict"] == "holds", f"{found}")


def hopeless(root):
    """a directory that is not there, or cannot be written, is named"""
    for path in (root.decode() + "/nowhere", "/proc"):
        code, found, errors = finish(conformance(path))
        check(code == 1 and not found and path in errors, f"{code} {errors}")


if __name__ == "__main__":
    run(alone, together, broken, hopeless)
