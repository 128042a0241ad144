#include "lib/mountstats.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

enum { NUMBERS_MAX = 32, LEAST_OP_NUMBERS = 8, DELAY_EVENT = 24 };

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

/* "tcp 809 1 2 ...": where in the numbers is what, by transport; NONE is 0. */
static const struct transport_columns {
    const char *name;
    size_t connects, idle, sends, receives, backlog;
} transports[] = {
    {"tcp", 2, 4, 5, 6, 9},
    {"rdma", 2, 4, 5, 6, 9},
    {"udp", 0, 0, 2, 3, 6}, /* column 0 is the port */
};

static void add_connection(const struct transport_columns *at, const uint64_t numbers[NUMBERS_MAX],
                           struct mountstats *stats)
{
    int64_t idle_s = at->idle ? (int64_t)numbers[at->idle] : 0;
    if (stats->transport.n == 0 || idle_s < stats->transport.idle_s)
        stats->transport.idle_s = idle_s;
    stats->transport.n++;
    stats->transport.connects += at->connects ? numbers[at->connects] : 0;
    stats->transport.sends += numbers[at->sends];
    stats->transport.receives += numbers[at->receives];
    stats->transport.backlog += numbers[at->backlog];
}

static void read_transport(const char *text, struct mountstats *stats)
{
    uint64_t numbers[NUMBERS_MAX] = {0};
    char name[16];
    int used = 0;
    if (sscanf(text, " %15s %n", name, &used) != 1 || used == 0)
        return;
    size_t n = read_numbers(text + used, numbers);
    for (size_t i = 0; i < ARRAY_LEN(transports); i++)
        if (strcmp(transports[i].name, name) == 0 && n > transports[i].receives)
            add_connection(&transports[i], numbers, stats);
}

/* Cached and O_DIRECT, of the application; what the server sent and got. */
static void read_bytes(const char *text, struct mountstats *stats)
{
    uint64_t n[NUMBERS_MAX] = {0};
    read_numbers(text, n);
    stats->bytes.app_read = n[0] + n[2];
    stats->bytes.app_written = n[1] + n[3];
    stats->bytes.server_read = n[4];
    stats->bytes.server_written = n[5];
}

static void read_events(const char *text, struct mountstats *stats)
{
    uint64_t n[NUMBERS_MAX] = {0};
    read_numbers(text, n);
    stats->delays = n[DELAY_EVENT];
}

