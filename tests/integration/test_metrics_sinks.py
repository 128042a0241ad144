#!/usr/bin/env python3
"""Several sinks at once: what one of them loses is not counted twice by the others; EMF in a file that fills up its disk."""
import collections
import fcntl
import json
import os
import subprocess
import time

from awslib import own_network
from sidecarlib import Sidecar
from watchlib import check, run, wait_for

OPTIONS = ("--metrics-interval=1s", "--metrics-set=all", "--metrics-max-series=10000", "--watch-enabled=false", "--cluster=prod",
           "--canary-interval=0")


def lines(*paths):
    """All EMF lines of the files, each whole."""
    found = []
    for path in paths:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                found += [json.loads(line) for line in f.read().splitlines()]
    return found


def sums(events):
    total = collections.Counter()
    for event in events:
        for name in ("Heartbeat", "ApiRequests"):
            total[name] += event.get(name, 0)
    return total


def independent(root):
    """stdout blocks: the file gets each interval once, and stdout what it lost with the next line that gets through"""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    path = os.path.join(root.decode(), "emf.log")
    with Sidecar(root, *OPTIONS, "--metrics-sinks=emf,emf_file", f"--metrics-emf-file={path}", mounts=[f"m{i}" for i in range(16)],
                 stdout=write_end) as sidecar:
        os.close(write_end)
        wait_for(lambda: sidecar.status()["metrics_dropped"] > 20, "stdout does not block", 120)
        condition = sidecar.condition("MetricsPublishing")
        check(condition["reason"] == "OutputBlocked" and condition["message"].startswith("emf: "), f"{condition}")
        os.set_blocking(read_end, False)
        text = b""

        def drain():
            nonlocal text
            try:
                while more := os.read(read_end, 65536):
                    text += more
            except BlockingIOError:
                pass
            return sidecar.condition("MetricsPublishing")["status"] == "True"
        wait_for(drain, "publishing did not recover", 20)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            drain()
            time.sleep(0.05)
        stopper = sidecar.process
        stopper.terminate()
        while stopper.poll() is None:
            try:
                text += os.read(read_end, 65536)
            except BlockingIOError:
                time.sleep(0.01)
        os.set_blocking(read_end, True)
        while more := os.read(read_end, 65536):
            text += more
        check(stopper.returncode == 0, "exit code")
    file_lines, stdout_lines = lines(path), [json.loads(line) for line in text.decode().splitlines()]
    beats = [e["Heartbeat"] for e in file_lines if "Heartbeat" in e]
    check(set(beats) == {1}, f"the file has intervals that stdout lost once more: {beats}")
    check(sums(file_lines) == sums(stdout_lines), f"file {sums(file_lines)}, stdout {sums(stdout_lines)}")
    check(len(stdout_lines) < len(file_lines), "stdout lost nothing")
    return f"{len(file_lines)} lines in the file, {len(stdout_lines)} on stdout, the same sums {dict(sums(file_lines))}"


def no_space(root):
    """the disk of the file is full: whole lines, drops counted and told, and it goes on when there is space again"""
    disk = os.path.join(root.decode(), "disk")
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk], check=True, timeout=10)
    path = os.path.join(disk, "emf.log")
    try:
        with Sidecar(root, *OPTIONS, "--metrics-sinks=emf_file", f"--metrics-emf-file={path}", "--metrics-emf-file-size=64KiB",
                     mounts=[f"m{i}" for i in range(16)]) as sidecar:
            wait_for(lambda: sidecar.status()["metrics_dropped"] > 5, "the disk does not fill", 60)
            condition = sidecar.condition("MetricsPublishing")
            check(condition["reason"] == "FileError" and "ENOSPC" in condition["message"], f"{condition}")
            check(sidecar.health_ms() < 500, "slow")
            before = len(lines(path + ".1", path))
            os.unlink(path + ".1")
            wait_for(lambda: sidecar.condition("MetricsPublishing")["status"] == "True", "it does not go on", 20)
            dropped = sidecar.status()["metrics_dropped"]
            check(sidecar.stop() == 0, "exit code")
            after = len(lines(path + ".1", path))
            check(os.path.getsize(sidecar.out_path) == 0, "lines on stdout, too")
            return f"{before} lines, {dropped} dropped, {after} lines"
    finally:
        subprocess.run(["umount", "-l", disk], check=True, timeout=10)


def wrong(root):
    """a sink without what it needs is named at the start"""
    for options, words in ((("--metrics-sinks=emf_file",), "metrics.emf_file"), (("--metrics-sinks=cloudwach",), "emf, emf_file, cloudwatch, none"),
                           (("--metrics-sinks=emf_file", "--metrics-emf-file=/nowhere/x"), "/nowhere/x")):
        sidecar = Sidecar(root, *options)
        wait_for(lambda: sidecar.process.poll() is not None, "it runs", 10)
        check(sidecar.process.returncode != 0 and words in sidecar.log(), f"{options}: {sidecar.log()}")


if __name__ == "__main__":
    own_network()
    run(independent, no_space, wrong)
