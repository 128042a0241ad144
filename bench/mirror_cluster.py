"""a pinned directory of large files: how fast it is copied, beside cp and rclone, on NFS with 1 ms of delay"""

import os
import shutil
import time

from harness.sidecar import Sidecar

HOSTS = 1
DELAY_MS, MIB = 1, int(os.environ.get("MIRROR_MIB", "48"))
DEADLINE_S = 900
SLOW_S = 100 + MIB // 4
CACHE, FROM = "/run/cache", "/mnt/data/models"
SETTLE_S = 2


def sizes():
    """1 to 10 MiB, MIB in all."""
    left, n = MIB, 0
    while left > 0:
        n += 1
        size = min(left, 1 + n * 3 % 10)
        left -= size
        yield size


def run(cluster):
    host = cluster.host(1)
    models = cluster.server.path('normal') + "/models"
    cluster.server.run(["mkdir", models])
    for i, size in enumerate(sizes()):
        cluster.server.run(f"head -c {size}M /dev/urandom >{models}/{i}", timeout=60)
    host.mount()
    host.delay_ms(DELAY_MS)

    def rate(what, command):
        host.run("echo 3 >/proc/sys/vm/drop_caches")
        began = time.monotonic()
        host.run(command, timeout=SLOW_S)
        took = time.monotonic() - began
        host.run("rm -rf /run/to", timeout=SLOW_S)
        cluster.log(f"bench: {what}: {MIB} MiB in {took:.1f} s, {MIB / took:.1f} MiB/s")

    rate("cp -r", f"cp -r {FROM} /run/to")
    if shutil.which("rclone"):
        rate("rclone copy, 8 transfers", f"rclone --config=/dev/null copy --transfers=8 {FROM} /run/to")
    else:
        cluster.log("bench: rclone is not installed (tests/deps bench)")
    host.run("echo 3 >/proc/sys/vm/drop_caches")
    sidecar = Sidecar(host, "/mnt/data", options=f"--profile=cache --cache-dir={CACHE} --cache-min-free=0 --cache-size=3GiB")
    sidecar.wait("CacheReady", "True", "Ready", 30)
    began = time.monotonic()
    told = host.run("efsctl cache pin models", timeout=SLOW_S).stdout
    took = time.monotonic() - began
    cluster.log(f"bench: efsctl cache pin: {MIB} MiB in {took:.1f} s, {MIB / took:.1f} MiB/s; {MIB / max(took - SETTLE_S, 0.1):.1f} MiB/s without the "
                f"{SETTLE_S} s that files have to stand still; it said: {told.strip().splitlines()[-1]}")
    host.run(f"for f in {FROM}/*; do cmp $f {CACHE}/mnt-data/models/$(basename $f) || exit 1; done", timeout=SLOW_S)
    sidecar.stop(15)
