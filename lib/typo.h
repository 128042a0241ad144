/*
 * typo: which known name was probably meant by an unknown one.
 *
 *     unsigned best = typo_none(name);
 *     for each candidate:
 *         if (typo_is_nearer(name, candidate, &best))
 *             nearest = candidate;                 // still none at the end: it is another word
 *
 * Threads: safe. Errors: none.
 */
#ifndef LIB_TYPO_H
#define LIB_TYPO_H

#include <stdbool.h>

/* Where best begins: a third of the letters wrong, at most three, is a typing error. */
unsigned typo_none(const char *name);

/* Is candidate nearer to name than the best so far? Then *best is how near. */
bool typo_is_nearer(const char *name, const char *candidate, unsigned *best);

#endif
