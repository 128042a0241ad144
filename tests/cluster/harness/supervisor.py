"""Hands the scenarios to workers, one at a time to each, and prints TAP.

A worker is a cluster in a sandbox: a pid, mount and network namespace of its own. When its first process dies, the kernel ends
the rest. It dies with the supervisor (a chain of parent death signals: supervisor, unshare, worker), so nothing survives,
however this process ends. A worker that answers too late or has broken its cluster is killed and another one boots for the rest.

Most of a scenario is waiting, so several clusters run at once and share a queue. A scenario that fails beside another cluster
runs again alone, and that counts: clusters share the processors, and time is part of many scenarios.
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


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


class Worker:
    """A cluster, booting at first. Use close(): at the end nothing of it is left."""

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
        self.booted, self.scenario = False, None
        self.began = time.monotonic()
        self.limit_s = 3 * options.boot_timeout

    def close(self):
        sandbox = [int(p) for p in os.listdir("/proc") if p.isdigit() and parent_of(p) == self.process.pid]
        self.process.kill()
        self.process.wait()
        for pid in sandbox:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass
        self.stderr.close()

    def send(self, order, limit_s):
        self.began, self.limit_s = time.monotonic(), limit_s
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as e:
            raise WorkerDied(f"the worker is gone: {e}") from e

    def left_s(self):
        return self.began + self.limit_s - time.monotonic()

    def answer(self, readable):
        """What it said since it was asked, None as long as that is not whole."""
        if readable:
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                with open(self.log_path, encoding="utf-8", errors="replace") as f:
                    raise WorkerDied("the worker died: " + f.read()[-2000:])
            self.buffer += data
        if b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            return json.loads(line)
        if self.left_s() <= 0:
            raise WorkerDied(f"the worker did not answer within {self.limit_s:.0f} s")
        return None


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
            self.problem(outcome)

    def problem(self, outcome):
        self.comment("\n".join([outcome["problem"].strip()] + outcome.get("log", [])))


class Run:
    """The scenarios of a queue, in so many clusters at once. Those that failed beside another one are in `again` afterwards."""

    def __init__(self, options, scenarios, clusters, tap, results):
        self.options, self.tap, self.results = options, tap, results
        self.queue, self.again = list(scenarios), []
        self.clusters = min(clusters, len(scenarios))
        self.workers, self.boots, self.boots_failed = [], 0, 0

    def to_the_end(self):
        try:
            while True:
                wanted = 0 if self.boots_failed >= BOOTS_FAILED_MAX else min(self.clusters - len(self.workers), len(self.queue))
                for _ in range(wanted):
                    self.boots += 1
                    self.workers.append(Worker(self.options, os.path.join(self.results, f"boot.{self.boots}")))
                if not self.workers:
                    return
                self.wait()
        finally:
            for worker in self.workers:
                worker.close()

    def wait(self):
        left_s = min(worker.left_s() for worker in self.workers)
        readable = select.select([w.process.stdout for w in self.workers], [], [], max(left_s, 0))[0]
        for worker in list(self.workers):
            try:
                answer = worker.answer(worker.process.stdout in readable)
                if answer is not None:
                    self.heard(worker, answer)
            except WorkerDied as e:
                self.died(worker, str(e))

    def heard(self, worker, answer):
        if worker.scenario:
            scenario, worker.scenario = worker.scenario, None
            self.done(scenario, answer)
            if not answer["usable"]:
                self.drop(worker)
                return
        elif "broken" in answer:
            raise WorkerDied(answer["broken"])
        elif not worker.booted:
            worker.booted, self.boots_failed = True, 0
            self.tap.comment(f"a server and {self.options.hosts} hosts are up after {time.monotonic() - worker.began:.1f} s")
        if self.queue:
            worker.scenario = self.queue.pop(0)
            order = {"path": worker.scenario.path, "results": self.results_of(worker.scenario)}
            worker.send(order, worker.scenario.deadline_s + RESET_LIMIT_S)
        elif self.options.keep:
            worker.send({"prompt": True}, 0)
            worker.process.wait()
            self.drop(worker)
        else:
            self.drop(worker)

    def died(self, worker, why):
        if worker.scenario:
            log = log_tail(f"{self.results_of(worker.scenario)}/log")
            self.done(worker.scenario, {"ok": False, "usable": False, "problem": why, "log": log})
        else:
            self.boots_failed += not worker.booted
            self.tap.comment(why)
        self.drop(worker)

    def drop(self, worker):
        self.workers.remove(worker)
        worker.close()

    def done(self, scenario, outcome):
        ok = outcome["ok"] and outcome["usable"]
        if not ok and self.clusters > 1:
            self.again.append(scenario)
            self.tap.comment(f"{scenario.name} failed beside another cluster; it runs again alone at the end")
            self.tap.problem(outcome)
        else:
            self.tap.result(ok, scenario.title, outcome)

    def results_of(self, scenario):
        return os.path.join(self.results, scenario.name)


def supervise(options, scenarios):
    """The exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    shutil.rmtree(options.results, ignore_errors=True)
    tap = Tap(len(scenarios))
    if options.clusters > 1:  # the long ones first: else the last cluster is alone with one in the end
        scenarios = sorted(scenarios, key=lambda s: -s.deadline_s)
    again = []
    try:
        run = Run(options, scenarios, options.clusters, tap, options.results)
        run.to_the_end()
        again, not_run = run.again, run.queue
        if again:
            tap.comment("again, with nothing beside it: " + " ".join(s.name for s in again))
            run = Run(options, again, 1, tap, os.path.join(options.results, "again"))
            run.to_the_end()
            not_run += run.queue
    except Interrupted as e:
        name = signal.Signals(e.args[0]).name
        print(f"Bail out! {name}: stopped, {len(scenarios) - tap.count} scenarios not run to their end", flush=True)
        return 128 + e.args[0]
    for scenario in not_run:
        tap.result(False, scenario.title, {"problem": "Not run, because the cluster did not boot."})
    tap.comment(f"{tap.count - tap.failed} of {len(scenarios)} passed; logs are in {options.results}")
    names = "; again alone: " + " ".join(s.name for s in again) if again else ""
    print(f"cluster: {tap.count - tap.failed} passed, {tap.failed} failed{names}", flush=True)
    return 1 if tap.failed else 0
