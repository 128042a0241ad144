/*
 * Opens and reads files without any library of ours, with libefscache.so or without.
 *
 *     shim_read threads N ROUNDS FILE...
 *         so many threads read all files; their sum
 *     shim_read bench ROUNDS FILE...
 *         nanoseconds to open, read 4 KiB of and close one
 *     shim_read bench-beside N ROUNDS READ FILE... -- OTHER...
 *         N threads open, read if READ is not 0, and close FILEs by libc and OTHERs by system
 *         calls, in turns of microseconds, so that both meet the same machine: median nanoseconds
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/tools/must.h"

enum { BLOCK = 4096, BAD_USAGE = 64 };

static int number(const char *word)
{
    return (int)strtol(word, NULL, 10);
}

struct reader {
    pthread_t thread;
    int rounds, n;
    char **files;
    uint64_t sum;
};

static void read_one(const char *path, uint64_t *sum)
{
    uint8_t block[BLOCK];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0, path);
    for (ssize_t n; (n = read(fd, block, sizeof(block))) > 0;)
        for (ssize_t i = 0; i < n; i++)
            *sum = *sum * 31 + block[i];
    close(fd);
}

static void *read_all(void *arg)
{
    struct reader *reader = arg;
    for (int round = 0; round < reader->rounds; round++) {
        uint64_t sum = 0;
        for (int i = 0; i < reader->n; i++)
            read_one(reader->files[i], &sum);
        if (round > 0 && sum != reader->sum)
            errx(1, "round %d read something else", round);
        reader->sum = sum;
    }
    return NULL;
}

static void *read_blocks(void *arg)
{
    struct reader *reader = arg;
    char block[BLOCK];
    for (int round = 0; round < reader->rounds; round++)
        for (int i = 0; i < reader->n; i++) {
            int fd = open(reader->files[i], O_RDONLY | O_CLOEXEC);
            must(fd >= 0 && read(fd, block, sizeof(block)) > 0, reader->files[i]);
            close(fd);
        }
    return NULL;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t run_threads(int n, int rounds, char **files, void *(*work)(void *))
{
    int n_files = 0;
    while (files[n_files])
        n_files++;
    struct reader *readers = calloc((size_t)n, sizeof(*readers));
    must(readers != NULL && n_files > 0, "threads");
    uint64_t sum = 0;
    read_one(files[0], &sum); /* until the library has found the cache nobody waits for it */
    int64_t start_ns = now_ns();
    for (int i = 0; i < n; i++) {
        readers[i] = (struct reader){.rounds = rounds, .n = n_files, .files = files};
        must(pthread_create(&readers[i].thread, NULL, work, &readers[i]) == 0, "thread");
    }
    for (int i = 0; i < n; i++)
        pthread_join(readers[i].thread, NULL);
    int64_t took_ns = now_ns() - start_ns;
    if (work == read_all)
        for (int i = 0; i < n; i++)
            printf("%llx%c", (unsigned long long)readers[i].sum, i % 8 == 7 ? '\n' : ' ');
    free(readers);
    return took_ns / n_files / rounds;
}

enum { TURN = 16 };

struct pair {
    pthread_t thread;
    int rounds, n;
    bool reads;
    char **files, **others;
    int64_t *ours_ns, *others_ns; /* of each turn of this thread */
};

static void use(int fd, bool reads, const char *path)
{
    char block[BLOCK];
    must(fd >= 0 && (!reads || read(fd, block, sizeof(block)) > 0), path);
    close(fd);
}

static void *run_pair(void *arg)
{
    struct pair *pair = arg;
    for (int round = 0, at = 0; round < pair->rounds; round++, at = (at + TURN) % pair->n) {
        int64_t start_ns = now_ns();
        for (int i = 0; i < TURN; i++) {
            char *path = pair->files[(at + i) % pair->n];
            use(open(path, O_RDONLY | O_CLOEXEC), pair->reads, path);
        }
        int64_t middle_ns = now_ns();
        for (int i = 0; i < TURN; i++) {
            char *path = pair->others[(at + i) % pair->n];
            use((int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), pair->reads, path);
        }
        pair->ours_ns[round] = middle_ns - start_ns;
        pair->others_ns[round] = now_ns() - middle_ns;
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static long long median(int64_t *ns, int n)
{
    qsort(ns, (size_t)n, sizeof(*ns), compare);
    return (long long)(ns[n / 2] / TURN);
}

static void bench_beside(int n, int rounds, bool reads, char **files)
{
    char **others = files;
    while (*others && strcmp(*others, "--") != 0)
        others++;
    const int n_files = (int)(others - files), turns = n * rounds;
    struct pair *pairs = calloc((size_t)n, sizeof(*pairs));
    int64_t *ns = calloc((size_t)turns * 2, sizeof(*ns));
    must(pairs && ns && *others && n_files > 0, "bench-beside");
    for (int i = 0; i < n; i++) {
        pairs[i] = (struct pair){.rounds = rounds,
                                 .n = n_files,
                                 .reads = reads,
                                 .files = files,
                                 .others = others + 1,
                                 .ours_ns = ns + (ptrdiff_t)i * rounds,
                                 .others_ns = ns + turns + (ptrdiff_t)i * rounds};
        must(pthread_create(&pairs[i].thread, NULL, run_pair, &pairs[i]) == 0, "thread");
    }
    for (int i = 0; i < n; i++)
        pthread_join(pairs[i].thread, NULL);
    printf("%lld %lld\n", median(ns, turns), median(ns + turns, turns));
    free(pairs);
    free(ns);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        errx(BAD_USAGE, "see the first lines of shim_read.c");
    if (strcmp(argv[1], "threads") == 0 && argc > 4)
        run_threads(number(argv[2]), number(argv[3]), argv + 4, read_all);
    else if (strcmp(argv[1], "bench") == 0 && argc > 3)
        printf("%lld\n", (long long)run_threads(1, number(argv[2]), argv + 3, read_blocks));
    else if (strcmp(argv[1], "bench-beside") == 0 && argc > 7)
        bench_beside(number(argv[2]), number(argv[3]), number(argv[4]) != 0, argv + 5);
    else
        errx(BAD_USAGE, "%s?", argv[1]);
    return 0;
}
