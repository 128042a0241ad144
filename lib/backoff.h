/*
 * backoff: how long to wait before the next attempt: twice as long each time, up to a limit, and
 * each time a random quarter less, so that many who failed together do not come back together.
 *
 *     struct backoff backoff = {.first_ms = 1000, .most_ms = 60000};
 *     try_again_ms = now_ms + backoff_next_ms(&backoff);
 *     ...
 *     backoff_reset(&backoff);           // it works again
 *
 * Threads: a structure belongs to one thread.
 */
#ifndef LIB_BACKOFF_H
#define LIB_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t first_ms, most_ms;
    int64_t next_ms; /* 0 before the first failure */
};

int64_t backoff_next_ms(struct backoff *backoff);
void backoff_reset(struct backoff *backoff);

#endif
