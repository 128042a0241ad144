#include "sidecar/mount_tasks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/share/journal.h"
#include "lib/share/layout.h"
#include "lib/text.h"
#include "sidecar/mount_chores.h"
#include "sidecar/taskdirs.h"

enum {
    OWN_RETRY_MS = 10 * 1000,
    TELL_RETRY_MS = 2 * 1000,
    SLICE_MS = 1000,
    LIST_TIMEOUT_MS = 10 * 1000,
};

void mount_tasks_open(struct mount_work *work)
{
    work->tasks.usage.usage = USAGE_NONE;
    reaper_init(&work->tasks.reap.reaper, &work->place);
}

void mount_tasks_close(struct mount_work *work)
{
    usage_reset(&work->tasks.usage.usage);
    stage_sweep_release(&work->tasks.stage.sweep);
    reaper_release(&work->tasks.reap.reaper);
}

/* ---- this task's own: told to the peers, then said to be its own ---- */

void mount_tasks_joined(struct mount_work *work)
{
    const struct settings *settings = work->options.settings;
    struct owner *owner = &work->tasks.own.owner;
    owner->generation = work->member.generation;
    owner->slot = work->member.slot;
    owner->epoch = work->member.epoch;
    owner->fence_ms = (uint32_t)settings->fence_ms;
    owner->since_wall_ms = clock_wall_ms();
    snprintf(owner->task, sizeof(owner->task), "%s", settings->task_name);
    if (work->place.writable)
        chores_plan(&work->chores, CHORE_OWN, 0);
}

int mount_tasks_run_own(struct chore_call *call)
{
    struct mount_tasks *tasks = call->tasks;
    int r = taskdirs_own(call->place, &call->owner, tasks->own.told, &tasks->own.attributes,
                         &call->err);
    tasks->own.is_new = r == 1;
    return r < 0 ? r : 0;
}

static void on_told(void *arg, int result, uint64_t sequence)
{
    struct mount_work *work = arg;
    work->tasks.own.told = result == 0;
    chores_plan(&work->chores, CHORE_OWN, result == 0 ? 0 : TELL_RETRY_MS);
}

/* With all that is above it: who is told of it finds that on the way. */
static int announce(struct mount_work *work)
{
    const struct statx *now = &work->tasks.own.attributes;
    const struct change change = {
        .op = CHANGE_CREATE,
        .flags = CHANGE_IS_DIR | CHANGE_HAS_ATTRS,
        .path = work->task_dir + strlen(work->place.path) + 1,
        .size = now->stx_size,
        .mtime_ns = change_time_ns(&now->stx_mtime),
        .ctime_ns = change_time_ns(&now->stx_ctime),
    };
    uint8_t payload[CHANGE_ENCODED_MAX];
    int n = change_encode(&change, payload, sizeof(payload));
    return n < 0
               ? n
               : watcher_announce(work->watcher, JOURNAL_CHANGE, payload, (size_t)n, on_told, work);
}

static void tell(struct mount_work *work)
{
    if (!work->watcher)
        on_told(work, 0, 0); /* nobody listens, and nobody tells */
    else if (announce(work) < 0)
        chores_plan(&work->chores, CHORE_OWN, TELL_RETRY_MS);
}

static void judge(struct mount_work *work)
{
    const struct settings *settings = work->options.settings;
    const struct owner *owner = &work->tasks.own.owner;
    char has[TEXT_SHORT], may[TEXT_SHORT];
    int64_t limit = settings->task_soft_limit_bytes;
    if (!work->tasks.owned)
        return;
    if (work->tasks.link_err.code)
        conditions_set(&work->conditions, CONDITION_TASK_DIRECTORY, CONDITION_FALSE, "NoLink",
                       "this task's write directory is %s, but %s. Make room on that volume, or "
                       "let this container's user write there; it is tried again",
                       work->task_dir, work->tasks.link_err.text);
    else if (limit > 0 && owner->bytes > limit)
        conditions_set(&work->conditions, CONDITION_TASK_DIRECTORY, CONDITION_FALSE,
                       "OverSoftLimit",
                       "%s holds %s in %lld %s, more than task.soft_limit, which is %s. Publish or "
                       "remove files, or raise it",
                       work->task_dir, text_size(owner->bytes, has), (long long)owner->files,
                       text_plural(owner->files, "file", "files"), text_size(limit, may));
    else
        conditions_set(&work->conditions, CONDITION_TASK_DIRECTORY, CONDITION_TRUE, "Made",
                       "this task's write directory is %s", work->task_dir);
}

