/*
 * change_filter: which changes a reader of the feed asked for.
 *
 *     struct change_filter filter = {.prefix = "in", .remote = true};
 *     r = change_filter_ops("create,delete", &filter.ops, &err);
 *     if (change_filter_passes(&filter, &change)) ...
 *
 * A resync of what lies at, under or above the prefix always passes, whatever else was asked for:
 * it says that a change which would have passed may have been lost. So does what happens to a
 * directory above the prefix as a whole, if its operation was asked for.
 *
 * Ownership: the prefix is the caller's. Threads: safe.
 */
#ifndef SIDECAR_CHANGE_FILTER_H
#define SIDECAR_CHANGE_FILTER_H

#include <stdbool.h>

#include "lib/error.h"
#include "lib/share/change.h"

struct change_filter {
    const char *prefix; /* by whole components; "": everything */
    unsigned ops;       /* a bit for each enum change_op; 0: all */
    bool remote;        /* not what this host's own kernel saw */
};

/* Names with commas between. -EINVAL names the wrong one; err has no prefix. */
int change_filter_ops(const char *text, unsigned *ret_ops, struct error *err);

bool change_filter_passes(const struct change_filter *filter, const struct change *change);

/* Is path at or under prefix, by whole components? */
bool change_path_under(const char *path, const char *prefix);

#endif
