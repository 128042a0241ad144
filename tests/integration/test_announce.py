#!/usr/bin/env python3
"""What a member announces: its journal and its slot, byte by byte, on a file system of this machine."""
import os
import resource
import shutil
import signal
import struct
import time

from feedlib import ANNOUNCED, CHANGE, JOINED, NOTICE, Member, State, notice, pack_slot, unpack_slot
from watchlib import check, run, wait_for

CREATE, MODIFY, DELETE, RENAME, ATTRIB, PUBLISH, RESYNC = range(1, 8)
OVERFLOW, SLOW_READER, RESTART, PEER_DIED, FENCED = 1, 2, 5, 8, 9
STOP, STATUS, FENCED_EXIT = 65, 4, 70


def touch(root, name, text=b"x"):
    with open(os.path.join(root, name), "wb") as file:
        file.write(text)


def told(member, path, op=None):
    return [c for c in member.changes() if c[2] == path and op in (None, c[0])]


def stop(member, code=0):
    member.send(STOP)
    while member.receive(15):
        pass
    got = member.process.wait(15)
    check(got == code, f"exit code {got}: {member.process.stderr.read()}")


def resyncs(member):
    return [(reason, path) for op, reason, path in member.changes() if op == RESYNC]


def every_operation(root):
    """Each operation becomes a record with attributes, in order; a batch moves the slot once"""
    state = State(root)
    with Member(state, state.join(3, 5), 3, 5) as member:
        check(member.now()["sequence"] == 0, "something was announced although nothing happened")
        touch(root, b"f", b"12345")
        wait_for(lambda: told(member, b"f"), "no record")
        os.mkdir(os.path.join(root, b"d"))
        wait_for(lambda: told(member, b"d"), "no record")
        member.ping(1)
        os.rename(os.path.join(root, b"f"), os.path.join(root, b"d/g"))
        wait_for(lambda: told(member, b"d/g", RENAME), "no rename")
        os.chmod(os.path.join(root, b"d/g"), 0o600)
        wait_for(lambda: told(member, b"d/g", ATTRIB), "no attrib")
        os.unlink(os.path.join(root, b"d/g"))
        wait_for(lambda: told(member, b"d/g", DELETE), "no delete")
        journal = member.journal()
        check([c[3] for c in journal] == [(CREATE, 0, b"f"), (CREATE, 0, b"d"), (RENAME, 0, b"d/g"),
                                          (ATTRIB, 0, b"d/g"), (DELETE, 0, b"d/g")], f"{journal}")
        now = member.now()
        check(now["state"] == JOINED and now["sequence"] == 5 and now["fence_ms"] == 30000 and now["reads"] == (1, 1),
              f"{now}")
        data = open(os.path.join(state.dir(3, 5), b"1.log"), "rb").read()
        at = data.index(b"f\0\0\0")
        size, mtime = struct.unpack_from("<Qq", data, at - 28)
        check(size == 5 and abs(mtime / 1e9 - time.time()) < 60, f"size {size}, mtime {mtime}")
        check(struct.unpack_from("<II", data, at - 44) == (0, 0), "epoch and source of the record")


def burst_is_one_batch(root):
    """A thousand files in one window cost a handful of slot writes"""
    state = State(root)
    with Member(state, state.join(0, 1), 0, 1, "--watch-batch=500ms") as member:
        words = set()
        for i in range(1000):
            touch(root, b"f%d" % i)
        def done():
            words.add(member.now()["sequence"])
            return member.now()["sequence"] >= 1000
        wait_for(done, "not announced")
        check(len(words) <= 8, f"{len(words)} words were seen: {sorted(words)}")
        check(len({path for _, _, path in member.changes()}) == 1000, "not all files")


def announce_is_behind(root):
    """What the sidecar announces comes behind every change that happened before, and is answered by the slot"""
    state = State(root)
    with Member(state, state.join(7, 2), 7, 2, "--watch-batch=5s") as member:
        for i in range(20):
            for j in range(10):
                touch(root, b"f%d-%d" % (i, j))
            member.announce(NOTICE, notice(name=b"n%d" % i), i + 1)
            result, sequence = member.announced(i + 1)
            now = member.now()
            check(result == 0 and now["sequence"] >= sequence and now["drained"] == sequence, f"{result} {sequence} {now}")
            before = [what[2] for _, n, kind, what in member.journal() if kind == CHANGE and n < sequence]
            check(all(b"f%d-%d" % (i, j) in before for j in range(10)), f"round {i}: not behind")
        # a record of the sidecar's own, for somebody who died
        path, observer = b"", b"task-9"
        change = struct.pack("<BBBBIII4x4qHH", 1, RESYNC, PEER_DIED, len(observer), 1, 0, 0, 0, 0, 0, 0, 0, 0)[:16] + \
            struct.pack("<QQqqHH", 0, 0, 0, 0, len(path), 0) + path + b"\0\0" + observer + b"\0"
        member.announce(CHANGE, change, 99)
        check(member.announced(99)[0] == 0, "refused")
        check(resyncs(member) == [(PEER_DIED, b"")], f"{resyncs(member)}")
        check(change[52:] in open(os.path.join(state.dir(7, 2), b"1.log"), "rb").read(), "observer")


