#include "lib/metering.h"

#include <stdbool.h>
#include <string.h>

#include "lib/cleanup.h"

#define KIB                1024
#define DATA_BYTES_MIN     (32 * KIB)
#define METADATA_BYTES_MIN (4 * KIB)

static const double read_dollars_per_gib = 0.03, write_dollars_per_gib = 0.06;

/* What is not listed reads metadata: GETATTR, LOOKUP, ACCESS, READDIR, ... */
static const struct {
    const char *name;
    enum metering_class class;
    bool data;
} operations[] = {
    {"READ", METERING_READ, true},
    {"WRITE", METERING_WRITE, true},
    {"COMMIT", METERING_WRITE, false},
    {"SETATTR", METERING_WRITE, false},
    {"CREATE", METERING_WRITE, false},
    {"SYMLINK", METERING_WRITE, false},
    {"LINK", METERING_WRITE, false},
    {"REMOVE", METERING_WRITE, false},
    {"RENAME", METERING_WRITE, false},
    {"OPEN", METERING_WRITE, false}, /* may create */
    {"ALLOCATE", METERING_WRITE, false},
    {"DEALLOCATE", METERING_WRITE, false},
    {"NULL", METERING_SESSION, false},
    {"SEQUENCE", METERING_SESSION, false},
    {"EXCHANGE_ID", METERING_SESSION, false},
    {"CREATE_SESSION", METERING_SESSION, false},
    {"DESTROY_SESSION", METERING_SESSION, false},
    {"DESTROY_CLIENTID", METERING_SESSION, false},
    {"BIND_CONN_TO_SESSION", METERING_SESSION, false},
    {"RECLAIM_COMPLETE", METERING_SESSION, false},
    {"GET_LEASE_TIME", METERING_SESSION, false},
    {"SETCLIENTID", METERING_SESSION, false},
    {"SETCLIENTID_CONFIRM", METERING_SESSION, false},
    {"RENEW", METERING_SESSION, false},
};

uint64_t metering_of_op(const struct mountstats_op *op, enum metering_class *ret_class)
{
    enum metering_class class = METERING_READ;
    uint64_t least = METADATA_BYTES_MIN;
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        if (strcmp(operations[i].name, op->name) != 0)
            continue;
        class = operations[i].class;
        if (operations[i].data)
            least = DATA_BYTES_MIN;
    }
    *ret_class = class;
    if (class == METERING_SESSION || op->calls == 0)
        return 0;
    uint64_t bytes = class == METERING_READ ? op->bytes_received : op->bytes_sent;
    uint64_t each = (bytes / op->calls + KIB - 1) / KIB * KIB;
    return op->calls * (each > least ? each : least);
}

void metering_of(const struct mountstats *stats, struct metering_sum *ret_sum)
{
    struct metering_sum sum = {0};
    for (size_t i = 0; i < stats->n_ops; i++) {
        enum metering_class class;
        uint64_t bytes = metering_of_op(&stats->ops[i], &class);
        sum.calls += stats->ops[i].calls;
        if (class == METERING_SESSION)
            sum.session_calls += stats->ops[i].calls;
        else if (class == METERING_READ)
            sum.read_bytes += bytes;
        else
            sum.write_bytes += bytes;
    }
    *ret_sum = sum;
}

double metering_dollars(const struct metering_sum *sum)
{
    const double gib = 1024.0 * 1024 * 1024;
    return (double)sum->read_bytes / gib * read_dollars_per_gib +
           (double)sum->write_bytes / gib * write_dollars_per_gib;
}
