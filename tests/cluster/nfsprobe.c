/*
 * nfsprobe: small, quick questions to a file system, for scenarios (python takes 250 ms to start in
 *a machine).
 *
 *	nfsprobe try FILE	OFD write lock on byte 0, once: "locked", or "busy" and exit code 1
 *	nfsprobe hold FILE	the same, then holds it; every 200 ms an O_DIRECT read through the
 *locked descriptor: a line "proof ok" or "proof EIO" whenever the answer changes
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
    printf("%s: %s\n", what, strerrorname_np(errno));
    exit(2);
}

static int take(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_len = 1};
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0666);

    if (fd < 0)
        fail("open");
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            fail("lock");
        puts("busy");
        exit(1);
    }
    puts("locked");
    return fd;
}

static void prove(int fd)
{
    const struct timespec pause = {0, 200 * 1000000L};
    int last = -1;
    void *page;

    if (posix_memalign(&page, 4096, 4096) != 0)
        fail("memory");
    for (;;) {
        int now = pread(fd, page, 4096, 0) < 0 ? errno : 0;

        if (now != last)
            printf("proof %s\n", now ? strerrorname_np(now) : "ok");
        last = now;
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    int hold = argc == 3 && strcmp(argv[1], "hold") == 0;
    int fd;

    if (!hold && (argc != 3 || strcmp(argv[1], "try") != 0)) {
        fputs("usage: nfsprobe try|hold FILE\n", stderr);
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    fd = take(argv[2]);
    if (hold)
        prove(fd);
    return 0;
}
