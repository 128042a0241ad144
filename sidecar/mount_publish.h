/*
 * mount_publish: publishing on a mount, as part of the work on it. For mount_work.c only.
 *
 *     r = mount_publish_open(work);                 // after its locks
 *     mount_publish_follow(work);                   // with every turn of the work
 *     mount_publish_stop(work);  ... until mount_publish_is_idle(work) ...
 *     r = mount_publish_close(work, timeout_ms);    // before work->files; -EBUSY: a call hangs
 *     mount_publish_free(work);                     // after it, unless -EBUSY: then all must stay
 *
 * Threads: the loop's.
 */
#ifndef SIDECAR_MOUNT_PUBLISH_H
#define SIDECAR_MOUNT_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

struct mount_work;
struct publisher;

int mount_publish_open(struct mount_work *work);
struct publisher *mount_publish_of(const struct mount_work *work); /* NULL: there is none */
void mount_publish_follow(struct mount_work *work);
void mount_publish_stop(struct mount_work *work);
bool mount_publish_is_idle(const struct mount_work *work);
int mount_publish_close(struct mount_work *work, int64_t timeout_ms);
void mount_publish_free(struct mount_work *work);

#endif
