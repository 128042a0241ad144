/*
 * findings: what the reconcile scanner found and has not told yet. It waits a while for the
 * writer's own word: what a member announces meanwhile is not told a second time.
 *
 *     findings_add(&findings, "a/b", CHANGE_MODIFY, false, due_ms);
 *     findings_cancel(&findings, "a/b");                    // somebody told it
 *     while ((f = findings_due(&findings, now_ms))) { ... findings_remove(&findings, f); }
 *
 * One per path; a later one for the same path changes it and keeps its place. Threads: one at a
 * time. Errors: -ENOMEM.
 */
#ifndef WATCHERS_FINDINGS_H
#define WATCHERS_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/share/change.h"

enum { FINDINGS_MAX = 8192, FINDINGS_BUCKETS = 4096 };

struct finding {
    TAILQ_ENTRY(finding) order;
    struct finding *hash_next;
    int64_t due_ms;
    enum change_op op; /* create, modify or delete */
    bool is_dir;
    char path[];
};

struct findings {
    TAILQ_HEAD(finding_queue, finding) queue;
    struct finding *buckets[FINDINGS_BUCKETS];
    size_t count;
};

void findings_init(struct findings *findings);
void findings_clear(struct findings *findings);

int findings_add(struct findings *findings, const char *path, enum change_op op, bool is_dir,
                 int64_t due_ms);
void findings_cancel(struct findings *findings, const char *path);
struct finding *findings_due(const struct findings *findings, int64_t now_ms);
void findings_remove(struct findings *findings, struct finding *finding);
int64_t findings_due_ms(const struct findings *findings); /* of the first; CLOCK_NEVER: none */

static inline bool findings_is_full(const struct findings *findings)
{
    return findings->count >= FINDINGS_MAX;
}

#endif
