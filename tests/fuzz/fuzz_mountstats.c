/* /proc/self/mountstats of any kernel: mounts are found, and arithmetic on their counters holds. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/metering.h"
#include "lib/mountstats.h"
#include "tests/fuzz/driver.h"

static const char *const paths[] = {
    "/data", "/config", "/mnt/data", "/mnt/data two", "/bind of data", "/rdma", "/udp", "/many",
};

static void check_stats(const struct mountstats *stats)
{
    static struct mountstats delta;
    struct metering_sum sum;
    MUST(stats->n_ops <= MOUNTSTATS_OPS_MAX);
    for (size_t i = 0; i < stats->n_ops; i++) {
        const struct mountstats_op *op = &stats->ops[i];
        MUST(op->name[0] != '\0' && memchr(op->name, '\0', sizeof(op->name)));
        MUST(op->calls <= INT64_MAX && op->errors <= INT64_MAX);
        MUST(mountstats_class(op->name) < MOUNTSTATS_CLASSES);
        MUST(mountstats_op(stats, op->name));
    }
    metering_of(stats, &sum);
    (void)metering_dollars(&sum);
    if (mountstats_since(stats, stats, &delta) == 0) {
        MUST(delta.age_s == 0 && delta.transport.sends == 0 && delta.bytes.app_read == 0);
        metering_of(&delta, &sum);
    }
}

int fuzz_parse(const char *text, size_t length)
{
    static struct mountstats stats[ARRAY_LEN(paths)], alone;
    struct mountstats_request requests[ARRAY_LEN(paths)];
    struct error err = {0};
    char file[64];
    int found = 0;
    _cleanup_close_ int fd = memfd_create("mountstats", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, text, length) == (ssize_t)length);
    snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        requests[i] = (struct mountstats_request){.path = paths[i], .stats = &stats[i]};
    MUST(mountstats_read_several(file, requests, ARRAY_LEN(paths), &err) == 0);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        MUST(mountstats_read(file, paths[i], &alone, &err) == requests[i].result);
        if (requests[i].result < 0)
            continue;
        MUST(memcmp(&alone, &stats[i], sizeof(alone)) == 0);
        check_stats(&stats[i]);
        found++;
    }
    return found ? 0 : -1;
}
