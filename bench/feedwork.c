/*
 * feedwork: what bench/feed makes and measures inside the cluster's machines.
 *
 *     feedwork fill DIR COUNT               COUNT empty files, 100 in each of DIR/N
 *     feedwork marks DIR COUNT PAUSE_MS     COUNT new files, one after each pause; prints
 *                                           "M TICKS NAME" behind each
 *     feedwork ping PATH COUNT              so many attribute calls; prints microseconds of each
 *
 * Ticks are the processor's time stamp counter, the one clock that the machines share; the pauses
 * vary by half, so that they do not beat with a poll.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "lib/parse.h"

enum { FILES_PER_DIR = 100 };

static int make_file(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0664);
    return fd < 0 ? -1 : close(fd);
}

static int fill(int64_t count)
{
    char name[64];
    for (int64_t i = 0; i < count; i++) {
        int64_t dir = i / FILES_PER_DIR;
        snprintf(name, sizeof(name), "%" PRId64, dir);
        if (i % FILES_PER_DIR == 0 && mkdir(name, 0775) < 0)
            return -1;
        snprintf(name, sizeof(name), "%" PRId64 "/%" PRId64, dir, i % FILES_PER_DIR);
        if (make_file(name) < 0)
            return -1;
    }
    return 0;
}

static int marks(int64_t count, int64_t pause_ms)
{
    char name[64];
    for (int64_t i = 0; i < count; i++) {
        usleep((useconds_t)(pause_ms * (500 + random() % 1000)));
        snprintf(name, sizeof(name), "mark-%" PRId64 "-%d", i, (int)getpid());
        if (make_file(name) < 0)
            return -1;
        printf("M %" PRIu64 " %s\n", (uint64_t)__rdtsc(), name);
    }
    return 0;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int ping(const char *path, int64_t count)
{
    struct statx st;
    for (int64_t i = 0; i < count; i++) {
        int64_t start_us = now_us();
        if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) < 0)
            return -1;
        printf("%" PRId64 "\n", now_us() - start_us);
        usleep(20 * 1000);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int64_t count, pause_ms = 0;
    int r = -2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(002);
    if (argc < 4 || parse_i64(argv[3], 1, 10000000, &count) < 0) {
        r = -2;
    } else if (argc == 4 && strcmp(argv[1], "ping") == 0) {
        r = ping(argv[2], count);
    } else if (chdir(argv[2]) < 0) {
        r = -1;
    } else if (argc == 4 && strcmp(argv[1], "fill") == 0) {
        r = fill(count);
    } else if (argc == 5 && strcmp(argv[1], "marks") == 0 &&
               parse_i64(argv[4], 1, 60000, &pause_ms) == 0) {
        r = marks(count, pause_ms);
    }
    if (r == -2)
        fputs("usage: feedwork fill DIR COUNT | marks DIR COUNT PAUSE_MS | ping PATH COUNT\n",
              stderr);
    else if (r < 0)
        fprintf(stderr, "feedwork: %s: %s\n", argv[2], strerror(errno));
    return r == -2 ? 64 : r < 0;
}
