/*
 * remote: what other members' records mean for the table, the scan and the changes to tell.
 *
 * A record says that something happened; when it is read, more may have happened, here or
 * elsewhere, and been told already. So what is told is what is there now: a record of a name that
 * exists becomes create, modify, ... with the newest attributes known, of one that does not a
 * delete, and a rename is told as one only if it still shows. For that the caller has synced the
 * parent directories with the server after the record was announced, and applies records only when
 * the local events that came before have been noted (tracker_ticket()).
 *
 * A directory that was made elsewhere is watched and read: applications here may have written into
 * it before it was watched. What is renamed or removed elsewhere is in the table, too. A resync has
 * everything under its path that is watched read and reported again.
 *
 * Part of the tracker (see tracker.h). What is out of scope is dropped. Returns 0 or -ENOMEM.
 * Threads: one.
 */
#ifndef WATCHERS_REMOTE_H
#define WATCHERS_REMOTE_H

#include "lib/share/change.h"
#include "watchers/tracker.h"

/* change->observer is the member that says it. Nothing of change is kept. */
int remote_apply(struct tracker *tracker, const struct change *change);

/* Tell and announce what was found and nobody else has announced in time (see grace.h). */
int remote_found(struct tracker *tracker, int64_t now_ms);

/* dir, which had the path `from`, has another place in the table now. here: an application on this
 * host moved it. */
void remote_renamed(struct tracker *tracker, struct dir *dir, const char *from, bool here);

#endif
