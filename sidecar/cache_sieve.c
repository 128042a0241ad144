#include "sidecar/cache_sieve.h"

void sieve_init(struct sieve *sieve, bool (*was_visited)(void *arg, struct sieve_node *node),
                void *arg)
{
    *sieve = (struct sieve){.was_visited = was_visited, .arg = arg};
    TAILQ_INIT(&sieve->queue);
}

void sieve_insert(struct sieve *sieve, struct sieve_node *node)
{
    TAILQ_INSERT_HEAD(&sieve->queue, node, link);
    sieve->n++;
}

static struct sieve_node *newer(const struct sieve_node *node)
{
    return TAILQ_PREV(node, sieve_list, link);
}

void sieve_remove(struct sieve *sieve, struct sieve_node *node)
{
    if (sieve->hand == node)
        sieve->hand = newer(node);
    TAILQ_REMOVE(&sieve->queue, node, link);
    sieve->n--;
}

static struct sieve_node *oldest(const struct sieve *sieve)
{
    return TAILQ_LAST(&sieve->queue, sieve_list);
}

struct sieve_node *sieve_choose(struct sieve *sieve)
{
    struct sieve_node *node = sieve->hand ? sieve->hand : oldest(sieve);
    for (size_t spared = 0; node && spared < sieve->n && sieve->was_visited(sieve->arg, node);
         spared++) {
        node = newer(node);
        if (!node)
            node = oldest(sieve);
    }
    sieve->hand = node;
    return node;
}