void mount_tasks_linked(struct mount_work *work, const struct error *err)
{
    struct error *before = &work->tasks.link_err;
    if (err->code && err->code != before->code)
        log_error("%s. It is tried again", err->text);
    *before = *err;
    judge(work);
}

static void plan_usage(struct mount_work *work, int64_t in_ms)
{
    if (work->options.settings->task_usage_interval_ms > 0)
        chores_plan(&work->chores, CHORE_USAGE, in_ms);
}

static void plan_stage(struct mount_work *work, int64_t in_ms)
{
    if (work->options.settings->task_stage_retention_ms > 0)
        chores_plan(&work->chores, CHORE_STAGE, in_ms);
}

void mount_tasks_done_own(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    struct mount_tasks *tasks = &work->tasks;
    if (call->err.code) {
        log_warn("%s. It is tried again", call->err.text);
        tasks->own.told = tasks->own.told && call->err.code != ESTALE; /* it is made anew */
        chores_plan(&work->chores, CHORE_OWN, OWN_RETRY_MS);
        return;
    }
    if (tasks->own.is_new) {
        tell(work);
        return;
    }
    tasks->own.told = true;
    if (!tasks->owned) {
        tasks->owned = true;
        plan_usage(work, 0);
        plan_stage(work, 0);
    }
    judge(work);
}

/* ---- what lies in it ---- */

int mount_tasks_run_usage(struct chore_call *call)
{
    struct mount_tasks *tasks = call->tasks;
    _cleanup_close_ int fd = -1;
    int r = 0;
    if (tasks->usage.usage.root_fd < 0)
        r = taskdirs_open(call->place, &fd, &call->err);
    if (r < 0)
        return r;
    r = usage_measure(&tasks->usage.usage, fd, (unsigned)call->place->settings->task_usage_rate);
    if (r < 0)
        return error_set_errno(&call->err, -r, "the write directory on %s cannot be measured",
                               call->place->path);
    tasks->usage.more = r;
    return 0;
}

void mount_tasks_done_usage(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    struct mount_tasks *tasks = &work->tasks;
    const struct usage *usage = &tasks->usage.usage;
    if (call->err.code == 0 && tasks->usage.more) {
        plan_usage(work, SLICE_MS);
        return;
    }
    plan_usage(work, work->options.settings->task_usage_interval_ms);
    if (call->err.code) {
        log_warn("%s", call->err.text);
        return;
    }
    tasks->usage.measured = true;
    tasks->own.owner.bytes = usage->bytes;
    tasks->own.owner.files = usage->files;
    tasks->own.owner.measured_wall_ms = clock_wall_ms();
    judge(work);
    if (work->has_slot)
        chores_plan(&work->chores, CHORE_OWN, 0);
}

/* ---- what clients that died left in it ---- */

int mount_tasks_run_stage(struct chore_call *call)
{
    struct mount_tasks *tasks = call->tasks;
    _cleanup_close_ int fd = -1;
    int r = taskdirs_open(call->place, &fd, &call->err);
    return r < 0 ? r
                 : stage_sweep_look(&tasks->stage.sweep, fd, clock_now_ms(),
                                    call->place->settings->task_stage_retention_ms,
                                    &tasks->stage.swept, &call->err);
}

