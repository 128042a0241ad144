"""What the gate_ scenarios share: run efs-init on a host and look at its answer."""

import json
from collections import namedtuple

from .errors import equal, matches

Outcome = namedtuple("Outcome", "rc seconds lines answer report")


def run(host, args, timeout=30, env=None):
    """efs-init's outcome; answer is the last of its lines, report its JSON."""
    result = host.run(f"efs-init --format json --run-dir /run/gate {args}", timeout=timeout, check=False, env=env)
    lines = result.stderr.strip()
    return Outcome(result.rc, result.seconds, lines, lines.rpartition("\n")[2], json.loads(result.stdout or "null"))


def passes(host, args, timeout=30, env=None):
    result = run(host, args, timeout, env)
    equal(f"exit code of efs-init {args} ({result.lines})", result.rc, 0)
    matches("its last line", result.answer, "^efs-init: ready ")
    equal("ok in the ready report", json.loads(host.read("/run/gate/ready.json"))["ok"], True)
    return result


def refuses(host, args, code, cause, words, timeout=30, env=None):
    """words: a regular expression for the last line, in which cause, reason and remedy stand."""
    result = run(host, args, timeout, env)
    equal(f"exit code of efs-init {args} ({result.lines})", result.rc, code)
    matches("its last line", result.answer, rf"^efs-init: NOT READY \({cause}, exit {code}\): ")
    matches("its last line", result.answer, words)
    ready = json.loads(host.read("/run/gate/ready.json"))
    equal("ok and cause in the ready report", (ready["ok"], ready["cause"]), (False, cause))
    return result


def verdicts(result):
    """(id, verdict) of every check of the first mount."""
    return [(check["id"], check["verdict"]) for check in result.report["mounts"][0]["checks"]]
