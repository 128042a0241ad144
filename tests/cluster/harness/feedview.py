"""What a consumer of a feed believes the tree to be, and how that differs from the tree.

The rules of lib/share/change.h: a change is the state of a path; a rename moves all beneath it; a resync forgets what lies at and
under its path, and what exists there is reported again.
"""

import json
from collections import namedtuple

# The size and mtime of a file whose other name was written through are told under that name only; see storm.c for the letters.
EXACT = "fm"
IGNORED = (".efs-sidecar", ".efs-stage", ".owner", ".stage", ".claims", ".orphans", ".retry", ".dead")

Entry = namedtuple("Entry", "type links size mtime")  # as `storm list` prints them


class Ticks:
    """The clock of storm, feedtail and feedwork: made before, asked after what is timed."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.start = self.read()

    def read(self):
        return [int(n) for n in self.cluster.server.run(["storm", "clock"]).stdout.split()]

    def ms(self, ticks):
        (ticks0, ns0), (ticks1, ns1) = self.start, self.read()
        return ticks * (ns1 - ns0) / (ticks1 - ticks0) / 1e6


class Node:
    __slots__ = ("children", "is_dir", "size", "mtime")

    def __init__(self):
        self.children, self.is_dir, self.size, self.mtime = {}, None, None, None


def parse_list(text):
    """{path: Entry} of `storm list`."""
    tree = {}
    for line in text.splitlines():
        kind, links, size, mtime, path = line.split(" ", 4)
        if not set(path.split("/")) & set(IGNORED):
            tree[path] = Entry(kind, int(links), int(size), mtime)
    return tree


class View:
    def __init__(self):
        self.root = Node()
        self.unsure = set()  # moved here from where we knew nothing: what lies under it was never ours to know

    def start(self, tree):
        """Begin with what `storm list` found."""
        self.root, self.unsure = Node(), set()
        for path, entry in tree.items():
            self.set(path, entry.type == "d", entry.size, entry.mtime)

    def find(self, path, make=False):
        node = self.root
        for name in path.split("/") if path else ():
            child = node.children.get(name)
            if child is None:
                if not make:
                    return None
                child = node.children[name] = Node()
                child.is_dir = True
            node = child
        return node

    def set(self, path, is_dir, size, mtime):
        node = self.find(path, make=True)
        if not is_dir:
            node.children.clear()
        node.is_dir = is_dir
        node.size, node.mtime = size, mtime  # None: it was gone or had moved on when it was told, so nobody knows

    def cut(self, path):
        """Take a path and all beneath it out of the view."""
        parent, _, name = path.rpartition("/")
        node = self.find(parent)
        return node.children.pop(name, None) if node else None

    def apply(self, change):
        op, path = change["op"], change["path"]
        if op == "delete":
            self.cut(path)
            return
        if op == "resync":
            self.resync(path, change.get("reason"))
            return
        if op == "rename":
            self.move(change["from"], path, change.get("dir", False))
        self.set(path, change.get("dir", False), change.get("size"), change.get("mtime"))

    def move(self, source, target, is_dir):
        node = self.cut(source)
        self.cut(target)
        if node is None:
            if is_dir:
                self.unsure.add(target)
            return
        parent, _, name = target.rpartition("/")
        self.find(parent, make=True).children[name] = node

    def resync(self, path, reason):
        if path == "":
            self.root = Node()
            self.unsure.clear()
        elif self.cut(path) and reason != "blind":
            self.find(path, make=True)

    def walk(self, node=None, prefix=""):
        node = node or self.root
        for name, child in node.children.items():
            if name in IGNORED:
                continue
            yield prefix + name, child
            yield from self.walk(child, prefix + name + "/") if child.children else ()

    def covers(self, path):
        return any(path.startswith(known + "/") for known in self.unsure)

    def differences(self, tree):
        """Sentences, one for each path where view and tree differ."""
        found, seen = [], set()
        for path, node in self.walk():
            seen.add(path)
            entry = tree.get(path)
            if entry is None:
                found.append(f"{path}: told to exist, does not")
            elif node.is_dir != (entry.type == "d"):
                found.append(f"{path}: told to be {'a directory' if node.is_dir else 'a file'}, is of type {entry.type}")
            elif path.rpartition("/")[2][0] in EXACT and not node.is_dir and node.mtime is not None \
                    and (node.size, node.mtime) != (entry.size, entry.mtime):
                found.append(f"{path}: told {node.size} bytes of {node.mtime}, is {entry.size} of {entry.mtime}")
        found += [f"{path}: exists, was not told" for path in tree if path not in seen and not self.covers(path)]
        return found


class Consumer:
    """feedtail on a host, and the view that its lines give. Its log lies with the results, outside the share."""

    def __init__(self, host, initial, log_path, run_dir="/run/efs-sidecar", query="mount=/mnt/data"):
        self.host, self.view, self.initial = host, View(), initial
        self.log = open(log_path, "a", encoding="utf-8")
        self.resyncs, self.lines, self.closed, self.attached, self.started = [], 0, 0, 0, False
        self.first_told = {}  # markers: path to ticks
        self.taken = 0
        self.process = host.spawn(["feedtail", f"{run_dir}/api.sock", query])

    def take(self):
        """Apply the lines that have come since."""
        data = self.process.take_output()
        for line in data.splitlines():
            self.log.write(line + "\n")
            ticks, _, rest = line.partition(" ")
            if rest == "closed":
                self.closed += 1
                continue
            self.lines += 1
            change = json.loads(rest)
            if "ready" in change:
                self.attached += 1
                if not self.started:
                    self.started = True
                    self.view.start(self.initial())
            elif "op" in change:
                self.note(int(ticks), change)
                self.view.apply(change)
                if change["op"] == "resync" and "observer" not in change:
                    self.view.start(self.initial())  # said by the sidecar to us alone: nobody reports again, we look ourselves
        self.log.flush()

    def note(self, ticks, change):
        if change["op"] == "resync":
            self.resyncs.append((change["path"], change.get("reason", "")))
        elif change["path"].startswith("marks/") and change["op"] != "delete":
            self.first_told.setdefault(change["path"], ticks)

    def wait_started(self, timeout=30):
        self.host.cluster.wait_until(lambda: self.take() or self.started, timeout, f"the consumer on {self.host.name} is ready")
        return self
