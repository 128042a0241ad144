#!/usr/bin/env python3
"""GET /v1/changes of a running sidecar: what happens is told, a reader that is too slow is told that it missed something,
and neither it nor readers that vanish make the sidecar grow or slow."""
import os
import socket
import sys
import time

from sidecarlib import Changes, Sidecar
from watchlib import Scratch, check, check_size, wait_for

FILES = 20000
KEEPALIVE_S = 15


def write(path, text="x"):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def early(root):
    """Who asks before anything can be watched waits for the ready line."""
    share = os.path.join(root.decode(), "early/late")
    with Sidecar(os.path.dirname(share), "--mount-probe-interval=1s", share, mounts=()) as sidecar, Changes(sidecar) as changes:
        check(sidecar.status()["mounts"][0]["watch"]["state"] == "starting", sidecar.status()["mounts"])
        os.mkdir(share)
        line = changes.until(lambda c: "ready" in c, KEEPALIVE_S)[-1]
        check(line["mount"] == share, line)


def told(sidecar, share):
    with Changes(sidecar, "?path=in&mount=" + share) as changes, Changes(sidecar) as everything:
        ready = changes.next()
        check(ready["ready"] is True and ready["mount"] == share and "cursor" in ready, f"first line: {ready}")
        os.mkdir(os.path.join(share, "in"))
        os.mkdir(os.path.join(share, "inn"))
        write(os.path.join(share, "inn/other"))
        write(os.path.join(share, "in/a b%.txt"))
        lines = changes.until(lambda c: c.get("path") == "in/a b%.txt" and c.get("size") == 1)
        check(not [c for c in lines if c["path"].startswith("inn")], f"another directory came along: {lines}")
        check({"path", "op", "observer", "size", "mtime", "cursor", "mount"} <= set(lines[-1]), f"fields: {lines[-1]}")
        everything.until(lambda c: c.get("path") == "inn/other")
        cursor = lines[-1]["cursor"]
    write(os.path.join(share, "in/while-away"))
    with Changes(sidecar, "?path=in&since=" + cursor) as changes:
        lines = changes.until(lambda c: c.get("path") == "in/while-away")
        check("resync" not in [c.get("op") for c in lines], f"nothing was lost: {lines}")


def slow_and_fast(sidecar, share):
    """A stream that nobody reads beside one that is read, while 20,000 files are written."""
    before_kib = sidecar.rss_kib()
    peak_kib = before_kib
    os.mkdir(os.path.join(share, "many"))
    with socket.socket(socket.AF_UNIX) as slow, Changes(sidecar, "?path=many", timeout=30) as fast:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(sidecar.socket)
        slow.sendall(b"GET /v1/changes?path=many HTTP/1.0\r\n\r\n")
        seen = set()
        for i in range(FILES):
            write(os.path.join(share, "many", f"{i:05}"))
            if i % 500 == 499:
                for change in fast.until(lambda c, last=f"many/{i:05}": c.get("path") == last or c.get("op") == "resync"):
                    check(change.get("op") != "resync", f"the fast reader was told to look again: {change}")
                    seen.add(change.get("path"))
                peak_kib = max(peak_kib, sidecar.rss_kib())
        check(len([p for p in seen if p and p.startswith("many/")]) == FILES, f"{len(seen)} of {FILES} files were told")
        check(sidecar.health_ms() < 100, "/healthz is slow")

        # The slow one wakes up: a gap, said so, then what is new.
        write(os.path.join(share, "many", "last"))
        slow.settimeout(20)
        text = b""
        while b"\"many/last\"" not in text:
            more = slow.recv(65536)
            check(more, f"the slow stream ended: {text[-300:]}")
            text += more
    lines = text.split(b"\r\n\r\n", 1)[1].splitlines()
    resyncs = [line for line in lines if b"\"op\":\"resync\"" in line]
    check(len(resyncs) == 1 and b"\"reason\":\"slow_reader\"" in resyncs[0], f"resyncs: {resyncs}")
    check(b"\"path\":\"many\"" in resyncs[0], f"the resync names another path: {resyncs}")
    check(len(lines) < FILES, "the slow stream got everything: it was not slow")
    check_size(peak_kib - before_kib < 4096, f"the sidecar grew by {peak_kib - before_kib} KiB")
    return peak_kib - before_kib, len(lines)


def vanishing(sidecar):
    """Streams whose clients go away, by close and by a mere shutdown, make room at once."""
    for i in range(300):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(sidecar.socket)
            s.sendall(b"GET /v1/changes HTTP/1.1\r\n\r\n")
            s.recv(100)
            if i % 2:
                s.shutdown(socket.SHUT_WR)
    wait_for(lambda: Changes(sidecar).__exit__() is None, "there is no room for a stream", 5)


def kept_alive(stream, start):
    line = stream.until(lambda c: "keepalive" in c, 2 * KEEPALIVE_S)[-1]
    took = time.monotonic() - start
    check(line.keys() == {"keepalive", "mount", "cursor"} and KEEPALIVE_S - 1 < took < KEEPALIVE_S + 2, f"{line} after {took:.1f} s")


def main():
    with Scratch() as root:
        early(root)
    with Scratch() as root, Sidecar(root) as sidecar:
        sidecar.wait_watching()
        share = sidecar.mounts[0]
        start = time.monotonic()
        with Changes(sidecar, "?path=quiet", timeout=2 * KEEPALIVE_S) as quiet:
            quiet.next()
            told(sidecar, share)
            grown, lines = slow_and_fast(sidecar, share)
            vanishing(sidecar)
            kept_alive(quiet, start)
        with Changes(sidecar, "", timeout=20) as last:
            last.next()
            sidecar.process.terminate()
            while last.response.readline():
                pass
        check(sidecar.process.wait(20) == 0, "exit code")
        print(f"{FILES} files: the slow reader got {lines} lines, the sidecar grew by {grown} KiB")


if __name__ == "__main__":
    sys.exit(main())