def records_that_are_refused(root):
    """What is no record is refused with a result; too many at once are, too"""
    state = State(root)
    with Member(state, state.join(7, 2), 7, 2) as member:
        for number, (kind, payload) in enumerate(((1, b""), (NOTICE, b"x"), (CHANGE, b"y" * 60), (9, notice())), 1):
            member.announce(kind, payload, number)
            check(member.announced(number) == (-22, 0), f"kind {kind}")
        member.process.send_signal(signal.SIGSTOP)
        for number in range(200):
            member.announce(NOTICE, notice(number=number), 1000 + number)
        member.process.send_signal(signal.SIGCONT)
        results = [struct.unpack("<QiQ", member.until(ANNOUNCED)[1])[:2] for _ in range(200)]
        check({r for _, r in results} == {0, -105} and sum(r == 0 for _, r in results) >= 64, f"{results[:3]}...")
        kept = [what for _, _, kind, what in member.journal() if kind == NOTICE]
        check(len(kept) == sum(r == 0 for _, r in results), "answers and records differ")


def rotation(root):
    """Full segments are followed by others, each named by the one before, and only so many are kept"""
    state = State(root)
    with Member(state, state.join(1, 1), 1, 1, "--feed-segment=64KiB", "--feed-segments=3") as member:
        for i in range(3000):
            touch(root, b"%0200d" % i)
            if i % 100 == 99:
                member.ping(i)
        wait_for(lambda: told(member, b"%0200d" % 2999), "the last is missing")
        segments = state.segments(1, 1)
        check(len(segments) == 3 and segments[0] > 3, f"segments {segments}")
        check(member.now()["segment"] == segments[-1], f"{member.now()}")
        sizes = [os.path.getsize(os.path.join(state.dir(1, 1), b"%d.log" % n)) for n in segments]
        check(max(sizes) <= 65536 and min(sizes[:-1]) > 65000, f"sizes {sizes}")
        check(len(member.journal()) > 300, "few records")
        return f"{segments[-1]} segments"


def killed(root):
    """A new efs-watch of the same member goes on behind the last whole record and tells one resync"""
    state = State(root)
    fd = state.join(2, 4)
    member = Member(state, fd, 2, 4).__enter__()
    touch(root, b"before")
    wait_for(lambda: told(member, b"before"), "no record")
    member.process.kill()
    member.process.wait()
    segment = os.path.join(state.dir(2, 4), b"1.log")
    whole = os.path.getsize(segment)
    touch(root, b"unseen")
    with open(segment, "ab") as file:  # killed while it wrote
        file.write(struct.pack("<II", 100, 1) + b"torn")
    os.truncate(segment, whole + 5000)
    sequence = member.now()["sequence"]
    with Member(state, fd, 2, 4, "--existing") as member:
        wait_for(lambda: resyncs(member), "no resync")
        touch(root, b"after")
        wait_for(lambda: told(member, b"after"), "no record")
        check(resyncs(member) == [(RESTART, b"")], f"{resyncs(member)}")
        check([n for _, n, _, _ in member.journal()] == list(range(1, sequence + 3)), "sequences")
        check(not told(member, b"unseen"), "what the resync covers was told as well")


def recorded_but_not_announced(root):
    """A record that was written before a kill and not announced is announced by the next"""
    state = State(root)
    fd = state.join(2, 4)
    with Member(state, fd, 2, 4) as member:
        touch(root, b"f")
        wait_for(lambda: told(member, b"f"), "no record")
    os.pwrite(fd, pack_slot(JOINED, 4, 0), 2 * 64)
    with Member(state, fd, 2, 4) as member:
        wait_for(lambda: member.now()["sequence"] == 1, "not announced")


def unclean(root):
    """Who takes over from one that died tells a resync for it, once, when it is watching itself"""
    state = State(root)
    for slot, options, reason in ((0, ["--unclean"], PEER_DIED), (1, ["--unclean", "--existing"], FENCED)):
        with Member(state, state.join(slot, 9), slot, 9, *options) as member:
            wait_for(lambda: resyncs(member), "no resync")
            touch(root, b"f%d" % slot)
            wait_for(lambda: told(member, b"f%d" % slot), "no record")
            check(resyncs(member) == [(reason, b"")], f"{resyncs(member)}")


def overflow(root):
    """After an overflow the others are told one resync, when all has been read again, and not what was found"""
    state = State(root)
    os.mkdir(os.path.join(root, b"d"))
    with Member(state, state.join(0, 1), 0, 1, "--watch-batch=5s") as member:  # time to read up to where it overflowed
        member.process.send_signal(signal.SIGSTOP)
        for i in range(20000):
            touch(root, b"f%d" % (i % 2500))
        member.process.send_signal(signal.SIGCONT)
        wait_for(lambda: resyncs(member), "no resync")
        touch(root, b"d/after")
        wait_for(lambda: told(member, b"d/after"), "no record")
        check(resyncs(member) == [(OVERFLOW, b"")], f"{resyncs(member)}")
        check(len(member.changes()) < 1000, f"{len(member.changes())} records")