void mount_tasks_done_stage(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    struct mount_tasks *tasks = &work->tasks;
    const struct stage_swept *swept = &tasks->stage.swept;
    char size[TEXT_SHORT], age[TEXT_SHORT];
    int64_t age_ms = work->options.settings->task_stage_retention_ms;
    if (call->err.code && call->err.code != tasks->stage.told)
        log_warn("%s: %s. It is tried again", work->task_dir, call->err.text);
    tasks->stage.told = call->err.code;
    if (swept->files > 0)
        log_info(
            "%llu %s (%s) in %s/" LAYOUT_STAGED " had been there unchanged for %s: left by "
            "clients that died, and removed (task.stage_retention)",
            (unsigned long long)swept->files, text_plural((int64_t)swept->files, "file", "files"),
            text_size((int64_t)swept->bytes, size), work->task_dir, text_duration(age_ms, age));
    tasks->stage.swept = (struct stage_swept){0};
    plan_stage(work, age_ms);
}

/* ---- those of tasks that ended ---- */

int mount_tasks_run_reap(struct chore_call *call)
{
    struct mount_tasks *tasks = call->tasks;
    tasks->reap.elected = janitor_is_elected(call->janitor);
    return reaper_round(&tasks->reap.reaper, call->janitor, call->owner.generation, &call->err);
}

void mount_tasks_done_reap(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    if (call->err.code)
        log_warn("%s. It is tried again", call->err.text);
    const struct reaper *reaper = &work->tasks.reap.reaper;
    work->tasks.reaps = work->tasks.reap.elected;
    work->tasks.orphans = reaper->orphans;
    int64_t in_ms = reaper->due_ms - clock_now_ms();
    if (work->tasks.reaps && in_ms < REAPER_INTERVAL_MS) /* else the janitor comes before */
        chores_plan(&work->chores, CHORE_REAP, in_ms);
}

/* ---- all of them, for people ---- */

struct lister {
    struct mount_work *work;
    const struct place *place;
    bool on_nfs;
    task_listed_fn *listed;
    void *arg;
    struct task_list list;
    struct error err;
};

static int run_lister(void *arg)
{
    struct lister *lister = arg;
    return task_list_read(lister->place, lister->on_nfs, &lister->list, &lister->err);
}

static void lister_done(void *arg, enum work_outcome outcome, int result)
{
    struct lister *lister = arg;
    struct error silent;
    lister->work->tasks.lists = false;
    if (outcome != WORK_DONE)
        error_set(&silent, ETIMEDOUT, "%s does not answer", lister->place->path);
    bool good = outcome == WORK_DONE && result == 0;
    lister->listed(lister->arg, good ? &lister->list : NULL,
                   outcome == WORK_DONE ? &lister->err : &silent);
}

static void release_lister(void *arg)
{
    struct lister *lister = arg;
    task_list_release(&lister->list);
    free(lister);
}

int mount_tasks_list(struct mount_work *work, task_listed_fn *listed, void *arg, struct error *err)
{
    static const struct job job = {
        .what = "listing the tasks' directories",
        .run = run_lister,
        .done = lister_done,
        .release = release_lister,
    };
    if (!work->made || !work->has_slot)
        return error_set(err, EAGAIN, "this task has no write directory on %s", work->place.path);
    if (work->tasks.lists)
        return error_set(err, EBUSY, "the directories on %s are being listed already",
                         work->place.path);
    struct lister *lister = calloc(1, sizeof(*lister));
    if (!lister)
        return error_set(err, ENOMEM, "no memory");
    *lister = (struct lister){
        .work = work,
        .place = &work->place,
        .on_nfs = work->state_nfs,
        .listed = listed,
        .arg = arg,
    };
    int r = work_pool_submit(work->files, &job, lister, clock_now_ms() + LIST_TIMEOUT_MS);
    if (r < 0) {
        free(lister);
        return error_set(err, EBUSY, "too many calls to %s are under way", work->place.path);
    }
    work->tasks.lists = true;
    return 0;
}

void mount_tasks_count(struct mount_work *work)
{
    const struct mount_tasks *tasks = &work->tasks;
    if (tasks->usage.measured) {
        metrics_set(work->metrics, METRIC_TASK_BYTES, (double)tasks->own.owner.bytes);
        metrics_set(work->metrics, METRIC_TASK_FILES, (double)tasks->own.owner.files);
    }
    if (tasks->reaps && work->has_slot)
        metrics_set(work->metrics, METRIC_ORPHANS, tasks->orphans);
    else
        metrics_forget(work->metrics, METRIC_ORPHANS);
}
