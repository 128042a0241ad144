"""What lies on the board of a state directory, as the server has it. docs/protocols/feed.md says what it means."""

import struct
from collections import namedtuple

SLOT_BYTES = 64
FREE, JOINED, LEFT = range(3)

Slot = namedtuple("Slot", "state epoch sequence fence_ms")


def read(server, state="/.efs-sidecar", variant="normal"):
    """{number: Slot} of those that were ever used."""
    dump = server.run(f"od -An -v -tx1 {server.path(variant)}{state}/board").stdout
    data = bytes.fromhex("".join(dump.split()))
    slots = {}
    for i in range(0, len(data), SLOT_BYTES):
        magic, _, state_byte = struct.unpack_from("<HBB", data, i)
        word, = struct.unpack_from("<Q", data, i + 8)
        if magic == 0x4553:
            slots[i // SLOT_BYTES] = Slot(state_byte, word >> 40, word & (1 << 40) - 1, struct.unpack_from("<I", data, i + 28)[0])
    return slots


def write(server, slot, data, state="/.efs-sidecar", variant="normal"):
    """Put bytes where a slot is, behind everybody's back."""
    octal = "".join(f"\\{byte:03o}" for byte in data)
    server.run(f"printf '{octal}' | dd of={server.path(variant)}{state}/board bs=1 seek={slot * SLOT_BYTES} conv=notrunc status=none")
