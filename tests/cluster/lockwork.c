/*
 * lockwork: what runs under locks in scenarios, and what takes them again and again.
 *
 *	lockwork hold MS [stubborn]	the command under a lock: a line per sign of life, for MS
 *					milliseconds; stubborn: SIGTERM does not end it
 *	lockwork run SEED COUNT HOLD_MS NAME...
 *					`efsctl lock` of one of the names, COUNT times (0: for
 *					ever), held for up to HOLD_MS
 *	lockwork pairs FILE COUNT	F_OFD_SETLK and unlock on an open file: microseconds
 *					of each pair
 *	lockwork flocks FILE COUNT	the same with flock(2)
 *
 * Signs of life (sign.h) are of the kinds E (enter), B (beat) and L (leave).
 */
#include "tests/cluster/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { REFUSED_PAUSE_MS = 300 };

static void fail(const char *what)
{
    fprintf(stderr, "lockwork: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int64_t number(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < 0) {
        fprintf(stderr, "lockwork: %s is no number\n", text);
        exit(64);
    }
    return value;
}

/* ---- the command ---- */

static void sign(char kind)
{
    const char *name = getenv("EFS_LOCK_NAME"), *token = getenv("EFS_LOCK_TOKEN");
    sign_write(STDOUT_FILENO, "", kind, name ? name : "-", token ? token : "-");
}

static int hold(int64_t ms, bool stubborn)
{
    const int64_t until_us = boot_us() + ms * 1000;
    int64_t left_ms;
    prctl(PR_SET_NAME, "lockwork-held");
    if (stubborn)
        signal(SIGTERM, SIG_IGN);
    sign('E');
    while ((left_ms = (until_us - boot_us()) / 1000) > BEAT_MS) {
        nap(BEAT_MS);
        sign('B');
    }
    if (left_ms > 0)
        nap(left_ms);
    sign('L');
    return 0;
}

/* ---- who wants locks ---- */

static int run(uint64_t seed, int64_t count, int64_t hold_ms, char **names, int n_names)
{
    char efsctl[] = "efsctl", lock[] = "lock", wait[] = "--wait=2s", dashes[] = "--";
    char lockwork[] = "lockwork", held[] = "hold";
    uint64_t random = seed * 2685821657736338717ULL + 1;
    for (int64_t i = 0; count == 0 || i < count; i++) {
        char ms[32];
        char *name = names[next_random(&random) % (uint64_t)n_names];
        snprintf(ms, sizeof(ms), "%" PRIu64, 1 + next_random(&random) % (uint64_t)hold_ms);
        char *argv[] = {efsctl, lock, wait, name, dashes, lockwork, held, ms, NULL};
        pid_t pid;
        int status;
        if ((errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ)) != 0)
            fail(argv[0]);
        if (waitpid(pid, &status, 0) < 0)
            fail("waitpid");
        if (status != 0) /* a sidecar that is being restarted, a fault */
            nap(REFUSED_PAUSE_MS);
    }
    return 0;
}

/* ---- what the kernel's own locks cost ---- */

static int pairs(const char *path, int64_t count, bool whole)
{
    struct flock lock = {.l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        fail(path);
    for (int64_t i = 0; i < count; i++) {
        int64_t start_us = boot_us();
        lock.l_type = F_WRLCK;
        if ((whole ? flock(fd, LOCK_EX) : fcntl(fd, F_OFD_SETLK, &lock)) < 0)
            fail("lock");
        lock.l_type = F_UNLCK;
        if ((whole ? flock(fd, LOCK_UN) : fcntl(fd, F_OFD_SETLK, &lock)) < 0)
            fail("unlock");
        printf("%" PRId64 "\n", boot_us() - start_us);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    if (strcmp(what, "hold") == 0 && argc <= 4)
        return hold(number(argv[2]), argc == 4 && strcmp(argv[3], "stubborn") == 0);
    if (strcmp(what, "run") == 0 && argc > 5)
        return run((uint64_t)number(argv[2]), number(argv[3]), number(argv[4]), argv + 5, argc - 5);
    if ((strcmp(what, "pairs") == 0 || strcmp(what, "flocks") == 0) && argc == 4)
        return pairs(argv[2], number(argv[3]), *what == 'f');
    fputs("usage: lockwork hold MS [stubborn] | run SEED COUNT HOLD_MS NAME... | pairs|flocks FILE "
          "COUNT\n",
          stderr);
    return 64;
}
