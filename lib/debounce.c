#include "lib/debounce.h"

#include "lib/clock.h"

void debounce_note(struct debounce *d, int64_t now_ms)
{
    if (!d->waiting)
        d->first_ms = now_ms;
    d->last_ms = now_ms;
    d->waiting = true;
}

int64_t debounce_due_ms(const struct debounce *d)
{
    if (!d->waiting || d->running)
        return CLOCK_NEVER;
    int64_t quiet_ms = d->last_ms + d->quiet_ms, most_ms = d->first_ms + d->most_ms;
    int64_t due_ms = quiet_ms < most_ms ? quiet_ms : most_ms;
    return due_ms > d->not_before_ms ? due_ms : d->not_before_ms;
}

void debounce_begin(struct debounce *d)
{
    d->waiting = false;
    d->running = true;
    d->not_before_ms = 0;
}

void debounce_end(struct debounce *d)
{
    d->running = false;
}

void debounce_again(struct debounce *d, int64_t not_before_ms)
{
    d->running = false;
    d->not_before_ms = not_before_ms;
    if (!d->waiting)
        debounce_note(d, not_before_ms - d->quiet_ms);
}
