#include "sidecar/cache_ghost.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 8 };

/* Those that share a bucket push each other out, the oldest first. */
struct bucket {
    uint32_t marks[WAYS]; /* the newest first; 0: none */
};

struct ghost {
    size_t n_buckets;
    struct bucket buckets[];
};

int ghost_new(size_t n, struct ghost **ret_ghost)
{
    size_t n_buckets = n / WAYS + 1;
    struct ghost *ghost = calloc(1, sizeof(*ghost) + n_buckets * sizeof(struct bucket));
    if (!ghost)
        return -ENOMEM;
    ghost->n_buckets = n_buckets;
    *ret_ghost = ghost;
    return 0;
}

void ghost_free(struct ghost *ghost)
{
    free(ghost);
}

static struct bucket *bucket_of(struct ghost *ghost, uint64_t hash)
{
    return &ghost->buckets[(hash >> 32) % ghost->n_buckets];
}

static uint32_t mark_of(uint64_t hash)
{
    uint32_t mark = (uint32_t)hash;
    return mark ? mark : 1;
}

/* The place of the mark, or of the oldest. */
static size_t find(const struct bucket *bucket, uint32_t mark)
{
    size_t i = 0;
    while (i < WAYS - 1 && bucket->marks[i] != mark)
        i++;
    return i;
}

void ghost_note(struct ghost *ghost, uint64_t hash)
{
    struct bucket *bucket = bucket_of(ghost, hash);
    size_t i = find(bucket, mark_of(hash));
    memmove(bucket->marks + 1, bucket->marks, i * sizeof(bucket->marks[0]));
    bucket->marks[0] = mark_of(hash);
}

bool ghost_take(struct ghost *ghost, uint64_t hash)
{
    struct bucket *bucket = bucket_of(ghost, hash);
    size_t i = find(bucket, mark_of(hash));
    if (bucket->marks[i] != mark_of(hash)) {
        ghost_note(ghost, hash);
        return false;
    }
    memmove(bucket->marks + i, bucket->marks + i + 1, (WAYS - 1 - i) * sizeof(bucket->marks[0]));
    bucket->marks[WAYS - 1] = 0;
    return true;
}
