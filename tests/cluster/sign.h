/*
 * sign: what the commands of chaos runs say about themselves.
 *
 * A sign of life is "KIND TICKS BOOT_US TICKS NAME TOKEN PID": the time stamp counter of the
 * machine on which all kernels run is read before and after this kernel's CLOCK_BOOTTIME. It says
 * when this process ran, whenever the line arrives.
 */
#ifndef TESTS_CLUSTER_SIGN_H
#define TESTS_CLUSTER_SIGN_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { BEAT_MS = 40 };

static inline int64_t boot_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static inline void nap(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static inline uint64_t next_random(uint64_t *state) /* xorshift64 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One write(2), so that the lines of several processes do not mix. It ends the process when nobody
 * listens. */
static inline void sign_write(int fd, const char *prefix, char kind, const char *name,
                              const char *token)
{
    char line[1024];
    uint64_t before = __rdtsc();
    int64_t us = boot_us();
    uint64_t after = __rdtsc();
    int length = snprintf(line, sizeof(line), "%s%c %" PRIu64 " %" PRId64 " %" PRIu64 " %s %s %d\n",
                          prefix, kind, before, us, after, name, token, (int)getpid());
    if (write(fd, line, (size_t)length) != length)
        exit(3);
}

#endif
