#!/usr/bin/env python3
"""efsctl conformance on a local directory: alone, two together, and when something does not hold. Real NFS: tests/cluster."""
import ctypes
import errno
import json
import os
import subprocess

from watchlib import check, run

EFSCTL = os.path.join(os.environ.get("BUILD", "build"), "efsctl")


def conformance(root, *options, before=None):
    return subprocess.Popen([EFSCTL, "conformance", "--json", *options, root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=before)


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


def answered(call, code):
    """Before exec: this system call is not made, but answered with that errno, or with success if it is 0."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    allow, answer = 0x7fff0000, 0x00050000 | code  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO

    def load():
        rules = ctypes.c_void_p(seccomp.seccomp_init(allow))
        number = seccomp.seccomp_syscall_resolve_name(call)
        if number < 0 or seccomp.seccomp_rule_add(rules, answer, number, 0) < 0 or seccomp.seccomp_load(rules) < 0:
            raise OSError("no filter of system calls")
    return load


def broken(root):
    """a file system that lies about link() and fails at fsync() is found out"""
    code, found, _ = finish(conformance(root, before=answered(b"linkat", 0)))
    check(code == 1 and found["link-exclusive"]["verdict"] == "FAILS", f"{code} {found.get('link-exclusive')}")
    code, found, _ = finish(conformance(root, before=answered(b"fsync", errno.EIO)))
    check(code == 1 and found["names"]["verdict"] == "FAILS" and "Input/output error" in found["names"]["observed"], f"{found}")
    check(found["lock-conflict"]["verdict"] == "holds", f"{found}")


def hopeless(root):
    """a directory that is not there, or cannot be written, is named"""
    for path in (root.decode() + "/nowhere", "/proc"):
        code, found, errors = finish(conformance(path))
        check(code == 1 and not found and path in errors, f"{code} {errors}")


if __name__ == "__main__":
    run(alone, together, broken, hopeless)
