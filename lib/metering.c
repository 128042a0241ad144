#include "lib/metering.h"

#include <stdbool.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/price.h"

#define KIB                1024
#define DATA_BYTES_MIN     (32 * KIB)
#define METADATA_BYTES_MIN (4 * KIB)

/* Of the metadata operations those that write; OPEN may create. */
static const char *const writers[] = {
    "SETATTR", "CREATE", "SYMLINK", "LINK", "REMOVE", "RENAME", "OPEN", "ALLOCATE", "DEALLOCATE",
};

static enum metering_class class_of(const char *name)
{
    switch (mountstats_class(name)) {
    case MOUNTSTATS_SESSION:
        return METERING_SESSION;
    case MOUNTSTATS_WRITE:
        return METERING_WRITE;
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_LEN(writers); i++)
        if (strcmp(writers[i], name) == 0)
            return METERING_WRITE;
    return METERING_READ;
}

static bool carries_data(const char *name)
{
    return strcmp(name, "READ") == 0 || strcmp(name, "READ_PLUS") == 0 ||
           strcmp(name, "WRITE") == 0;
}

uint64_t metering_of_op(const struct mountstats_op *op, enum metering_class *ret_class)
{
    enum metering_class class = class_of(op->name);
    uint64_t least = carries_data(op->name) ? DATA_BYTES_MIN : METADATA_BYTES_MIN;
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
    return (double)sum->read_bytes / gib * PRICE_EFS_READ_GIB +
           (double)sum->write_bytes / gib * PRICE_EFS_WRITE_GIB;
}
