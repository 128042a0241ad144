/*
 * claim_file: what is done to the files of a queue and of who claims them, by workers
 * (docs/protocols/claims.md).
 *
 *     <queue>/NAME                             to be worked on; names that begin with '.' are not
 *     <queue>/.retry/<attempts>.<unique>/NAME  given back
 *     <queue>/.dead/<attempts>.<unique>/NAME   failed too often
 *     tasks/<task>/.claims/<slot>-<epoch>/     of one member, with its owner record
 *         <k>.queue                            the path of a queue
 *         <k>.<attempts>/NAME                  claimed there
 *
 *     r = claim_file_make_own(place, &owner, &own_fd, &err);
 *     r = claim_file_make_queue(place, own_fd, k, "uploads", &err);
 *     r = claim_file_open_queue(place, "uploads", false, &queue_fd, &err);
 *     r = claim_file_open_part(place, own_fd, &part, true, &part_fd, &err);
 *     r = claim_file_take(queue_fd, "a.jpg", part_fd);            // -ENOENT: somebody else has it
 *     r = claim_file_done(part_fd, "a.jpg");                      // or
 *     r = claim_file_give_back(place, queue_fd, part_fd, "a.jpg", LAYOUT_RETRY, attempts, &err);
 *
 * Every change of a name is one call whose outcome is decided by what is there afterwards: the
 * errno may be the answer to a call that was sent again after it had succeeded. Nothing is ever
 * replaced by a rename: a name is new in its directory, or the directory is.
 *
 * Threads: workers', one namespace operation at a time; all may hang with the mount. Errors:
 * -errno, and words where there is err.
 */
#ifndef SIDECAR_CLAIM_FILE_H
#define SIDECAR_CLAIM_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/share/owner.h"
#include "sidecar/place.h"

enum {
    CLAIM_ATTEMPTS_MAX = 1000,
    CLAIM_DIR_TEXT = 48, /* "<slot>-<epoch>", "<k>.queue", "<attempts>.<unique>" */
};

/* A directory of claimed files. */
struct claim_part {
    uint64_t k;
    unsigned attempts; /* that failed before */
};

const char *claim_file_owner_name(const struct owner *owner, char buf[CLAIM_DIR_TEXT]);
int claim_file_parse_owner(const char *name, struct owner *owner); /* its slot and epoch */
const char *claim_file_part_name(const struct claim_part *part, char buf[CLAIM_DIR_TEXT]);
int claim_file_parse_part(const char *name, struct claim_part *ret_part);
int claim_file_parse_queue(const char *name, uint64_t *ret_k);
int claim_file_parse_retry(const char *name, unsigned *ret_attempts);

/* Is a name in a queue, or in a directory of claims, that of an item? */
bool claim_file_is_item(const char *name);

/* tasks/<task>/.claims of this task, made when it is missing. */
int claim_file_make_claims(const struct place *place, int *ret_fd, struct error *err);
int claim_file_make_own(const struct place *place, const struct owner *owner, int *ret_fd,
                        struct error *err);
int claim_file_make_queue(const struct place *place, int own_fd, uint64_t k, const char *queue,
                          struct error *err);
int claim_file_read_queue(int own_fd, uint64_t k, char **ret_queue);
int claim_file_open_queue(const struct place *place, const char *queue, bool make, int *ret_fd,
                          struct error *err);
int claim_file_open_part(const struct place *place, int own_fd, const struct claim_part *part,
                         bool make, int *ret_fd, struct error *err);

/* from: the item's path in the queue. */
int claim_file_take(int queue_fd, const char *from, int part_fd);
int claim_file_done(int part_fd, const char *name); /* 0 also when it is gone already */

/* kind: LAYOUT_RETRY or LAYOUT_DEAD. -ENOENT: the item is gone. */
int claim_file_give_back(const struct place *place, int queue_fd, int part_fd, const char *name,
                         const char *kind, unsigned attempts, struct error *err);

/* What this client remembers of a directory is what the server says now. */
int claim_file_sync(int dir_fd);

#endif
