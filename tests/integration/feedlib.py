"""The state directory as docs/protocols/feed.md describes it, read and written without any of the code under test."""
import fcntl
import os
import signal
import socket
import struct
import subprocess

from test_watch_child import Child, decode
from watchlib import PROGRAM, check, die_with_parent

SLOT_BYTES, SLOTS = 64, 256
FREE, JOINED, LEFT = range(3)
HEADER, CHANGE, NOTICE, NEXT = range(1, 5)
ANNOUNCED, ANNOUNCE = 6, 66
F_OFD_SETLK = 37

CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC_TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def pack_slot(state, epoch, sequence=0, drained=0, segment=1, fence_ms=30000, reads=(1, 1)):
    body = struct.pack("<HBBHHQQII28x", 0x4553, 1, state, *reads, epoch << 40 | sequence, drained, segment, fence_ms)
    return body + struct.pack("<I", crc32c(body))


def unpack_slot(data):
    magic, form, state, low, high, word, drained, segment, fence_ms = struct.unpack_from("<HBBHHQQII", data)
    check(len(data) == 64 and magic == 0x4553 and form == 1, f"not a slot: {data.hex()}")
    check(data[32:60] == bytes(28) and crc32c(data[:60]) == struct.unpack_from("<I", data, 60)[0], "damaged slot")
    return {"state": state, "reads": (low, high), "epoch": word >> 40, "sequence": word & (1 << 40) - 1,
            "drained": drained, "segment": segment, "fence_ms": fence_ms}


def pack_record(kind, sequence, payload):
    rest = struct.pack("<QHHI", sequence, kind, 0, 0) + payload
    rest += bytes(-(8 + len(rest)) % 8)
    return struct.pack("<II", len(payload), crc32c(rest)) + rest


def pack_header(slot, epoch, segment, first, observer):
    payload = b"EFSJ" + struct.pack("<HHIIB", 1, slot, epoch, segment, len(observer)) + observer
    return pack_record(HEADER, first, payload)


def unpack_records(data, announced=1 << 40):
    """(kind, sequence, payload) of all; one that was not announced may be half there while it is written."""
    at, records = 0, []
    while at + 24 <= len(data):
        length, crc, sequence, kind, zero, zeros = struct.unpack_from("<IIQHHI", data, at)
        end = at + 24 + length + -(24 + length) % 8
        whole = length <= 16384 and end <= len(data) and crc == crc32c(data[at + 8:end])
        if not whole and records and records[-1][1] >= announced:
            break
        check(whole and zero == zeros == 0, f"a damaged record of {length} bytes at {at} of {len(data)}")
        check(not any(data[at + 24 + length:end]), "padding is not zero")
        records.append((kind, sequence, data[at + 24:at + 24 + length]))
        at = end
    return records


class State:
    """A state directory for the tree at root."""

    def __init__(self, root):
        self.root = root
        self.path = os.path.join(root, b".efs-sidecar")
        os.makedirs(os.path.join(self.path, b"feed"))
        with open(os.path.join(self.path, b"board"), "wb") as board:
            board.truncate(SLOTS * SLOT_BYTES)

    def lock(self, slot):
        fd = os.open(os.path.join(self.path, b"board"), os.O_RDWR)
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, slot * SLOT_BYTES, SLOT_BYTES, 0)
        fcntl.fcntl(fd, F_OFD_SETLK, lock)
        return fd

    def slot(self, slot):
        with open(os.path.join(self.path, b"board"), "rb") as board:
            board.seek(slot * SLOT_BYTES)
            return unpack_slot(board.read(SLOT_BYTES))

    def dir(self, slot, epoch):
        return os.path.join(self.path, b"feed", b"%d-%d" % (slot, epoch))

    def segments(self, slot, epoch):
        return sorted(int(name[:-4]) for name in os.listdir(self.dir(slot, epoch)))

    def join(self, slot, epoch, observer=b"task"):
        """What the sidecar does before it starts efs-watch; the descriptor that holds the slot."""
        fd = self.lock(slot)
        os.mkdir(self.dir(slot, epoch))
        with open(os.path.join(self.dir(slot, epoch), b"1.log"), "wb") as segment:
            segment.write(pack_header(slot, epoch, 1, 1, observer))
        os.pwrite(fd, pack_slot(JOINED, epoch), slot * SLOT_BYTES)
        return fd

    def journal(self, slot, epoch, observer=b"task"):
        """All records that peers may read, in order: (segment, sequence, kind, change or payload)."""
        while True:
            try:
                return self._journal(slot, epoch, observer)
            except FileNotFoundError:  # the oldest went meanwhile
                self.segments(slot, epoch)

    def _journal(self, slot, epoch, observer):
        found, expected = [], None
        now = self.slot(slot)
        segments = self.segments(slot, epoch)
        check(now["epoch"] == epoch and now["segment"] in segments, f"{now} names no segment of {segments}")
        for number in segments:  # it may grow
            with open(os.path.join(self.dir(slot, epoch), b"%d.log" % number), "rb") as segment:
                records = unpack_records(segment.read(), now["sequence"])
            if not records and number > now["segment"]:
                break  # it is being made
            check(records[0][0] == HEADER and records[0][2] == struct.pack("<4sHHIIB", b"EFSJ", 1, slot, epoch, number,
                                                                           len(observer)) + observer, "HEADER")
            expected = expected or records[0][1]
            check(records[0][1] == expected, f"segment {number} starts with {records[0][1]}, not {expected}")
            for kind, sequence, payload in records[1:]:
                check(sequence == expected, f"sequence {sequence} where {expected} comes")
                if kind == NEXT:
                    check(payload == struct.pack("<I", number + 1) and
                          os.path.exists(os.path.join(self.dir(slot, epoch), b"%d.log" % (number + 1))),
                          "NEXT names nothing")
                    if number == segments[-1]:  # made since we looked
                        segments.append(number + 1)
                    continue
                expected += 1
                if sequence <= now["sequence"]:
                    found.append((number, sequence, kind, decode(payload) if kind == CHANGE else payload))
            check((records[-1][0] == NEXT) == (number != segments[-1]), f"the end of segment {number}")
        holding = [number for number, sequence, _, _ in found if sequence == now["sequence"]]
        check(holding == [now["segment"]] or now["sequence"] == 0, f"{now}: the record is in segment {holding}")
        return found


class Member(Child):
    """An efs-watch that is a member."""

    def __init__(self, state, fd, slot, epoch, *options, limits=None):
        self.state, self.slot, self.epoch = state, slot, epoch
        self.socket, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [PROGRAM, f"--child={theirs.fileno()}", f"--board={fd}", f"--slot={slot}", f"--epoch={epoch}", *options,
             state.root], pass_fds=[theirs.fileno(), fd], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=lambda: (die_with_parent(), signal.signal(signal.SIGXFSZ, signal.SIG_IGN), limits and limits()))
        theirs.close()
        self.data = b""

    def announce(self, kind, payload, number):
        self.send(ANNOUNCE, struct.pack("<QH", number, kind) + payload)

    def announced(self, number):
        _, payload = self.until(ANNOUNCED)
        got, result, sequence = struct.unpack("<QiQ", payload)
        check(got == number, f"an answer to {got}, not {number}")
        return result, sequence

    def now(self):
        return self.state.slot(self.slot)

    def journal(self):
        return self.state.journal(self.slot, self.epoch)

    def changes(self):
        return [what for _, _, kind, what in self.journal() if kind == CHANGE]


def notice(kind=1, number=7, name=b"n", data=b""):
    return struct.pack("<HHQHH", kind, 0, number, len(name), len(data)) + name + b"\0" + data
