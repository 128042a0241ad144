/*
 * cache_sieve: which copy goes when there is no room: SIEVE (Zhang et al., NSDI 2024).
 *
 * A queue in the order of insertion, and a hand that moves from the oldest to the newest. Whom it
 * finds visited since it last came by is spared once, the first other one goes. What is visited is
 * not moved, so a hit costs nothing here.
 *
 *     sieve_init(&sieve, was_visited, arg);
 *     sieve_insert(&sieve, &entry->sieve);
 *     struct sieve_node *node = sieve_choose(&sieve);         // NULL: it is empty
 *     sieve_remove(&sieve, node);
 *
 * was_visited() says whether, and forgets it. It may be wrong, and may always say yes: after one
 * round the hand takes whom it stands on.
 *
 * Ownership: nodes are the caller's. Threads: one at a time.
 */
#ifndef SIDECAR_CACHE_SIEVE_H
#define SIDECAR_CACHE_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct sieve_node {
    TAILQ_ENTRY(sieve_node) link;
};

struct sieve {
    TAILQ_HEAD(sieve_list, sieve_node) queue; /* the newest first */
    struct sieve_node *hand;                  /* NULL: at the oldest */
    size_t n;
    bool (*was_visited)(void *arg, struct sieve_node *node);
    void *arg;
};

void sieve_init(struct sieve *sieve, bool (*was_visited)(void *arg, struct sieve_node *node),
                void *arg);
void sieve_insert(struct sieve *sieve, struct sieve_node *node);
void sieve_remove(struct sieve *sieve, struct sieve_node *node);
struct sieve_node *sieve_choose(struct sieve *sieve);

#endif
