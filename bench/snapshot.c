/*
 * snapshot: memory of the reconcile scanner's snapshot, for each entry.
 *
 *     bench/snapshot [FILES]       a tree of so many files on /dev/shm; default 1,000,000
 *
 * The tree is real and read by the census as the scanner does it. Printed: bytes for each entry,
 * and the floor: the names alone, which cannot be left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/parse.h"
#include "watchers/census.h"

enum { FILES_PER_DIR = 1000 };

static char root[] = "/dev/shm/efs-snapshot.XXXXXX";

static void remove_tree(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (system(command) != 0) /* NOLINT(cert-env33-c): our own mkdtemp name */
        fprintf(stderr, "%s is left behind\n", root);
}

static void make_tree(int64_t files)
{
    char path[256];
    if (!mkdtemp(root)) {
        perror(root);
        exit(1);
    }
    atexit(remove_tree);
    for (int64_t i = 0; i < files; i++) {
        if (i % FILES_PER_DIR == 0) {
            snprintf(path, sizeof(path), "%s/dir%06ld", root, (long)(i / FILES_PER_DIR));
            mkdir(path, 0755);
        }
        snprintf(path, sizeof(path), "%s/dir%06ld/image-%08ld.jpg", root, (long)(i / FILES_PER_DIR),
                 (long)i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) {
            perror(path);
            exit(1);
        }
        close(fd);
    }
}

static long resident_kib(void)
{
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && !fgets(text, sizeof(text), file))
        text[0] = '\0';
    if (file)
        fclose(file);
    const char *resident = strchr(text, ' '); /* the second number, in pages */
    return resident ? strtol(resident, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024) : 0;
}

int main(int argc, char **argv)
{
    int64_t files = 1000 * 1000;
    if (argc > 1 && parse_i64(argv[1], 1, 100 * 1000 * 1000, &files) < 0) {
        fputs("usage: bench/snapshot [FILES]\n", stderr);
        return 64;
    }
    make_tree(files);
    const struct scope scope = {0};
    struct census_options options = {
        .root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC),
        .scope = &scope,
        .max_entries = (size_t)files * 2,
    };
    struct census census;
    long before_kib = resident_kib();
    int64_t began_ms = clock_now_ms(), calls = 0;
    if (census_open(&census, &options) < 0)
        return 1;
    census_begin(&census);
    for (int n; (n = census_step(&census)) > 0;)
        calls += n;
    size_t entries = snapshot_count(census.snapshot), names = 0;
    struct snapshot_dir *dir;
    struct snapshot_entry entry;
    TAILQ_FOREACH(dir, snapshot_order(census.snapshot), order)
    {
        for (entry.name[0] = '\0'; snapshot_after(dir, entry.name, &entry);)
            names += strlen(entry.name);
    }
    double each = (double)snapshot_bytes(census.snapshot) / (double)entries,
           floor = (double)names / (double)entries;
    printf("snapshot of %zu entries: %.1f bytes each asked for, %.1f resident; the names alone are "
           "%.1f: %.2fx\n",
           entries, each, (double)(resident_kib() - before_kib) * 1024 / (double)entries, floor,
           each / floor);
    printf("a whole pass: %ld calls to the file system, %.1f s on tmpfs\n", (long)calls,
           (double)(clock_now_ms() - began_ms) / 1000);
    census_close(&census);
    return 0;
}