def file_size(bytes_most):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_most, resource.RLIM_INFINITY))


def no_room(root):
    """A journal that cannot be written is said, tried again, and what did not fit becomes one resync"""
    state = State(root)
    with Member(state, state.join(0, 1), 0, 1, limits=file_size(40000)) as member:
        names = [b"%0240d" % i for i in range(20000)]
        for name in names[:500]:
            touch(root, name)
        def error():
            _, status = member.until(STATUS)
            return struct.unpack_from("<I", status, 56)[0] == 27  # EFBIG
        wait_for(error, "the status has no error")
        stuck = member.now()["sequence"]
        check(stuck < 500, f"{stuck} records in 40,000 bytes")
        for i, name in enumerate(names[500:]):
            touch(root, name)
            if i % 1000 == 0:
                member.ping(i)
        member.ping(1)
        check(member.now()["sequence"] == stuck, "it was announced without room")
        resource.prlimit(member.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_for(lambda: resyncs(member), "no resync")
        touch(root, b"after")
        wait_for(lambda: told(member, b"after"), "no record")
        check(resyncs(member) == [(SLOW_READER, b"")], f"{resyncs(member)}")


def slot_of_another(root):
    """A slot that says another epoch is not ours: nothing is written, and the exit code says so"""
    state = State(root)
    fd = state.join(0, 1)
    other = pack_slot(JOINED, 2, 17)
    os.pwrite(fd, other, 0)
    member = Member(state, fd, 0, 1)
    check(member.process.wait(10) == FENCED_EXIT, f"exit code {member.process.returncode}")
    check(os.pread(fd, 64, 0) == other, "the slot was written")


def slot_overwritten(root):
    """Another word in our slot, although we hold its lock, ends the member within a few polls"""
    state = State(root)
    fd = state.join(0, 1)
    member = Member(state, fd, 0, 1, "--feed-poll=100ms").__enter__()
    touch(root, b"f")
    wait_for(lambda: member.now()["sequence"] == 1, "no record")
    os.pwrite(fd, pack_slot(JOINED, 2, 17), 0)
    while member.receive(15):
        pass
    check(member.process.wait(10) == FENCED_EXIT, f"exit code {member.process.returncode}")
    check(b"another member's" in member.process.stderr.read(), "no word about it")
    check(unpack_slot(os.pread(fd, 64, 0))["epoch"] == 2, "the slot was written")


def journal_taken_away(root):
    """A journal that somebody removed, or that lost what was announced, ends the member"""
    state = State(root)
    member = Member(state, state.join(0, 1), 0, 1, "--feed-segment=64KiB").__enter__()
    shutil.rmtree(state.dir(0, 1))
    for i in range(2000):
        touch(root, b"%0200d" % i)
    while member.receive(30):
        pass
    check(member.process.wait(10) == FENCED_EXIT, f"exit code {member.process.returncode}")
    check(b"joins anew" in member.process.stderr.read(), "no word about it")
    fd = state.join(5, 1)
    os.pwrite(fd, pack_slot(JOINED, 1, 3), 5 * 64)
    member = Member(state, fd, 5, 1)
    check(member.process.wait(10) == FENCED_EXIT, f"exit code {member.process.returncode}")


def stop_tells_all(root):
    """STOP ends it when everything that happened before is announced"""
    state = State(root)
    member = Member(state, state.join(0, 1), 0, 1, "--watch-batch=10s").__enter__()
    for i in range(2000):
        touch(root, b"f%d" % i)
    stop(member)
    check(len({path for _, _, path in member.changes()}) == 2000, f"{len(member.changes())} records")


def two_members(root):
    """Two members on one tree have journals of their own that say the same"""
    state = State(root)
    with Member(state, state.join(0, 1, b"a"), 0, 1) as one, Member(state, state.join(255, 8, b"b"), 255, 8) as two:
        for i in range(300):
            touch(root, b"f%d" % i)
        want = {b"f%d" % i for i in range(300)}
        for member, observer in ((one, b"a"), (two, b"b")):
            def paths():
                return {what[2] for _, _, _, what in state.journal(member.slot, member.epoch, observer)}
            wait_for(lambda: paths() == want, lambda: f"{observer}: {len(paths())} paths")
    check(unpack_slot(open(os.path.join(state.path, b"board"), "rb").read()[64 * 255:])["sequence"] == 300, "slot 255")


if __name__ == "__main__":
    run(every_operation, burst_is_one_batch, announce_is_behind, records_that_are_refused, rotation, killed,
        recorded_but_not_announced, unclean, overflow, no_room, slot_of_another, slot_overwritten, journal_taken_away, stop_tells_all,
        two_members)