static int64_t option(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

static void read_age(const char *text, struct mountstats *stats)
{
    stats->age_s = strtoll(text, NULL, 10);
}

static void read_lease(const char *text, struct mountstats *stats)
{
    stats->lease_s = option(text, ",lease_time=");
    stats->lease_expired_s = option(text, ",lease_expired=");
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

/* Lines of a mount before the operations; what is not listed says nothing that is wanted. */
static const struct {
    const char *name;
    void (*read)(const char *text, struct mountstats *stats);
} lines[] = {
    {"age", read_age},     {"nfsv4", read_lease},    {"events", read_events},
    {"bytes", read_bytes}, {"xprt", read_transport},
};

static void read_line(const char *line, bool in_ops, struct mountstats *stats)
{
    const char *colon = strchr(line, ':');
    size_t length = colon ? (size_t)(colon - line) : 0;
    if (in_ops && colon)
        read_op(line, length, colon + 1, stats);
    for (size_t i = 0; !in_ops && i < ARRAY_LEN(lines); i++)
        if (strlen(lines[i].name) == length && memcmp(line, lines[i].name, length) == 0)
            lines[i].read(colon + 1, stats);
}

/* "device X mounted on PATH with fstype TYPE": begin anew all that were asked about this path. */
static void begin_mount(const char *line, struct mountstats_request requests[], size_t n,
                        bool inside[])
{
    _cleanup_free_ char *mangled = NULL, *type = NULL, *target = NULL;
    if (sscanf(line, "device %*s mounted on %ms with fstype %ms", &mangled, &type) == 2)
        target = mnt_unmangle(mangled);
    for (size_t i = 0; i < n; i++) {
        inside[i] = target && strcmp(target, requests[i].path) == 0;
        if (!inside[i])
            continue;
        bool nfs = strcmp(type, "nfs4") == 0 || strcmp(type, "nfs") == 0;
        requests[i].result = nfs ? 0 : -ENODATA;
        *requests[i].stats = (struct mountstats){.lease_s = -1, .lease_expired_s = -1};
    }
}

int mountstats_read_several(const char *file, struct mountstats_request requests[], size_t n,
                            struct error *err)
{
    file = file ? file : "/proc/self/mountstats";
    _cleanup_free_ bool *inside = calloc(n + 1, sizeof(*inside));
    if (!inside)
        return error_set(err, ENOMEM, "there is no memory to read %s", file);
    FILE *in = fopen(file, "re");
    if (!in)
        return error_set_errno(err, errno, "%s cannot be read", file);
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    bool in_ops = false;
    for (size_t i = 0; i < n; i++)
        requests[i].result = -ENOENT;
    while (getline(&line, &size, in) > 0) {
        const char *text = line + strspn(line, " \t");
        if (strncmp(line, "device ", 7) == 0) {
            begin_mount(line, requests, n, inside);
            in_ops = false;
        } else if (strncmp(text, "per-op statistics", 17) == 0) {
            in_ops = true;
        } else {
            for (size_t i = 0; i < n; i++)
                if (inside[i])
                    read_line(text, in_ops, requests[i].stats);
        }
    }
    fclose(in);
    return 0;
}

int mountstats_read(const char *file, const char *path, struct mountstats *ret_stats,
                    struct error *err)
{
    struct mountstats stats;
    struct mountstats_request request = {.path = path, .stats = &stats};
    int r = mountstats_read_several(file, &request, 1, err);
    if (r < 0)
        return r;
    if (request.result == -ENOENT)
        return error_set(err, ENOENT, "nothing is mounted at \"%s\"", path);
    if (request.result == -ENODATA)
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

/* A connection that was closed takes its counters along: that is no other mount. */
static void subtract_transport(struct mountstats *delta, const struct mountstats *before)
{
    delta->transport.connects = difference(delta->transport.connects, before->transport.connects);
    delta->transport.sends = difference(delta->transport.sends, before->transport.sends);
    delta->transport.receives = difference(delta->transport.receives, before->transport.receives);
    delta->transport.backlog = difference(delta->transport.backlog, before->transport.backlog);
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
    subtract_transport(&delta, before);
    if (!subtract(&delta.bytes.app_read, before->bytes.app_read) ||
        !subtract(&delta.bytes.app_written, before->bytes.app_written) ||
        !subtract(&delta.bytes.server_read, before->bytes.server_read) ||
        !subtract(&delta.bytes.server_written, before->bytes.server_written) ||
        !subtract(&delta.delays, before->delays))
        return -ESTALE;
    *ret_delta = delta;
    return 0;
}

enum mountstats_class mountstats_class(const char *op_name)
{
    static const struct {
        const char *name;
        enum mountstats_class class;
    } classes[] = {
        {"READ", MOUNTSTATS_READ},
        {"READ_PLUS", MOUNTSTATS_READ},
        {"WRITE", MOUNTSTATS_WRITE},
        {"COMMIT", MOUNTSTATS_WRITE},
        {"LOCK", MOUNTSTATS_LOCK},
        {"LOCKT", MOUNTSTATS_LOCK},
        {"LOCKU", MOUNTSTATS_LOCK},
        {"RELEASE_LOCKOWNER", MOUNTSTATS_LOCK},
        {"NULL", MOUNTSTATS_SESSION},
        {"SEQUENCE", MOUNTSTATS_SESSION},
        {"EXCHANGE_ID", MOUNTSTATS_SESSION},
        {"CREATE_SESSION", MOUNTSTATS_SESSION},
        {"DESTROY_SESSION", MOUNTSTATS_SESSION},
        {"DESTROY_CLIENTID", MOUNTSTATS_SESSION},
        {"BIND_CONN_TO_SESSION", MOUNTSTATS_SESSION},
        {"RECLAIM_COMPLETE", MOUNTSTATS_SESSION},
        {"GET_LEASE_TIME", MOUNTSTATS_SESSION},
        {"SETCLIENTID", MOUNTSTATS_SESSION},
        {"SETCLIENTID_CONFIRM", MOUNTSTATS_SESSION},
        {"RENEW", MOUNTSTATS_SESSION},
    };
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (strcmp(classes[i].name, op_name) == 0)
            return classes[i].class;
    return MOUNTSTATS_METADATA;
}
