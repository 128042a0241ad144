#include "sidecar/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/ofd.h"
#include "lib/share/board.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"
#include "sidecar/janitor.h"
#include "sidecar/reap.h"
#include "sidecar/reap_clean.h"
#include "sidecar/reaper_list.h"

enum { MEMBER_FILE_MAX = 16 * 1024 };

void reaper_init(struct reaper *reaper, const struct place *place)
{
    *reaper = (struct reaper){
        .place = place,
        .policy = orphans_policy(place->settings, place->path),
        .tasks_fd = -1,
    };
}

void reaper_release(struct reaper *reaper)
{
    while (reaper->n_tasks > 0)
        free(reaper->tasks[--reaper->n_tasks]);
    free(take_ptr(reaper->tasks));
    cleanup_close_p(&reaper->tasks_fd);
    reaper->tasks_fd = -1;
    reaper->synced_ms = 0;
    reaper->listed_ctime = (struct statx_timestamp){0};
    reaper->members = 0;
    reaper->orphans = 0;
}

/* ---- whose they are ---- */

/* Every epoch and state counts; sequences, which move all the time, do not. */
static void follow_members(struct reaper *reaper)
{
    uint64_t sum = 1;
    for (unsigned i = 0; i < BOARD_SLOTS; i++)
        sum = sum * 1000003 + reaper->janitor->slots[i].epoch * 4ULL +
              reaper->janitor->slots[i].state;
    if (sum != reaper->members)
        reaper->members_moved_ms = clock_now_ms();
    reaper->members = sum;
}

static int open_task(struct reaper *reaper, const struct reaper_task *task, int *ret_fd)
{
    return fs_open_beneath(reaper->tasks_fd, task->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                           ret_fd);
}

static struct reap make_reap(const struct reaper *reaper)
{
    return (struct reap){
        .place = reaper->place,
        .tasks_fd = reaper->tasks_fd,
        .policy = reaper->policy,
        .budget = reaper->budget,
    };
}

static int read_owner(struct reaper *reaper, const struct reaper_task *task,
                      struct owner *ret_owner)
{
    _cleanup_close_ int fd = -1;
    struct reap reap = make_reap(reaper);
    if (task->aside)
        return reap_owner(&reap, task->name, ret_owner);
    int r = open_task(reaper, task, &fd);
    return r == 0 ? owner_read(fd, LAYOUT_OWNER, ret_owner) : r;
}

static bool seems_alive(const struct reaper *reaper, const struct reaper_task *task)
{
    return task->has_owner &&
           owner_judge(&task->owner, reaper->generation, &reaper->janitor->slots[task->owner.slot],
                       -EAGAIN) == OWNER_ALIVE;
}

/* As long as a record may have changed. Who seems to live needs no look at his. */
static bool wants_read(const struct reaper *reaper, const struct reaper_task *task)
{
    if (!task->read)
        return true;
    return !seems_alive(reaper, task) &&
           task->read_ms < reaper->members_moved_ms + REAPER_SETTLE_MS;
}

static void follow_owner(struct reaper *reaper, struct reaper_task *task)
{
    struct owner owner;
    if (!wants_read(reaper, task))
        return;
    if (reaper->budget == 0) {
        reaper->more = true;
        return;
    }
    reaper->budget--;
    int r = read_owner(reaper, task, &owner);
    if (r == 0 && (!task->has_owner || !owner_equal(&owner, &task->owner))) {
        task->owner = owner;
        task->over_ms = task->gone_ms = task->retry_ms = 0;
        task->cleaned = task->told = false;
    }
    task->has_owner = r == 0;
    task->read = r == 0 || r == -ENOENT || r == -ENODATA || r == -EBADMSG; /* else nobody knows */
    task->read_ms = clock_now_ms();
}

/* ---- is it over? ---- */

/* What the janitor waits for is not over; so the lock needs no question here. */
static bool is_over(struct reaper *reaper, struct reaper_task *task, const struct slot *slot)
{
    if (task->aside && !task->has_owner) /* nothing of it, or what was left of its removal */
        return task->read;
    if (!task->has_owner)
        return false;
    enum owner_fate fate = owner_judge(&task->owner, reaper->generation, slot, -EAGAIN);
    return owner_is_over(&task->owner, fate, clock_now_ms(), &task->gone_ms);
}

/* Before anything is done: nobody else is elected, and neither board nor record say otherwise now.
 * -EAGAIN: they do. */
