/*
 * mount_chores: what mount_work.c, mount_chores.c and mount_member.c share: the state of the work
 * on one mount, and the chores with what follows from their ends. For these three only. Threads:
 * the loop's, but what a chore in flight has, as the fields say, is its worker's.
 */
#ifndef SIDECAR_MOUNT_CHORES_H
#define SIDECAR_MOUNT_CHORES_H

#include <limits.h>

#include "lib/backoff.h"
#include "lib/work_pool.h"
#include "sidecar/chores.h"
#include "sidecar/claim_recover.h"
#include "sidecar/janitor.h"
#include "sidecar/lease.h"
#include "sidecar/mount_tasks.h"
#include "sidecar/mount_verdict.h"
#include "sidecar/mount_work.h"
#include "sidecar/own_calls.h"
#include "sidecar/place.h"

enum chore {
    CHORE_LINKS,
    CHORE_PROBE,
    CHORE_MAKE,
    CHORE_CANARY,
    CHORE_MEMBER,
    CHORE_JANITOR,
    CHORE_OWN,
    CHORE_USAGE,
    CHORE_STAGE,
    CHORE_REAP,
    CHORE_CLAIMS,
    CHORE_CLEAN,
    CHORES,
};

struct mount_work {
    struct mount_work_options options;
    struct place place;
    char name[NAME_MAX + 1], task_dir[PATH_MAX], task_link[PATH_MAX];
    bool coordinates; /* the profile has directories, slot and feed */

    struct mount_facts facts;
    struct conditions conditions;
    char fstype[32], found_id[MOUNT_FILE_SYSTEM_ID], *source;
    int64_t canary_ms;

    struct work_pool *files, *locks;
    struct event *files_event, *locks_event;
    struct chores chores;
    struct backoff make_backoff;
    bool begun, made, has_slot, stopping, ending, cleaned;
    struct membership member;     /* while has_slot */
    bool state_nfs, state_usable; /* what the state directory lies on */
    uint64_t root_inode;
    struct janitor janitor; /* a chore's while that is in flight */
    struct mount_tasks tasks;
    uint64_t poll_sent_ms; /* of the last of efs-watch's polls that was counted as a probe */

    struct lease *lease;
    struct mount_locks *mount_locks; /* NULL: there are none */
    struct mount_publish *mount_publish;
    struct mount_claims *mount_claims; /* NULL: there are none */
    struct claim_recovery recovery;    /* a chore's while that is in flight */
    unsigned holding;                  /* parts that hold something under the slot */
    struct mount_cache *mount_cache;   /* NULL: the profile has none */
    struct feed *feed;
    struct watcher *watcher;
    struct metric_group *metrics;
    struct own_calls own;
    struct {
        uint64_t proofs, dirs, polls, board_reads;
    } counted; /* of them in own */
};

/* A pool of this work, and the event that says that a call has ended. */
int mount_work_open_pool(struct mount_work *work, unsigned n_threads, unsigned queue_max,
                         struct work_pool **ret_pool, struct event **ret_event);

/* The same for a part that follows its own calls only: the work is not told of their ends. */
int mount_work_open_own_pool(struct mount_work *work, unsigned n_threads, unsigned queue_max,
                             struct work_pool **ret_pool, struct event **ret_event);

/* Plan the first ones. */
void mount_chores_init(struct mount_work *work);

/* Write who holds the slot; make the state directory again, which is gone. */
void mount_chores_write_member(struct mount_work *work);
void mount_chores_make_again(struct mount_work *work);

/* The mount answered a call that was not a chore, in so much time: it is as good as a probe. */
void mount_chores_answered(struct mount_work *work, int64_t took_us);

/* Clear up after others, in a while. */
void mount_chores_plan_janitor(struct mount_work *work, int64_t in_ms);

/* Start what is due, as far as the mount's state allows it. */
void mount_chores_start_due(struct mount_work *work);

/* At the end: remove what would be left behind; sets cleaned, also where nothing can be done. */
void mount_chores_plan_clean(struct mount_work *work);
void mount_chores_check_clean(struct mount_work *work);

#endif
