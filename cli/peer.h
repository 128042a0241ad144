/*
 * peer: two efsctl conformance on two hosts, step by step together, by files on the share alone.
 *
 *     r = peer_join(dir_fd, &peer, &err);       // waits for the other one
 *     ... in a process for one property:
 *     r = peer_begin(peer, "create-seen", &scene_fd);   // the directory that both work in
 *     if (peer_is_first(peer)) write...
 *     r = peer_meet(peer);                      // both are here
 *     r = peer_tell(peer, first_judged, &found);// who judged says what, both have it
 *     peer_leave(peer);                         // removes all of it, by the one who leaves last
 *
 * Waiting ends after PEER_WAIT_MS: -ETIMEDOUT. Threads: none.
 */
#ifndef CLI_PEER_H
#define CLI_PEER_H

#include <stdbool.h>

#include "cli/property.h"
#include "lib/error.h"

enum { PEER_WAIT_MS = 60 * 1000 };

int peer_join(int dir_fd, struct peer **ret_peer, struct error *err);
void peer_leave(struct peer *peer); /* NULL is fine */

bool peer_is_first(const struct peer *peer);
int peer_begin(struct peer *peer, const char *id, int *ret_scene_fd);
int peer_meet(struct peer *peer);
int peer_tell(struct peer *peer, bool first_judged, struct finding *found);

#endif
