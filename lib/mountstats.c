#include "lib/mountstats.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

enum { NUMBERS_MAX = 16, LEAST_OP_NUMBERS = 8 };

/* The numbers that the text begins with, at most NUMBERS_MAX. */
static size_t read_numbers(const char *text, uint64_t numbers[NUMBERS_MAX])
{
    size_t n = 0;
    for (char *end; n < NUMBERS_MAX; text = end) {
        uint64_t value = strtoull(text, &end, 10);
        if (end == text)
            break;
        numbers[n++] = value > INT64_MAX ? 0 : value; /* it was negative */
    }
    return n;
}

/* "tcp 809 1 2 ...": where in the numbers is what, by transport. */
static void read_transport(const char *text, struct mountstats *stats)
{
    static const struct {
        const char *name;
        size_t connects, sends, receives;
    } transports[] = {
        {"tcp", 2, 5, 6},
        {"rdma", 2, 5, 6},
        {"udp", 0, 2, 3}, /* the port in place of the connects: a constant */
    };
    uint64_t numbers[NUMBERS_MAX];
    char name[16];
    int used = 0;
    if (sscanf(text, " %15s %n", name, &used) != 1 || used == 0)
        return;
    size_t n = read_numbers(text + used, numbers);
    for (size_t i = 0; i < ARRAY_LEN(transports); i++) {
        if (strcmp(transports[i].name, name) != 0 || n <= transports[i].receives)
            continue;
        stats->transport.n++;
        stats->transport.connects += numbers[transports[i].connects];
        stats->transport.sends += numbers[transports[i].sends];
        stats->transport.receives += numbers[transports[i].receives];
    }
}

static void read_op(const char *name, size_t name_length, const char *text,
                    struct mountstats *stats)
{
    uint64_t n[NUMBERS_MAX] = {0};
    if (name_length == 0 || name_length > MOUNTSTATS_NAME_MAX ||
        stats->n_ops == MOUNTSTATS_OPS_MAX || read_numbers(text, n) < LEAST_OP_NUMBERS)
        return;
    struct mountstats_op *op = &stats->ops[stats->n_ops++];
    *op = (struct mountstats_op){
        .calls = n[0],
        .transmissions = n[1],
        .timeouts = n[2],
        .bytes_sent = n[3],
        .bytes_received = n[4],
        .queue_ms = n[5],
        .round_trip_ms = n[6],
        .execute_ms = n[7],
        .errors = n[8],
    };
    memcpy(op->name, name, name_length);
}

static void read_line(const char *line, bool *in_ops, struct mountstats *stats)
{
    const char *name = line + strspn(line, " \t");
    const char *colon = strchr(name, ':');
    size_t length = colon ? (size_t)(colon - name) : 0;
    if (strncmp(name, "per-op statistics", 17) == 0) {
        *in_ops = true;
    } else if (*in_ops && colon) {
        read_op(name, length, colon + 1, stats);
    } else if (length == 3 && strncmp(name, "age", 3) == 0) {
        stats->age_s = strtoll(colon + 1, NULL, 10);
    } else if (length == 4 && strncmp(name, "xprt", 4) == 0) {
        read_transport(colon + 1, stats);
    } else if (length == 5 && strncmp(name, "nfsv4", 5) == 0) {
        const char *lease = strstr(colon, "lease_time=");
        if (lease)
            stats->lease_s = strtoll(lease + strlen("lease_time="), NULL, 10);
    }
}

/* "device X mounted on PATH with fstype TYPE": 1 when it is the path, and whether it is NFS. */
static int match_device(const char *line, const char *path, bool *ret_nfs)
{
    _cleanup_free_ char *mangled = NULL, *type = NULL;
    if (sscanf(line, "device %*s mounted on %ms with fstype %ms", &mangled, &type) != 2)
        return 0;
    _cleanup_free_ char *target = mnt_unmangle(mangled);
    if (!target || strcmp(target, path) != 0)
        return 0;
    *ret_nfs = strcmp(type, "nfs4") == 0 || strcmp(type, "nfs") == 0;
    return 1;
}

int mountstats_read(const char *file, const char *path, struct mountstats *ret_stats,
                    struct error *err)
{
    file = file ? file : "/proc/self/mountstats";
    FILE *in = fopen(file, "re");
    if (!in)
        return error_set_errno(err, errno, "%s cannot be read", file);
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    bool found = false, nfs = false, inside = false, in_ops = false;
    struct mountstats stats = {0};
    while (getline(&line, &size, in) > 0) {
        if (strncmp(line, "device ", 7) != 0) {
            if (inside)
                read_line(line, &in_ops, &stats);
            continue;
        }
        inside = match_device(line, path, &nfs);
        if (inside) {
            found = true;
            in_ops = false;
            stats = (struct mountstats){.lease_s = -1};
        }
    }
    fclose(in);
    if (!found)
        return error_set(err, ENOENT, "nothing is mounted at \"%s\"", path);
    if (!nfs)
        return error_set(err, ENODATA, "what is mounted at \"%s\" is not NFS", path);
    *ret_stats = stats;
    return 0;
}

const struct mountstats_op *mountstats_op(const struct mountstats *stats, const char *name)
{
    for (size_t i = 0; i < stats->n_ops; i++)
        if (strcmp(stats->ops[i].name, name) == 0)
            return &stats->ops[i];
    return NULL;
}

static bool subtract(uint64_t *from, uint64_t value)
{
    if (*from < value)
        return false;
    *from -= value;
    return true;
}

/* Times may shrink: the kernel sums up differences of clocks. */
static uint64_t difference(uint64_t after, uint64_t before)
{
    return after > before ? after - before : 0;
}

static bool subtract_op(struct mountstats_op *op, const struct mountstats_op *before)
{
    op->queue_ms = difference(op->queue_ms, before->queue_ms);
    op->round_trip_ms = difference(op->round_trip_ms, before->round_trip_ms);
    op->execute_ms = difference(op->execute_ms, before->execute_ms);
    return subtract(&op->calls, before->calls) &&
           subtract(&op->transmissions, before->transmissions) &&
           subtract(&op->timeouts, before->timeouts) &&
           subtract(&op->bytes_sent, before->bytes_sent) &&
           subtract(&op->bytes_received, before->bytes_received) &&
           subtract(&op->errors, before->errors);
}

int mountstats_since(const struct mountstats *before, const struct mountstats *after,
                     struct mountstats *ret_delta)
{
    struct mountstats delta = *after;
    delta.age_s -= before->age_s;
    if (delta.age_s < 0)
        return -ESTALE;
    for (size_t i = 0; i < delta.n_ops; i++) {
        const struct mountstats_op *earlier = mountstats_op(before, delta.ops[i].name);
        if (earlier && !subtract_op(&delta.ops[i], earlier))
            return -ESTALE;
    }
    /* A connection that was closed takes its counters along: that is no other mount. */
    delta.transport.connects = difference(delta.transport.connects, before->transport.connects);
    delta.transport.sends = difference(delta.transport.sends, before->transport.sends);
    delta.transport.receives = difference(delta.transport.receives, before->transport.receives);
    *ret_delta = delta;
    return 0;
}
