"""The client's own counters of one NFS mount, from /proc/self/mountstats."""

from collections import namedtuple

Op = namedtuple("Op", "ops trans timeouts bytes_sent bytes_recv queue_ms rtt_ms execute_ms errors")
BYTES = "normal_read normal_write direct_read direct_write server_read server_write read_pages write_pages".split()


class MountStats:
    """ops: name to Op; bytes: name to count. `after - before` is what happened in between."""

    def __init__(self, ops, counts):
        self.ops, self.bytes = ops, counts

    @classmethod
    def parse(cls, text, path):
        ops, counts, inside = {}, {}, False
        for line in text.splitlines():
            words = line.split()
            if line.startswith("device "):
                inside = words[4] == path  # the last mount of a path is the one that is seen
                if inside:
                    ops, counts = {}, {}
            elif inside and words and words[0] == "bytes:":
                counts = dict(zip(BYTES, map(int, words[1:])))
            elif inside and len(words) == 10 and words[0].endswith(":") and words[0][:-1].isupper():
                ops[words[0][:-1]] = Op(*map(int, words[1:]))
        return cls(ops, counts)

    def __sub__(self, before):
        ops = {name: Op(*(a - b for a, b in zip(op, before.ops[name]))) for name, op in self.ops.items()}
        return MountStats(ops, {name: n - before.bytes[name] for name, n in self.bytes.items()})

    def rpcs(self):
        """How many calls of all kinds."""
        return sum(op.ops for op in self.ops.values())

    def counts(self):
        """Name to number of calls, those that happened only."""
        return {name: op.ops for name, op in self.ops.items() if op.ops}
