#include "lib/backoff.h"

#include <sys/random.h>

int64_t backoff_next_ms(struct backoff *backoff)
{
    int64_t full_ms = backoff->next_ms > 0 ? backoff->next_ms : backoff->first_ms;
    uint16_t random = 0;

    if (full_ms > backoff->most_ms)
        full_ms = backoff->most_ms;
    backoff->next_ms = full_ms > backoff->most_ms / 2 ? backoff->most_ms : 2 * full_ms;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = 0; /* the full time, then */
    return full_ms - (int64_t)((double)full_ms / 4 * random / UINT16_MAX);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ms = 0;
}
