/*
 * debounce: when to act on events that come in bursts. After the last one of a burst it waits for a
 * quiet time, but no longer than a maximum since the first; only one action runs at a time, and
 * what comes while it runs leads to one more.
 *
 *     struct debounce d = {.quiet_ms = 200, .most_ms = 2000};
 *     debounce_note(&d, now_ms);                         // an event came
 *     if (now_ms >= debounce_due_ms(&d))
 *         debounce_begin(&d);                            // and start the action
 *     ...
 *     debounce_end(&d);                                  // it is over: done, or
 *     debounce_again(&d, now_ms + 1000);                 // it failed: once more, not before then
 *
 * Threads: a structure belongs to one thread. Nothing fails.
 */
#ifndef LIB_DEBOUNCE_H
#define LIB_DEBOUNCE_H

#include <stdbool.h>
#include <stdint.h>

struct debounce {
    int64_t quiet_ms, most_ms;
    /* its own, zero at first */
    bool waiting, running;
    int64_t first_ms, last_ms; /* of the events that wait */
    int64_t not_before_ms;
};

void debounce_note(struct debounce *debounce, int64_t now_ms);

/* CLOCK_NEVER: nothing waits, or the action runs. */
int64_t debounce_due_ms(const struct debounce *debounce);

void debounce_begin(struct debounce *debounce);
void debounce_end(struct debounce *debounce);
void debounce_again(struct debounce *debounce, int64_t not_before_ms);

#endif
