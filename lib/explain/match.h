/*
 * match: which entries of the catalogue a text shows, the surest first.
 *
 *     struct explain_result result = {.values = known};   // or {0}
 *     r = explain_match(raw, length, &result);
 *     result.at[0].entry ...                              // n == 0: unknown, see nearest
 *
 * An entry that names a cause goes before one that tells a consequence or a mere symptom; among
 * equals the one of which more of the text is known. What lies within a longer match is left out,
 * and symptoms count only alone. For an unknown text nearest holds the entries that share most of
 * their words with it.
 *
 * Errors: -EFBIG, -ENOMEM. Threads: safe.
 */
#ifndef LIB_EXPLAIN_MATCH_H
#define LIB_EXPLAIN_MATCH_H

#include "lib/explain/catalogue.h"
#include "lib/explain/pattern.h"

enum { EXPLAIN_MATCHES_MAX = 3, EXPLAIN_NEAREST_MAX = 3 };

struct explain_match {
    const struct explain_entry *entry;
    const char *form;
    struct explain_found found;
};

struct explain_result {
    struct explain_values values; /* those known before stay */
    size_t n;
    struct explain_match at[EXPLAIN_MATCHES_MAX];
    size_t n_nearest; /* only when n is 0 */
    const struct explain_entry *nearest[EXPLAIN_NEAREST_MAX];
};

int explain_match(const char *raw, size_t length, struct explain_result *result);

#endif
