/*
 * mount_tasks: the tasks' write directories as part of the work on a mount: this task's own, with
 * its record and what lies in it; and those of tasks that ended, while this member is the janitor.
 * For mount_work.c, mount_chores.c and mount_member.c only.
 *
 *     mount_tasks_open(work);
 *     mount_tasks_joined(work);              // a slot was taken: the directory is this epoch's now
 *     mount_tasks_count(work);               // into the metrics
 *     r = mount_tasks_list(work, listed, arg, &err);
 *     mount_tasks_close(work);               // no worker has anything of it any more
 *
 * A directory that the sidecar made is announced by nobody else: efs-watch finds it when it starts,
 * and takes it for one that was there before. So the peers are told first, and then the record is
 * written: who is killed in between tells them again. Threads: the loop's. Errors: -errno of
 * asking; what workers meet is logged, and tried again.
 */
#ifndef SIDECAR_MOUNT_TASKS_H
#define SIDECAR_MOUNT_TASKS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "sidecar/reaper.h"
#include "sidecar/stage_sweep.h"
#include "sidecar/task_list.h"
#include "sidecar/usage.h"

struct chore_call;
struct mount_work;

struct mount_tasks {
    struct {
        struct owner owner; /* its record, with what was measured last */
        bool told;          /* the peers know of the directory */
        bool is_new;        /* the chore: they may not */
        struct statx attributes;
    } own;
    struct {
        struct usage usage; /* the chore's while it is in flight */
        int more;           /* the chore: what usage_measure() said */
        bool measured;
    } usage;
    struct {
        struct reaper reaper; /* the chore's while it is in flight, */
        bool elected;         /* as is this */
    } reap;
    struct {
        struct stage_sweep sweep; /* the chore's while it is in flight, */
        struct stage_swept swept; /* as is this */
        int told;                 /* why it could not be done */
    } stage;
    bool owned;            /* it was said, once */
    struct error link_err; /* code 0: the links in the run directory are there */
    bool reaps;            /* this member clears up, and there are so many */
    unsigned orphans;      /* directories of tasks that ended */
    bool lists;
};

void mount_tasks_open(struct mount_work *work);
void mount_tasks_linked(struct mount_work *work, const struct error *err);
void mount_tasks_joined(struct mount_work *work);
void mount_tasks_count(struct mount_work *work);

/* -EBUSY: somebody asks already; -EAGAIN: it cannot be asked now. */
int mount_tasks_list(struct mount_work *work, task_listed_fn *listed, void *arg, struct error *err);
void mount_tasks_close(struct mount_work *work);

/* The chores. */
int mount_tasks_run_own(struct chore_call *call);
void mount_tasks_done_own(void *owner, const struct chore_call *call);
int mount_tasks_run_usage(struct chore_call *call);
void mount_tasks_done_usage(void *owner, const struct chore_call *call);
int mount_tasks_run_stage(struct chore_call *call);
void mount_tasks_done_stage(void *owner, const struct chore_call *call);
int mount_tasks_run_reap(struct chore_call *call);
void mount_tasks_done_reap(void *owner, const struct chore_call *call);

#endif