static int confirm(struct reaper *reaper, struct reaper_task *task)
{
    uint8_t board[BOARD_BYTES];
    struct owner owner;
    struct slot slot;
    int r = test_hook_omits("reap_proof") ? 0 : ofd_prove(reaper->janitor->lock_fd);
    if (r < 0 || !task->has_owner || test_hook_omits("reap_second_read"))
        return r;
    r = board_read(reaper->janitor->board_fd, board);
    if (r == 0)
        r = slot_decode(board + (size_t)task->owner.slot * BOARD_SLOT_BYTES, &slot);
    if (r == 0)
        r = read_owner(reaper, task, &owner);
    if (r < 0)
        return r;
    return owner_equal(&owner, &task->owner) && is_over(reaper, task, &slot) ? 0 : -EAGAIN;
}

/* Two tasks with one name are a mistake, and the second one's record hides the first: so a member
 * that says it has this name is a reason to wait, as nothing that it says is one to act. */
static bool has_namesake(struct reaper *reaper, const char *name)
{
    for (unsigned i = 0; i < BOARD_SLOTS; i++) {
        _cleanup_free_ char *text = NULL;
        _cleanup_json_ json_t *member = NULL;
        char path[sizeof(LAYOUT_MEMBERS) + 32];
        size_t length;
        if (reaper->janitor->slots[i].state != SLOT_JOINED)
            continue;
        snprintf(path, sizeof(path), LAYOUT_MEMBERS "/%u.json", i);
        if (fs_read_file(reaper->janitor->state_fd, path, MEMBER_FILE_MAX, &text, &length) < 0 ||
            json_parse(text, length, &member, NULL) < 0)
            continue;
        const char *task = json_string_value(json_object_get(member, "task"));
        if (task && strcmp(task, name) == 0)
            return true;
    }
    return false;
}

/* ---- what is done ---- */

/* 1: nothing is left that has to be given back or dropped. */
static int clean(struct reaper *reaper, struct reaper_task *task, struct error *err)
{
    _cleanup_close_ int fd = -1;
    const struct reap_clean clean = {
        .place = reaper->place,
        .task = task->name,
        .owner = task->has_owner ? &task->owner : NULL,
        .over_ms = task->over_ms,
        .generation = reaper->generation,
        .slots = reaper->janitor->slots,
    };
    int r = confirm(reaper, task);
    if (r == 0)
        r = open_task(reaper, task, &fd);
    if (r == 0)
        r = reap_clean(&clean, fd, &reaper->budget, err);
    if (r < 0 && r != -EAGAIN && !err->code)
        error_set_errno(err, -r, "what %s left behind on %s cannot be cleared up", task->name,
                        reaper->place->path);
    return r;
}

static int64_t wait_ms(const struct reaper *reaper, const struct reaper_task *task)
{
    if (task->aside)
        return 0;
    return reaper->policy == ORPHANS_DELETE ? reaper->place->settings->orphans_retention_ms
                                            : task->owner.fence_ms;
}

/* Who left cleanly may be back in a moment: a container that is restarted. */
static bool policy_is_due(struct reaper *reaper, const struct reaper_task *task)
{
    if (reaper->policy == ORPHANS_KEEP && !task->aside)
        return false;
    int64_t due_ms = task->over_ms + wait_ms(reaper, task);
    if (clock_now_ms() >= due_ms)
        return true;
    if (due_ms < reaper->due_ms)
        reaper->due_ms = due_ms;
    return false;
}

static void say_once(struct reaper_task *task, const char *what, const char *mount)
{
    if (!task->told)
        log_info("task %s on %s ended: %s", task->name, mount, what);
    task->told = true;
}

static bool is_held_up(struct reaper *reaper, struct reaper_task *task)
{
    const struct settings *settings = reaper->place->settings;
    char text[128];
    if (settings->orphans_dry_run) {
        snprintf(text, sizeof(text),
                 "its write directory would be treated by the policy \"%s\" (orphans.dry_run)",
                 orphans_policy_names[reaper->policy]);
        say_once(task, text, reaper->place->path);
        return true;
    }
    if (task->aside || !has_namesake(reaper, task->name))
        return false;
    say_once(task, "its write directory stays, because a task of the same name is a member",
             reaper->place->path);
    return true;
}

static int settle(struct reaper *reaper, struct reap *reap, const char *unique, bool over)
{
    int r = reap_settle(reap, unique, over);
    reaper->budget = reap->budget;
    reaper->settled += r == 1;
    reaper->more = reaper->more || (r == 0 && reap->budget == 0);
    return r;
}

