/*
 * cloudwatch: PutMetricData (JSON 1.0).
 *
 *     struct cloudwatch_datum datum = {.name = "ProbeLatency", .unit = "Milliseconds",
 *                                      .dimensions = {{"ClusterName", "prod"}}, .wall_ms = wall_ms,
 *                                      .values = values, .counts = counts, .n = n};
 *     r = cloudwatch_encode(&datum, &text, &length);           // what a batch is made of
 *     ...
 *     bool gzip = true;
 *     r = cloudwatch_put(&client, "EFSSidecar", texts, n, &gzip, deadline_ms, &err);
 *
 * A call has at most CLOUDWATCH_DATA_MAX data and CLOUDWATCH_DATA_MAX_BYTES of them: the limits of
 * the service are 1000 and 1 MB. Dimension values are made printable ASCII, which the service
 * wants.
 *
 * Bodies are compressed. An endpoint that was configured and does not seem to understand that (5xx,
 * 415, an error without a code) gets the same uncompressed at once, and *gzip becomes false, to be
 * kept for the next call: not everything that plays CloudWatch can uncompress.
 *
 * Ownership: the caller frees what cloudwatch_encode() returns. Threads: any; cloudwatch_put()
 * blocks, so no loop thread. Errors of cloudwatch_put(): -EBADMSG the service does not want
 * something among these data, so that it helps to send them in smaller parts; -ENOKEY there are no
 * credentials that it takes; otherwise those of request.h and reply.h, and nothing is wrong with
 * the data.
 */
#ifndef LIB_AWS_CLOUDWATCH_H
#define LIB_AWS_CLOUDWATCH_H

#include <stdbool.h>
#include <sys/uio.h>

#include "lib/aws/request.h"

enum {
    CLOUDWATCH_DATA_MAX = 1000,
    CLOUDWATCH_DATA_MAX_BYTES = 256 * 1024, /* with the commas; more would only need memory */
    CLOUDWATCH_VALUES_MAX = 150,
    CLOUDWATCH_DIMENSIONS_MAX = 8,
};

struct cloudwatch_datum {
    const char *name, *unit; /* the unit as CloudWatch calls it */
    struct aws_parameter dimensions[CLOUDWATCH_DIMENSIONS_MAX + 1]; /* ends with {NULL, NULL} */
    int64_t wall_ms;
    const double *values;
    const uint64_t *counts; /* NULL: each value once */
    size_t n;
    bool high_resolution;
};

/* -EDOM: a value that CloudWatch does not take (not finite, beyond 2^360); -E2BIG, -ENOMEM. */
int cloudwatch_encode(const struct cloudwatch_datum *datum, char **ret_text, size_t *ret_length);

int cloudwatch_put(const struct aws_client *client, const char *name_space,
                   const struct iovec data[], size_t n, bool *gzip, int64_t deadline_ms,
                   struct error *err);

/* The policy statement that allows it, as JSON; buf is returned. */
const char *cloudwatch_statement(const char *name_space, char *buf, size_t size);

/* What follows from an answer: 0 or an error of cloudwatch_put(). */
int cloudwatch_check(const struct reply *reply, struct error *err);

#endif
