"""A scenario file: what is known before it runs, and running it inside the cluster."""

import ast
import importlib.util
import os
import signal
import time
import traceback

from .errors import Broken, Deadline, Failure, Skip

DEADLINE_S = 60
CONSOLE_LINES = 40
LOG_LINES = 80


class Scenario:
    """Parsed, not imported: a broken file fails alone. title is its docstring's first line."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.title, self.hosts, self.deadline_s, self.long = self.name, 1, DEADLINE_S, False
        try:
            with open(path, encoding="utf-8") as f:
                tree = ast.parse(f.read())
        except (OSError, SyntaxError, ValueError):
            return  # running it says why
        doc = ast.get_docstring(tree)
        if doc:
            self.title = f"{self.name}: {doc.splitlines()[0]}"
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    self.set_constant(getattr(target, "id", ""), node.value.value)

    def set_constant(self, name, value):
        if name == "HOSTS":
            self.hosts = int(value)
        elif name == "DEADLINE_S":
            self.deadline_s = float(value)
        elif name == "LONG":
            self.long = bool(value)

    def load(self):
        spec = importlib.util.spec_from_file_location("scenario_" + self.name, self.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def on_alarm(_signal, _frame):
    raise Deadline


def run_scenario(cluster, scenario, results_dir):
    """The outcome as a dict for the supervisor. `usable` is False when the cluster must be booted again."""
    os.makedirs(results_dir, exist_ok=True)
    cluster.results_dir = results_dir
    consoles = {m: m.console_size() for m in cluster.machines()}
    outcome = {"ok": False, "usable": True, "skip": None, "problem": "", "log": []}
    cluster.started_at = started_at = time.monotonic()
    log_path = os.path.join(results_dir, "log")
    with open(log_path, "w", encoding="utf-8", buffering=1) as cluster.log_file:
        attempt(cluster, scenario, outcome)
        for machine in cluster.machines():
            machine.log_unwaited()
        outcome["seconds"] = round(time.monotonic() - started_at, 1)
        cluster.log("---- reset")
        try:
            cluster.reset()
        except (Broken, OSError) as e:
            outcome["usable"] = False
            outcome["problem"] += f"\nThe cluster cannot be restored after it: {e}"
            cluster.log(f"reset failed: {e}")
    cluster.log_file = None
    for machine, offset in consoles.items():
        with open(os.path.join(results_dir, machine.name + ".console"), "w", encoding="utf-8") as f:
            f.write(machine.console(offset))
    if not outcome["ok"]:
        outcome["log"] = evidence(cluster, results_dir, log_path)
    return outcome


def attempt(cluster, scenario, outcome):
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, scenario.deadline_s, 1)  # again each second, should it be swallowed
    try:
        scenario.load().run(cluster)
        outcome["ok"] = True
    except Skip as e:
        outcome["ok"], outcome["skip"] = True, str(e)
    except Failure as e:
        outcome["problem"] = f"{e}\n{place(e, scenario)}"
    except Deadline as e:
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcome["problem"] = f"The scenario is not done after its deadline of {scenario.deadline_s:g} s.\n{place(e, scenario)}"
    except Broken as e:
        outcome["problem"] = f"The cluster broke: {e}\n{place(e, scenario)}"
    except Exception:  # whatever is wrong in a scenario is its failure, not the harness's
        outcome["problem"] = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def place(error, scenario):
    """Where in the scenario file it happened."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == scenario.path]
    return "\n".join(f"{os.path.basename(f.filename)}:{f.lineno}: {f.line}" for f in frames)


def log_tail(path):
    try:
        with open(path, encoding="utf-8") as f:
            return [f"---- log (all of it: {path})"] + f.read().splitlines()[-LOG_LINES:]
    except OSError:
        return []


def evidence(cluster, results_dir, log_path):
    lines = log_tail(log_path)
    for machine in cluster.machines():
        with open(os.path.join(results_dir, machine.name + ".console"), encoding="utf-8") as f:
            console = f.read().splitlines()[-CONSOLE_LINES:]
        lines += [f"---- console of {machine.name}"] + console if console else []
    return lines
