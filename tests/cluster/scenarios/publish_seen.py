"""readers that poll or follow the feed never see a part of a file; a peer sees a replace at once, though another host has the old file open"""

import json
import time

from harness import feed
from harness.errors import check, equal

HOSTS = 3
DEADLINE_S = 150
ROUNDS = 12
BUSY_S = 4  # what a machine that does much else adds, at most

# Opens the file again and again; a line for each new content. A file is N times one letter.
POLL = r"""
import sys
last = None
while True:
    try:
        with open(sys.argv[1], encoding="ascii") as f:
            text = f.read()
    except FileNotFoundError:
        continue
    if len(text) != 200000 or len(set(text)) != 1:
        print("PART", len(text), set(text), flush=True)
    if text != last:
        print("saw", text[:1], flush=True)
        last = text
"""

# Opens what the feed says is published, and compares it with the digest that was told.
FOLLOW = r"""
import hashlib, json, subprocess, sys
changes = subprocess.Popen(["efsctl", "watch", "--json", "--op=publish"], stdout=subprocess.PIPE)
print("follows", flush=True)
for line in changes.stdout:
    change = json.loads(line)
    if change.get("op") != "publish":
        continue
    with open("/mnt/data/" + change["path"], "rb") as f:
        text = f.read()
    print(change["path"], "same" if hashlib.sha256(text).hexdigest() == change["sha256"] else "OTHER", text[:1].decode(), flush=True)
"""


def getattr_ms(before, after):
    """The mean: a stricter bound than the p99."""
    asked = (after - before).ops["GETATTR"]
    return asked.rtt_ms / max(asked.ops, 1)


def run(cluster):
    writer, peer, other = feed.start(cluster, 3)
    a, b, c = writer.host, peer.host, other.host
    a.run("mkdir -p /mnt/data/pub && head -c 200000 /dev/zero | tr '\\0' A >/mnt/data/pub/whole && ln /mnt/data/pub/whole /mnt/data/pub/first")
    poll = b.spawn(["python3", "-c", POLL, "/mnt/data/pub/whole"])
    follow = b.spawn(["python3", "-c", FOLLOW])
    holders = [host.spawn("exec 3</mnt/data/pub/whole; echo held; exec sleep 100") for host in (b, c)]
    for process, words in ((poll, "^saw A"), (follow, "^follows"), *((holder, "^held") for holder in holders)):
        process.wait_output(words, 30)
    time.sleep(2)  # efsctl watch follows
    took = []
    before = b.mountstats("/mnt/data")
    for i in range(ROUNDS):
        letter = chr(ord("B") + i)
        a.run(f"head -c 200000 /dev/zero | tr '\\0' {letter} >/run/new")
        began = time.monotonic()
        a.run(["efsctl", "publish", "--replace", "--keep", "/run/new", "pub/whole"], timeout=30)
        poll.wait_output(f"^saw {letter}", 30)
        took.append(time.monotonic() - began)
        follow.wait_output(f"^pub/whole same {letter}", 30)
    lookups = getattr_ms(before, b.mountstats("/mnt/data"))
    budget = 0.2 + 0.05 + 9 * lookups / 1000
    cluster.log(f"seen after {sorted(took)[len(took) // 2]:.2f} s (median), {max(took):.2f} s at most; poll + batch + 9 x GETATTR ({lookups:.1f} ms): {budget:.2f} s")
    check(max(took) < budget + BUSY_S, f"a replace was seen after {max(took):.2f} s, allowed are {budget:.2f} s and {BUSY_S} s for a busy machine")
    check("PART" not in poll.stdout, poll.stdout)
    check("OTHER" not in follow.stdout, follow.stdout)

    # A set: who is told of the manifest finds all of it.
    a.run("mkdir /run/set && for i in $(seq 50); do echo $i >/run/set/$i; done")
    a.run("efsctl publish --mkdir --manifest=set/all.json /run/set/* set", timeout=30)
    follow.wait_output("^set/all.json same", 30)
    manifest = json.loads(b.read("/mnt/data/set/all.json"))
    equal("files of the set", len(manifest["files"]), 50)
    equal("what a peer finds of it", len(b.run("cd /mnt/data/set && cat $(seq 50)").stdout.split()), 50)
    equal("published under lookers", follow.stdout.count(" OTHER"), 0)
