/*
 * publish_file: what workers do to put one file in its place, whole, once; publish.c decides when.
 *
 *     r = publish_file_prepare(&file);     // open, sync, permission bits, digest: may take long
 *     r = publish_file_put(&file);         // a namespace operation
 *
 * Paths are relative to the mount and resolved beneath it. The file is renamed into place
 * (replace), or linked there, which fails when the place is taken, and loses its old name. Under a
 * lock it is linked into the stage first and renamed from there, and only while the
 * lock is proven to be valid: whoever has the lock next removes what is staged before it is
 * granted, so a rename that is late finds nothing.
 *
 * What came of a call is read from the inodes, with what the server says now: a call that was sent
 * again after a cut may be answered with EEXIST or ENOENT although its first sending succeeded.
 *
 * publish_file_cancel() may be called by another thread, once: true means that it was not, and will
 * not be, put in its place; false that this was already under way. docs/protocols/publish.md has
 * the numbered steps (test_hook.h: "publish").
 *
 * Threads: a file is one worker's, but for cancel. Errors: -errno, and words in file->err:
 * -EEXIST the place is taken, -ESTALE the lock is another one's or may be, -ECANCELED, -EBUSY it
 * is still written to, others as of rename(2).
 */
#ifndef SIDECAR_PUBLISH_FILE_H
#define SIDECAR_PUBLISH_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/sha256.h"
#include "sidecar/place.h"

enum { PUBLISH_STAGED_SIZE = 96 };

struct publish_file {
    const struct place *place;
    const char *from, *to;
    bool replace, mkdir;
    mode_t mode;                      /* 0: as it is */
    uint64_t digest_most_bytes;       /* of a larger one no digest; 0: of none */
    const char *lock;                 /* its name; NULL: under none; else also: */
    char staged[PUBLISH_STAGED_SIZE]; /* the name in the stage, TOKEN-... */
    int64_t valid_until_ms;
    atomic_int state; /* publish_file.c's */

    /* found */
    uint64_t inode, size;
    uint32_t device_major, device_minor;
    int64_t mtime_ns, ctime_ns;
    uint32_t links; /* names that it has, one perhaps the one that is wanted */
    bool has_digest;
    bool published;            /* err may have a warning all the same */
    bool unknown, left_staged; /* is it? or may it still be? is what was staged still there? */
    uint8_t sha256[SHA256_BYTES];
    struct error err;
};

/* Can paths be of a file that is published? Touches nothing. */
int publish_file_check(const struct publish_file *file, struct error *err);

int publish_file_prepare(struct publish_file *file);
int publish_file_put(struct publish_file *file);
bool publish_file_cancel(struct publish_file *file);

#endif
