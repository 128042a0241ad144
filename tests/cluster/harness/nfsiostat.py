"""nfsiostat's own functions (nfs-common), for two snapshots of /proc/self/mountstats."""

import ast
import contextlib
import io
import os
import re
from collections import namedtuple

PROGRAM = "/usr/sbin/nfsiostat"

Figures = namedtuple("Figures", "ops kb retransmissions rtt_ms execute_ms queue_ms errors")


def _load():
    """Its definitions; it is a script that would run when imported."""
    with open(PROGRAM, encoding="utf-8") as source:
        tree = ast.parse(source.read())
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)
    tree.body = [node for node in tree.body if isinstance(node, kept)]
    names = {}
    exec(compile(tree, PROGRAM, "exec"), names)  # pylint: disable=exec-used
    return names


class Difference:
    """What happened on one mount between two files."""

    def __init__(self, before_file, after_file, path):
        program = _load()
        mounts = []
        for file in before_file, after_file:
            mounts.append(program["DeviceData"]())
            mounts[-1].parse_stats(program["parse_stats_file"](file)[path])
        self.device = mounts[1].compare_iostats(mounts[0])

    def _printed(self, name, *args):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            getattr(self.device, name)(*args)
        return out.getvalue()

    def op(self, name):
        """Its line for one operation, as it prints it for an interval of one second."""
        line = self._printed("_DeviceData__print_rpc_op_stats", name, 1).splitlines()[1]
        words = re.sub(r"\([^)]*\)", "", line).split()
        ops, kb, _, retransmissions, rtt, execute, queue, errors = words
        return Figures(ops, kb, int(retransmissions), rtt, execute, queue, int(errors))

    def ops(self):
        return [name for name in self.device._DeviceData__rpc_data["ops"]  # pylint: disable=protected-access
                if float(self.op(name).ops) > 0]

    def backlog(self):
        return self._printed("display_iostats", 1, 0).splitlines()[4].split()[1]

    def counter(self, name):
        return self.device._DeviceData__nfs_data[name]  # pylint: disable=protected-access


def snapshot(host, name, directory):
    """A copy of the host's counters in a file of this machine."""
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(host.read("/proc/self/mountstats"))
    return path
