"""Hands the scenarios to a worker in a sandbox, one at a time, and prints TAP.

The sandbox is a pid, mount and network namespace of its own: when its first process dies, the kernel ends the rest. It
dies with the supervisor (a chain of parent death signals: supervisor, unshare, worker), so nothing survives, however this
process ends. A worker that answers too late or has broken its cluster is killed and another one boots for the rest.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

from .scenario import log_tail

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
RESET_LIMIT_S = 60
BOOTS_FAILED_MAX = 2
libc = ctypes.CDLL(None, use_errno=True)


class Interrupted(BaseException):
    pass


class WorkerDied(Exception):
    pass


def on_signal(number, _frame):
    raise Interrupted(number)


class Worker:
    """A booted cluster. Use with `with`: at the end nothing of it is left."""

    def __init__(self, options, results):
        os.makedirs(results, exist_ok=True)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # to see the sandbox's first process end, too
        self.stderr = open(os.path.join(results, "worker"), "wb")
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--net", "--mount", "--mount-proc", "--",
             sys.executable, "-B", "-m", "harness.worker", options.top, options.build, results,
             str(options.hosts), str(options.boot_timeout), options.memory],
            cwd=os.path.join(options.top, "tests/cluster"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.stderr, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        self.log_path = self.stderr.name
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass
        self.stderr.close()

    def send(self, order):
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as e:
            raise WorkerDied(f"the worker is gone: {e}") from e

    def answer(self, timeout):
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise WorkerDied(f"the worker did not answer within {timeout:.0f} s")
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                with open(self.log_path, encoding="utf-8", errors="replace") as f:
                    raise WorkerDied("the worker died: " + f.read()[-2000:])
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)


class Tap:
    def __init__(self, planned):
        self.count = self.failed = 0
        print(f"1..{planned}", flush=True)

    def comment(self, text):
        for line in text.splitlines():
            print("# " + line, flush=True)

    def result(self, ok, title, outcome):
        self.count += 1
        self.failed += not ok
        note = f" # SKIP {outcome['skip']}" if outcome.get("skip") else f" # {outcome.get('seconds', 0):.1f} s"
        print(f"{'ok' if ok else 'not ok'} {self.count} - {title}{note}", flush=True)
        if not ok:
            self.comment("\n".join([outcome["problem"].strip()] + outcome.get("log", [])))


def supervise(options, scenarios):
    """The exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    shutil.rmtree(options.results, ignore_errors=True)
    tap = Tap(len(scenarios))
    queue, boots, failed_boots = list(scenarios), 0, 0
    try:
        while queue and failed_boots < BOOTS_FAILED_MAX:
            boots += 1
            with Worker(options, os.path.join(options.results, f"boot.{boots}")) as worker:
                try:
                    boot(worker, options, tap)
                    failed_boots = 0
                except WorkerDied as e:
                    failed_boots += 1
                    tap.comment(str(e))
                    continue
                run_queue(worker, options, queue, tap)
                if options.keep and not queue:
                    worker.send({"prompt": True})
                    worker.process.wait()
    except Interrupted as e:
        name = signal.Signals(e.args[0]).name
        print(f"Bail out! {name}: stopped, {len(queue)} scenarios not run to their end", flush=True)
        return 128 + e.args[0]
    for scenario in queue:
        tap.result(False, scenario.title, {"problem": "Not run, because the cluster did not boot."})
    tap.comment(f"{tap.count - tap.failed} of {len(scenarios)} passed; logs are in {options.results}")
    return 1 if tap.failed else 0


def boot(worker, options, tap):
    began = time.monotonic()
    hello = worker.answer(3 * options.boot_timeout)
    if "broken" in hello:
        raise WorkerDied(hello["broken"])
    tap.comment(f"a server and {options.hosts} hosts are up after {time.monotonic() - began:.1f} s")


def run_queue(worker, options, queue, tap):
    """Until the queue is empty or the worker is of no more use."""
    while queue:
        scenario = queue[0]
        results = os.path.join(options.results, scenario.name)
        try:
            worker.send({"path": scenario.path, "results": results})
            outcome = worker.answer(scenario.deadline_s + RESET_LIMIT_S)
        except WorkerDied as e:
            outcome = {"ok": False, "usable": False, "problem": str(e), "log": log_tail(f"{results}/log")}
        queue.pop(0)
        ok = outcome["ok"] and outcome["usable"]
        tap.result(ok, scenario.title, outcome)
        if not outcome["usable"]:
            return
