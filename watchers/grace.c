#include "watchers/grace.h"

static uint64_t hash_path(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 0x100000001b3;
    return hash ? hash : 1;
}

void grace_init(struct grace *g)
{
    *g = (struct grace){0};
    findings_init(&g->found);
}

void grace_release(struct grace *g)
{
    findings_clear(&g->found);
}

void grace_heard(struct grace *g, const char *path, int64_t ctime_ns)
{
    uint64_t hash = hash_path(path);
    struct heard *heard = &g->heard[hash % GRACE_HEARD];
    if (heard->path == hash && heard->ctime_ns > ctime_ns)
        return;
    *heard = (struct heard){.path = hash, .ctime_ns = ctime_ns};
}

bool grace_is_told(const struct grace *g, const char *path, int64_t ctime_ns)
{
    uint64_t hash = hash_path(path);
    const struct heard *heard = &g->heard[hash % GRACE_HEARD];
    return heard->path == hash && heard->ctime_ns >= ctime_ns;
}

bool grace_found(struct grace *g, const struct change *change, int64_t due_ms)
{
    if (grace_is_told(g, change->path, change->ctime_ns))
        return true;
    return !findings_is_full(&g->found) && findings_add(&g->found, change->path, change->op,
                                                        change->flags & CHANGE_IS_DIR, due_ms) == 0;
}

void grace_gone(struct grace *g, const char *path, bool is_dir, int64_t due_ms)
{
    if (!findings_is_full(&g->found))
        findings_add(&g->found, path, CHANGE_DELETE, is_dir, due_ms);
}
