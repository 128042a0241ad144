/*
 * cache_ghost: which files were missed once already. A file is worth a copy when it is opened a
 * second time: what is read once only would push out what is read again and again.
 *
 *     r = ghost_new(n, &ghost);
 *     if (ghost_take(ghost, hash)) ... missed before: fetch it ...
 *     ghost_note(ghost, hash);                // as if it had been missed
 *
 * It remembers about the last n, by 32 bits of their hash: a mistake fetches one file too early.
 * The hash must be well mixed. Threads: one at a time.
 */
#ifndef SIDECAR_CACHE_GHOST_H
#define SIDECAR_CACHE_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost;

int ghost_new(size_t n, struct ghost **ret_ghost);
void ghost_free(struct ghost *ghost); /* NULL is fine */

/* Was it noted? Then it is forgotten, else noted. */
bool ghost_take(struct ghost *ghost, uint64_t hash);
void ghost_note(struct ghost *ghost, uint64_t hash);

#endif
