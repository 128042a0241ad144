#include "watchers/findings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

static struct finding **bucket(struct findings *f, const char *path)
{
    uint32_t hash = 2166136261;
    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 16777619;
    return &f->buckets[hash % FINDINGS_BUCKETS];
}

static struct finding **find(struct findings *f, const char *path)
{
    struct finding **at = bucket(f, path);
    while (*at && strcmp((*at)->path, path) != 0)
        at = &(*at)->hash_next;
    return at;
}

void findings_init(struct findings *f)
{
    *f = (struct findings){0};
    TAILQ_INIT(&f->queue);
}

void findings_clear(struct findings *f)
{
    for (struct finding *finding; (finding = TAILQ_FIRST(&f->queue));)
        findings_remove(f, finding);
}

/* What was made and changed is still made; what was removed and made again has changed. */
static enum change_op merge(enum change_op earlier, enum change_op later)
{
    if (earlier == CHANGE_CREATE && later == CHANGE_MODIFY)
        return CHANGE_CREATE;
    return later;
}

int findings_add(struct findings *f, const char *path, enum change_op op, bool is_dir,
                 int64_t due_ms)
{
    struct finding **at = find(f, path);
    if (*at) {
        (*at)->op = merge((*at)->op, op);
        (*at)->is_dir = is_dir;
        return 0;
    }
    size_t length = strlen(path) + 1;
    struct finding *finding = malloc(sizeof(*finding) + length);
    if (!finding)
        return -ENOMEM;
    *finding = (struct finding){.due_ms = due_ms, .op = op, .is_dir = is_dir};
    memcpy(finding->path, path, length);
    *at = finding;
    TAILQ_INSERT_TAIL(&f->queue, finding, order);
    f->count++;
    return 0;
}

void findings_remove(struct findings *f, struct finding *finding)
{
    struct finding **at = find(f, finding->path);
    *at = finding->hash_next;
    TAILQ_REMOVE(&f->queue, finding, order);
    f->count--;
    free(finding);
}

void findings_cancel(struct findings *f, const char *path)
{
    struct finding *finding = *find(f, path);
    if (finding)
        findings_remove(f, finding);
}

struct finding *findings_due(const struct findings *f, int64_t now_ms)
{
    struct finding *first = TAILQ_FIRST(&f->queue);
    return first && first->due_ms <= now_ms ? first : NULL;
}

int64_t findings_due_ms(const struct findings *f)
{
    struct finding *first = TAILQ_FIRST(&f->queue);
    return first ? first->due_ms : CLOCK_NEVER;
}