static int move_aside(struct reaper *reaper, struct reap *reap, struct reaper_task *task)
{
    char unique[REAP_UNIQUE_SIZE];
    struct owner owner;
    int r = reap_begin(reap, task->name, &task->owner, unique);
    if (r < 0)
        return r;
    r = reap_owner(reap, unique, &owner);
    if (r < 0)
        return r; /* the next round finds it there */
    bool same = test_hook_omits("reap_second_read") || owner_equal(&owner, &task->owner);
    return settle(reaper, reap, unique, same);
}

static int carry_out(struct reaper *reaper, struct reaper_task *task, bool over, struct error *err)
{
    struct reap reap = make_reap(reaper);
    int r = over ? confirm(reaper, task) : 0;
    if (r < 0)
        return r;
    r = task->aside ? settle(reaper, &reap, task->name, over) : move_aside(reaper, &reap, task);
    if (r < 0 && reap.err.code)
        *err = reap.err;
    else if (r < 0)
        error_set_errno(err, -r, "the write directory of %s on %s cannot be moved", task->name,
                        reaper->place->path);
    return r;
}

/* An orphan: what it has to give back, then its directory. */
static int treat(struct reaper *reaper, struct reaper_task *task, struct error *err)
{
    if (!task->aside && !task->cleaned) {
        int r = clean(reaper, task, err);
        if (r <= 0) {
            reaper->more = reaper->more || (r == 0 && reaper->budget == 0);
            return r;
        }
        task->cleaned = true;
    }
    if (!policy_is_due(reaper, task) || is_held_up(reaper, task))
        return 0;
    return carry_out(reaper, task, true, err);
}

/* A task that died before it had said that the directory is its own may have claimed files. Whose
 * claims are over has left the board, so that moved. */
static bool has_claims_alone(const struct reaper *reaper, const struct reaper_task *task)
{
    return task->read && !task->has_owner && !task->aside &&
           task->claims_ms < reaper->members_moved_ms + REAPER_SETTLE_MS;
}

static void look_at(struct reaper *reaper, struct reaper_task *task)
{
    struct error err = {0};
    int r = 0;
    follow_owner(reaper, task);
    bool over =
        task->read &&
        is_over(reaper, task, task->has_owner ? &reaper->janitor->slots[task->owner.slot] : NULL);
    if (!over)
        task->over_ms = 0;
    else if (task->over_ms == 0)
        task->over_ms = clock_now_ms();
    reaper->orphans += over;
    if (reaper->budget == 0 || clock_now_ms() < task->retry_ms)
        return;
    if (over)
        r = treat(reaper, task, &err);
    else if (task->aside && seems_alive(reaper, task))
        r = carry_out(reaper, task, false, &err);
    else if (has_claims_alone(reaper, task) && (r = clean(reaper, task, &err)) >= 0)
        task->claims_ms = clock_now_ms();
    if (r == -EAGAIN)
        task->read = false; /* somebody came meanwhile */
    else if (r < 0) {
        task->retry_ms = clock_now_ms() + REAPER_RETRY_MS;
        log_warn("%s. It is tried again in ten minutes", err.text);
    }
}

/* ---- a round ---- */

static int open_tasks(struct reaper *reaper, struct error *err)
{
    _cleanup_close_ int root_fd = -1;
    if (reaper->tasks_fd >= 0)
        return 0;
    int r = place_open_root(reaper->place, &root_fd, err);
    if (r < 0)
        return r;
    r = fs_open_beneath(root_fd, reaper->place->settings->tasks_dir, O_RDONLY | O_DIRECTORY, 0,
                        &reaper->tasks_fd);
    return r == -ENOENT ? 0 : r; /* nobody has one yet */
}

int reaper_round(struct reaper *reaper, struct janitor *janitor, uint64_t generation,
                 struct error *err)
{
    reaper->due_ms = clock_now_ms() + REAPER_INTERVAL_MS;
    if (!janitor_is_elected(janitor)) {
        reaper_release(reaper);
        return 0;
    }
    reaper->janitor = janitor;
    reaper->generation = generation;
    reaper->budget = REAPER_BUDGET;
    reaper->more = false;
    reaper->orphans = 0;
    follow_members(reaper);
    int r = open_tasks(reaper, err);
    if (r == 0 && reaper->tasks_fd >= 0)
        r = reaper_list(reaper);
    if (r < 0) {
        reaper_release(reaper);
        return error_set_errno(err, -r, "the directories of the tasks of %s cannot be read",
                               reaper->place->path);
    }
    for (unsigned i = 0; i < reaper->n_tasks; i++)
        look_at(reaper, reaper->tasks[i]);
    if (reaper->more || reaper->budget == 0)
        reaper->due_ms = clock_now_ms() + REAPER_MORE_MS;
    return 0;
}
