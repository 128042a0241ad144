/*
 * metering: what calls to EFS cost under Elastic throughput.
 *
 *     struct metering_sum sum;
 *     metering_of(&delta, &sum);                          // of mountstats_since()
 *     double dollars = metering_dollars(&sum);
 *
 * A data operation (READ, WRITE) is metered with at least 32 KiB, any other with at least 4 KiB,
 * both in steps of 1 KiB; calls that only keep the session and its locks' leases alive are not file
 * operations and are counted apart. mountstats only has sums, so an operation's calls are all taken
 * to be of the average size: what is computed is a little low when sizes differ much. Prices are
 * those of price.h. Threads: safe. Nothing is owned, nothing fails.
 */
#ifndef LIB_METERING_H
#define LIB_METERING_H

#include <stdint.h>

#include "lib/mountstats.h"

struct metering_sum {
    uint64_t calls, session_calls; /* the latter are not metered */
    uint64_t read_bytes, write_bytes;
};

enum metering_class { METERING_SESSION, METERING_READ, METERING_WRITE };

/* Metered bytes of all calls of the operation. */
uint64_t metering_of_op(const struct mountstats_op *op, enum metering_class *ret_class);
void metering_of(const struct mountstats *stats, struct metering_sum *ret_sum);
double metering_dollars(const struct metering_sum *sum);

#endif
