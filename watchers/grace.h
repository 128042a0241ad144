/*
 * grace: what was found in a directory that another member made. Most likely its maker announces
 * it, but an application here may have written it before the directory was watched; then only we
 * can. So it waits a while for somebody's word, and is announced if none came.
 *
 *     grace_heard(&grace, "d/f", ctime_ns);             // a member told it
 *     if (!grace_found(&grace, &change, due_ms)) ... it has to be told now ...
 *     while ((f = grace_due(&grace, now_ms))) {
 *         ... if grace_is_told(&grace, f->path, its ctime now) is false, tell ...
 *         grace_remove(&grace, f);
 *     }
 *
 * The time that a member tells is the server's for that file, so the later says more. What was
 * heard is forgotten when there is too much of it: then something is told twice. Threads: one.
 */
#ifndef WATCHERS_GRACE_H
#define WATCHERS_GRACE_H

#include "watchers/findings.h"

enum { GRACE_HEARD = 4096 };

struct grace {
    struct findings found;
    struct heard {
        uint64_t path; /* its hash; 0: free */
        int64_t ctime_ns;
    } heard[GRACE_HEARD];
};

void grace_init(struct grace *grace);
void grace_release(struct grace *grace);

void grace_heard(struct grace *grace, const char *path, int64_t ctime_ns);
bool grace_is_told(const struct grace *grace, const char *path, int64_t ctime_ns);

/* False: there is no room. */
bool grace_found(struct grace *grace, const struct change *change, int64_t due_ms);

/* What was to be told was gone. If no event of this host says why, another host removed it where it
 * may not watch yet, so only we can tell: it is looked at again when it is due. */
void grace_gone(struct grace *grace, const char *path, bool is_dir, int64_t due_ms);

static inline struct finding *grace_due(const struct grace *grace, int64_t now_ms)
{
    return findings_due(&grace->found, now_ms);
}

static inline void grace_remove(struct grace *grace, struct finding *finding)
{
    findings_remove(&grace->found, finding);
}

static inline int64_t grace_due_ms(const struct grace *grace)
{
    return findings_due_ms(&grace->found);
}

#endif
