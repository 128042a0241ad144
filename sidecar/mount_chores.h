/*
 * mount_chores: what mount_work.c and mount_chores.c share: the state of the work on one mount, and
 * the chores with what follows from their ends. For these two only.
 */
#ifndef SIDECAR_MOUNT_CHORES_H
#define SIDECAR_MOUNT_CHORES_H

#include <limits.h>

#include "lib/backoff.h"
#include "lib/work_pool.h"
#include "sidecar/chores.h"
#include "sidecar/lease.h"
#include "sidecar/mount_verdict.h"
#include "sidecar/mount_work.h"
#include "sidecar/own_calls.h"
#include "sidecar/place.h"

enum chore {
    CHORE_LINK_ROOT,
    CHORE_PROBE,
    CHORE_MAKE,
    CHORE_CANARY,
    CHORE_MEMBER,
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
    bool begun, made, has_slot, stopping, cleaned;
    unsigned slot;

    struct lease *lease;
    struct feed *feed;
    struct watcher *watcher;
    struct metric_group *metrics;
    struct own_calls own;
    uint64_t proofs_counted;
    uint32_t dirs_counted;
};

/* Plan the first ones. */
void mount_chores_init(struct mount_work *work);

/* For the lease, arg is the work. A slot was taken: write who holds it. The board is gone: make it
 * again. */
void mount_chores_slot_taken(void *arg, unsigned slot);
void mount_chores_board_gone(void *arg);

/* Start what is due, as far as the mount's state allows it. */
void mount_chores_start_due(struct mount_work *work);

/* At the end: remove what would be left behind; sets cleaned, also where nothing can be done. */
void mount_chores_plan_clean(struct mount_work *work);
void mount_chores_check_clean(struct mount_work *work);

#endif
