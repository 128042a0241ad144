/*
 * mount_member: this task as a member of its mount's domain: how lease, watcher and chores go
 * together. For mount_work.c and mount_chores.c only.
 *
 *     r = mount_member_open(work);            // a lease and a watcher, as far as there are any
 *     mount_member_relist(work, table);       // what does the state directory lie on?
 *     mount_member_follow(work);              // with every turn of the work
 *     mount_member_stop(work);  ... until mount_member_stopped(work) ...
 *
 * The order at the end: efs-watch announces what is pending and ends, the slot is written as left,
 * then it is closed. A loss goes the other way round: efs-watch ends first, whatever it was doing.
 * Threads: the loop's. Errors: -errno of opening; what comes later is a condition.
 */
#ifndef SIDECAR_MOUNT_MEMBER_H
#define SIDECAR_MOUNT_MEMBER_H

#include <stdbool.h>

struct condition;
struct mount_work;
struct mountinfo;

int mount_member_open(struct mount_work *work);
void mount_member_relist(struct mount_work *work, struct mountinfo *table);
void mount_member_follow(struct mount_work *work);
void mount_member_stop(struct mount_work *work);

/* Why what needs a slot cannot be served, of one who has none. Begins: nothing speaks against it,
 * it only has not got that far. */
const struct condition *mount_member_obstacle(const struct mount_work *work, bool *ret_begins);

/* The janitor was here: tell the peers of the member that it found dead, if any. */
void mount_member_bury(struct mount_work *work);

bool mount_member_stopped(const struct mount_work *work);

/* A part of the work holds something under the slot, or does not any more: then it is proven often.
 */
void mount_member_hold(struct mount_work *work, bool any);

#endif
