/*
 * mount_claims: the claims of files on a mount, as part of the work on it: ready while a slot is
 * held and the task's directory is there, told of the slot's proofs and of what the feed says. For
 * mount_work.c and mount_member.c only.
 *
 *     r = mount_claims_open(work);
 *     mount_claims_follow(work);                    // with every turn of the work
 *     mount_claims_stop(work);  ... until mount_claims_are_free(work) ...
 *     mount_claims_close(work);                     // after the work's pools
 *
 * Threads: the loop's. Errors: -ENOMEM.
 */
#ifndef SIDECAR_MOUNT_CLAIMS_H
#define SIDECAR_MOUNT_CLAIMS_H

#include <stdbool.h>

struct chore_call;
struct claims;
struct mount_status;
struct mount_work;

int mount_claims_open(struct mount_work *work);
struct claims *mount_claims_of(const struct mount_work *work); /* NULL: there are none */
void mount_claims_joined(struct mount_work *work);             /* a slot was taken */
void mount_claims_follow(struct mount_work *work);
void mount_claims_count(struct mount_work *work); /* into the metrics */
void mount_claims_status(const struct mount_work *work, struct mount_status *status);
void mount_claims_stop(struct mount_work *work);
bool mount_claims_are_free(const struct mount_work *work);
void mount_claims_close(struct mount_work *work);

/* The chore: what this task had claimed before goes back. */
int mount_claims_run_recover(struct chore_call *call);
void mount_claims_done_recover(void *owner, const struct chore_call *call);

#endif
