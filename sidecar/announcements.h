/*
 * announcements: who waits for the end of what was given to efs-watch to be announced.
 *
 *     r = announcements_add(&waiting, done, arg, &id);       // -ENOBUFS: too many wait
 *     announcements_end(&waiting, id, 0, sequence);          // calls done()
 *     announcements_end_all(&waiting, -ECONNRESET);          // nobody will answer any more
 *
 * done() is called exactly once for each, and may add. Threads: the loop's.
 */
#ifndef SIDECAR_ANNOUNCEMENTS_H
#define SIDECAR_ANNOUNCEMENTS_H

#include <stddef.h>
#include <stdint.h>

enum { ANNOUNCEMENTS_MAX = 64 };

/* result 0: peers may read it, as this sequence. Negative: it is not known whether they ever will.
 */
typedef void announce_done(void *arg, int result, uint64_t sequence);

struct announcements {
    uint64_t last_id;
    size_t n;
    struct {
        uint64_t id;
        announce_done *done;
        void *arg;
    } of[ANNOUNCEMENTS_MAX];
};

int announcements_add(struct announcements *waiting, announce_done *done, void *arg,
                      uint64_t *ret_id);

/* It was not given away after all: nobody is told. */
void announcements_forget(struct announcements *waiting, uint64_t id);

/* An id that nobody waits for is ignored. */
void announcements_end(struct announcements *waiting, uint64_t id, int result, uint64_t sequence);
void announcements_end_all(struct announcements *waiting, int result);

#endif
