/*
 * claim_return: gives back what a member had claimed that does not work on it any more: one that is
 * over (see owner.h), or one's own at the end.
 *
 *     r = claim_return_owner(place, claims_fd, "17-5", generation, &owner);   // whose is it?
 *     ... owner_judge(), owner_is_over() ...
 *     r = claim_return(place, claims_fd, "17-5", true, &returned, &err);
 *
 * Each item goes to <queue>/.retry/, or after claim.max_attempts to <queue>/.dead/, under a unique
 * directory, by one rename; then the directories of the claims are removed. So a rename of that
 * member that is still on its way finds nothing, or is found before its directory can go. It may be
 * stopped anywhere and done again, by several at once.
 *
 * Threads: workers', as a namespace operation; may hang with the mount. Errors: -errno and words;
 * what could not be given back is still there, to be tried again.
 */
#ifndef SIDECAR_CLAIM_RETURN_H
#define SIDECAR_CLAIM_RETURN_H

#include <stdbool.h>

#include "sidecar/claim_file.h"

struct claim_returned {
    unsigned retried, dead; /* items */
};

/* As its record says; as its name says where that was not written yet or is removed already: such a
 * directory has no items. -EINVAL: it is no directory of claims. */
int claim_return_owner(const struct place *place, int claims_fd, const char *name,
                       uint64_t generation, struct owner *ret_owner);

/* claims_fd: a task's .claims. counted: its end was a failed attempt. 0 also when it is gone
 * already; *returned grows. */
int claim_return(const struct place *place, int claims_fd, const char *name, bool counted,
                 struct claim_returned *returned, struct error *err);

/* The same for one queue of an own directory of claims, after its last item was given back. */
int claim_return_queue(const struct place *place, int own_fd, uint64_t k, struct error *err);

#endif
