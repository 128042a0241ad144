/*
 * owed: resyncs that other members are still to be told of.
 *
 * A member that lost events looks again itself before it tells the others to: what happened before
 * its watches were set anew then lies before its resync, and what happens later is an event again.
 *
 *     owed_add(&owed, "a/b", CHANGE_REASON_OVERFLOW);       // covers all below a/b
 *     if (owed.count > 0 && everything has been read again)
 *         r = owed_tell(&owed, announce);
 *     owed_release(&owed);
 *
 * Each path once, the first reason counts. When there are too many, the root stands for all.
 * Returns 0 or -ENOMEM. Threads: one.
 */
#ifndef WATCHERS_OWED_H
#define WATCHERS_OWED_H

#include <stddef.h>

#include "lib/share/change.h"
#include "watchers/announce.h"

enum { OWED_MAX = 16 };

struct owed {
    size_t count;
    char *paths[OWED_MAX];
    enum change_reason reasons[OWED_MAX];
};

int owed_add(struct owed *owed, const char *path, enum change_reason reason);
int owed_tell(struct owed *owed, struct announce *announce);
void owed_release(struct owed *owed);

#endif
