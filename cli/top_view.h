/*
 * top_view: what `efsctl top` shows, out of two looks at the sidecar.
 *
 *     const struct top_look now = {status, metrics}, before = {...};
 *     top_print(&now, &before, rows, out);
 *
 * Rates are the difference of the two over the sidecar's own time; without a look before, or of
 * another process, they are "-". At most rows lines; they fit 80 columns but for the last column.
 *
 * Threads: safe.
 */
#ifndef CLI_TOP_VIEW_H
#define CLI_TOP_VIEW_H

#include <jansson.h>
#include <stdio.h>

struct top_look {
    json_t *status;  /* of GET /v1/status; NULL: none */
    json_t *metrics; /* of GET /v1/metrics */
};

void top_print(const struct top_look *now, const struct top_look *before, int rows, FILE *out);

#endif
