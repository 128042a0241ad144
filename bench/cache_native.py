"""Hits and misses of libefscache.so on this machine's file system, without NFS, beside plain system calls: both in one process, in turns
of microseconds, so that whatever else runs here slows both. Medians of all turns, the middle one of five runs."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
READ, TOOL, SHIM = (os.path.join(os.path.abspath(BUILD), n) for n in ("tests/shim_read", "tests/cache_tool", "libefscache.so"))
FILES, RUNS, TURNS, THREADS = 64, 5, 2000, 16
HIT_MAX, MISS_MAX, NFS_OPEN_NS = 1.2, 0.02, 1_000_000


class Bench:
    def __init__(self, top):
        self.share, self.cache, self.failed = top + "/share", top + "/cache", []
        self.names = [f"dir/f{i}" for i in range(FILES)]
        os.makedirs(self.share + "/dir")
        for name in [*self.names, "uncached"]:
            with open(f"{self.share}/{name}", "wb") as file:
                file.write(os.urandom(4096))
        self.tool("init")

    def tool(self, *words):
        subprocess.run([TOOL, self.cache, "data", self.share, *words], check=True, capture_output=True)

    def beside(self, threads, reads, files, others, cwd=None):
        """Nanoseconds of ours and of the others."""
        env = {**os.environ, "LD_PRELOAD": SHIM, "EFS_CACHE_DIR": self.cache}
        words = [READ, "bench-beside", str(threads), str(TURNS // threads), str(reads), *files, "--", *others]
        found = [[int(n) for n in subprocess.run(words, env=env, cwd=cwd, check=True, capture_output=True, timeout=300).stdout.split()]
                 for _ in range(RUNS)]
        return sorted(found, key=lambda pair: pair[0] / pair[1])[RUNS // 2]

    def hit(self, what, threads=1, cwd=None, limit=HIT_MAX):
        top = "" if cwd else self.share + "/"
        hit, local = self.beside(threads, 1, [top + n for n in self.names], [f"{self.cache}/data/{n}" for n in self.names], cwd)
        good = limit is None or hit <= limit * local
        at_most = f" (at most {limit})" if limit else ""
        print(f"{what}: hit {hit} ns, local {local} ns: {hit / local:.2f} times{at_most}{'' if good else '  FAILED'}")
        if not good:
            self.failed.append(what)

    def miss(self, what, path):
        with_it, without = self.beside(1, 0, [path], [path])
        added = with_it - without
        print(f"an open {what}: {added} ns added; {added / NFS_OPEN_NS:.3%} of a 1 ms open (at most {MISS_MAX:.0%})")
        if added > MISS_MAX * NFS_OPEN_NS:
            self.failed.append(what)


    def rclone(self, top):
        """Its full VFS cache of the same directory, when it is warm. It needs FUSE, which Fargate does not have."""
        mount = top + "/rclone"
        os.makedirs(mount)
        if not shutil.which("rclone") or not shutil.which("fusermount3") or not os.access("/dev/fuse", os.W_OK):
            print("rclone: it, fuse3 or /dev/fuse is not here")
            return
        with subprocess.Popen(["rclone", "mount", self.share, mount, "--vfs-cache-mode", "full", "--cache-dir", top + "/vfs", "--config",
                               "/dev/null", "--read-only"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                end = time.monotonic() + 30
                while not os.path.ismount(mount):
                    if time.monotonic() > end or server.poll() is not None:
                        print("rclone: it did not mount")
                        return
                    time.sleep(0.1)
                words = [READ, "bench", "5", *(f"{mount}/{n}" for n in self.names)]
                theirs = min(int(subprocess.run(words, check=True, capture_output=True, timeout=120).stdout) for _ in range(RUNS))
                ours, _ = self.beside(1, 1, [f"{self.share}/{n}" for n in self.names], [f"{self.cache}/data/{n}" for n in self.names])
                print(f"rclone's full VFS cache, warm: {theirs} ns, a hit is {theirs / ours:.0f} times faster")
            finally:
                subprocess.run(["fusermount3", "-u", "-z", mount], check=False, stderr=subprocess.DEVNULL)
                server.terminate()
                server.wait(30)


def main():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as top:
        bench = Bench(top)
        for mode in ("immutable", "bounded:600000000"):
            bench.tool("fill", mode, *bench.names)
            bench.hit("open, read 4 KiB, close, " + mode.partition(":")[0])
        bench.hit("the same, by a relative path", cwd=bench.share, limit=None)
        bench.hit(f"the same, {THREADS} threads on {os.cpu_count()} processors", threads=THREADS)
        bench.miss("on the share that is not cached", bench.share + "/uncached")
        bench.miss("elsewhere", "/etc/passwd")
        bench.rclone(top)
    if bench.failed:
        sys.exit("too slow: " + ", ".join(bench.failed))


if __name__ == "__main__":
    main()
