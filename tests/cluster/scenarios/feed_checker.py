"""with any safeguard of the feed left out, the checker of the storms reports the violation; with all of them it reports nothing"""

import time

from harness.errors import Failure, check
from harness.feedchaos import Chaos

HOSTS = 2
DEADLINE_S = 420
CONVERGE_S = 8
TRIES = 4  # some of what is provoked is a race


def second_board_read(chaos):
    """Pairs of changes within one tick of the server's time stamps."""
    writer, _ = chaos.members
    for _ in range(30):
        writer.host.run("cd /mnt/data; : >a; sleep 0.0$(($$ % 9 + 1)); : >b; sleep 0.2; rm a b", timeout=20)
        chaos.check(4, 0.3)


def force_sync(chaos):
    """An application writes and does not close: what is told of the file is what the server has."""
    writer, _ = chaos.members
    writer.host.spawn(["perl", "-e", "open F, '>', '/mnt/data/f'; syswrite F, 'content'; sleep 60"])
    chaos.pause(1)
    chaos.check(CONVERGE_S, 1)


def fsync(chaos):
    """A record must be on the server when the slot names it."""
    writer, _ = chaos.members
    writer.host.write("/mnt/data/f", "content")
    chaos.check(CONVERGE_S, 0)


def directory_sync(chaos):
    """A file that a reader holds open is replaced: whoever opens it after the event reads the new content."""
    writer, reader = chaos.members
    writer.host.write("/mnt/data/f", "old")
    chaos.check(CONVERGE_S, 1)
    holder = reader.host.spawn("exec sleep 60 </mnt/data/f")
    reader.host.run("cat /mnt/data/f; ls -l /mnt/data")
    writer.host.run("cd /mnt/data; echo new >.t; mv .t f")
    chaos.check(CONVERGE_S, 0.5)
    content = reader.host.read("/mnt/data/f")
    holder.kill()
    check(content == "new\n", f"after the event a plain open reads {content!r}")


def unclean_resync(chaos):
    """Sidecar and efs-watch die between a change and its record."""
    writer, _ = chaos.members
    writer.signal_watch("STOP")
    writer.host.run("touch /mnt/data/f")
    writer.signal_sidecar("STOP")
    writer.signal_watch("KILL")
    writer.signal_sidecar("KILL")
    chaos.faults.append("kill_sidecar")
    chaos.pause(1)
    chaos.check(CONVERGE_S, 1)


def resync_on_gap(chaos):
    """A reader sleeps until the segment that it stands in is gone."""
    writer, reader = chaos.members
    reader.signal_watch("STOP")
    name = "a-long-name-" * 12
    writer.host.run(f"cd /mnt/data && touch $(seq -f {name}%g 1200)", timeout=60)
    time.sleep(1)
    chaos.faults.append("kill_watch")
    reader.signal_watch("CONT")
    chaos.check(CONVERGE_S, 1)


def resync_after_scan(chaos):
    """Changes while a restarted efs-watch still reads the tree."""
    writer, _ = chaos.members
    writer.host.run("cd /mnt/data && mkdir $(seq 400)", timeout=60)
    chaos.check(CONVERGE_S, 1)
    making = writer.host.spawn("cd /mnt/data; for n in 1 2 3 4 5 6; do for i in $(seq 400 -1 1); do : >$i/$n; done; done")
    chaos.faults.append("kill_watch")
    writer.signal_watch("KILL")
    making.wait(60)
    chaos.check(CONVERGE_S, 1)


SMALL = "--feed-segment=64KiB --feed-segments=2 --mount-stall-after=30s"  # and nobody starts a sleeping efs-watch again
CASES = ((second_board_read, "--feed-poll=10ms --feed-poll-idle=10ms --watch-batch=1ms"), (force_sync, ""), (fsync, ""),
         (directory_sync, ""), (unclean_resync, ""), (resync_on_gap, SMALL), (resync_after_scan, ""))


def verdict(cluster, case, options, omit):
    """What the checker says; "" is nothing."""
    chaos = Chaos(cluster, options=options, omit=omit)
    said = ""
    try:
        chaos.start()
        case(chaos)
    except Failure as failure:
        said = str(failure)
    cluster.log(f"{case.__name__}, omitting {omit}: {said or 'nothing to report'}")
    cluster.reset()
    return said


def run(cluster):
    wrong = []
    for case, options in CASES:
        if not any(verdict(cluster, case, options, case.__name__) for _ in range(TRIES)):
            wrong.append(f"without {case.__name__} the checker found nothing")
        if said := verdict(cluster, case, options, None):
            wrong.append(f"{case.__name__}, nothing left out: {said}")
    check(not wrong, "; ".join(wrong))
