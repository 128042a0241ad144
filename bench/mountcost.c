/*
 * mountcost: what a mount costs while something runs, from the kernel's own counters.
 *
 *     mountcost PATH SECONDS      waits that long, then prints calls by operation, metered bytes
 *                                 and dollars a month
 *
 * Works on any NFS mount, also in an ECS task on EFS, and sends nothing itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/metering.h"
#include "lib/mountstats.h"
#include "lib/parse.h"

static const double month_s = 30 * 86400;

static void print_ops(const struct mountstats *delta)
{
    printf("%-22s %8s %8s %12s %12s\n", "operation", "calls", "ms", "bytes", "metered");
    for (size_t i = 0; i < delta->n_ops; i++) {
        const struct mountstats_op *op = &delta->ops[i];
        enum metering_class class;
        if (op->calls == 0)
            continue;
        uint64_t metered = metering_of_op(op, &class);
        printf("%-22s %8" PRIu64 " %8.2f %12" PRIu64 " %12" PRIu64 "%s\n", op->name, op->calls,
               (double)op->execute_ms / (double)op->calls, op->bytes_sent + op->bytes_received,
               metered, class == METERING_SESSION ? " (session)" : "");
    }
}

static void print_sum(const struct mountstats *delta, double seconds)
{
    struct metering_sum sum;
    metering_of(delta, &sum);
    double metered = (double)(sum.read_bytes + sum.write_bytes);
    printf("calls_per_minute %.1f\n", (double)sum.calls * 60 / seconds);
    printf("session_calls_per_minute %.1f\n", (double)sum.session_calls * 60 / seconds);
    printf("metered_bytes_per_minute %.0f\n", metered * 60 / seconds);
    printf("dollars_per_month %.4f\n", metering_dollars(&sum) * month_s / seconds);
}

static int measure(const char *path, int64_t seconds)
{
    static struct mountstats before, after, delta;
    struct error err;
    if (mountstats_read(NULL, path, &before, &err) < 0) {
        fprintf(stderr, "mountcost: %s\n", err.text);
        return 1;
    }
    nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
    if (mountstats_read(NULL, path, &after, &err) < 0) {
        fprintf(stderr, "mountcost: %s\n", err.text);
        return 1;
    }
    if (mountstats_since(&before, &after, &delta) < 0) {
        fprintf(stderr, "mountcost: %s was mounted anew meanwhile\n", path);
        return 1;
    }
    print_ops(&delta);
    print_sum(&delta, (double)seconds);
    return 0;
}

int main(int argc, char **argv)
{
    int64_t seconds;
    if (argc != 3 || parse_i64(argv[2], 1, 86400, &seconds) < 0) {
        fputs("usage: mountcost PATH SECONDS\n", stderr);
        return 64;
    }
    return measure(argv[1], seconds);
}
