#include "sidecar/announcements.h"

#include <errno.h>
#include <stdbool.h>

int announcements_add(struct announcements *waiting, announce_done *done, void *arg,
                      uint64_t *ret_id)
{
    if (waiting->n == ANNOUNCEMENTS_MAX)
        return -ENOBUFS;
    size_t i = waiting->n++;
    waiting->of[i].id = *ret_id = ++waiting->last_id;
    waiting->of[i].done = done;
    waiting->of[i].arg = arg;
    return 0;
}

/* Take it out; its end is the caller's business. */
static bool take(struct announcements *waiting, uint64_t id, announce_done **ret_done,
                 void **ret_arg)
{
    for (size_t i = 0; i < waiting->n; i++) {
        if (waiting->of[i].id != id)
            continue;
        *ret_done = waiting->of[i].done;
        *ret_arg = waiting->of[i].arg;
        waiting->of[i] = waiting->of[--waiting->n];
        return true;
    }
    return false;
}

void announcements_forget(struct announcements *waiting, uint64_t id)
{
    announce_done *done;
    void *arg;
    take(waiting, id, &done, &arg);
}

void announcements_end(struct announcements *waiting, uint64_t id, int result, uint64_t sequence)
{
    announce_done *done;
    void *arg;
    if (take(waiting, id, &done, &arg))
        done(arg, result, sequence);
}

void announcements_end_all(struct announcements *waiting, int result)
{
    uint64_t last_id = waiting->last_id; /* what done() adds is for whoever comes next */
    for (size_t i = waiting->n; i-- > 0;)
        if (i < waiting->n && waiting->of[i].id <= last_id)
            announcements_end(waiting, waiting->of[i].id, result, 0);
}
