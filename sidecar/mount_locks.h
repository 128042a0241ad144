/*
 * mount_locks: the locks of a mount's domain, as part of the work on the mount: ready while a slot
 * is held, woken by what peers announce, announced when they are given back. For mount_work.c and
 * mount_member.c only.
 *
 *     r = mount_locks_open(work, &work->mount_locks);
 *     mount_locks_follow(work);                     // with every turn of the work
 *     mount_locks_hear(work, &said);               // a peer's sidecar says
 *     mount_locks_stop(work);  ... until mount_locks_are_free(work) ...
 *     r = mount_locks_close(work, timeout_ms);      // -EBUSY: a call hangs, all must stay
 *
 * While a lock is held the slot is proven as often as the lock is. Threads: the loop's.
 */
#ifndef SIDECAR_MOUNT_LOCKS_H
#define SIDECAR_MOUNT_LOCKS_H

#include <stdbool.h>
#include <stdint.h>

struct mount_work;
struct mount_locks;
struct mount_status;
struct locks;
struct watch_notice;

int mount_locks_open(struct mount_work *work);
struct locks *mount_locks_of(const struct mount_work *work); /* NULL: there are none */
void mount_locks_follow(struct mount_work *work);
void mount_locks_count(struct mount_work *work); /* into the metrics */
void mount_locks_status(const struct mount_work *work, struct mount_status *status);
void mount_locks_hear(struct mount_work *work, const struct watch_notice *said);
void mount_locks_stop(struct mount_work *work);
bool mount_locks_are_free(const struct mount_work *work);
int mount_locks_close(struct mount_work *work, int64_t timeout_ms);

#endif
