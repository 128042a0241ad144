#include "sidecar/mounts.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mountinfo.h"
#include "sidecar/mount_work.h"
#include "sidecar/taskdirs.h"

enum { TICK_MS = 1000 };

struct mounts {
    const struct settings *settings;
    struct health *health;
    size_t n;
    struct mount_work *works[CONFIG_MOUNTS_MAX];
    struct event *tick, *list_changed;
    struct libmnt_monitor *monitor;
};

static void sum_up(void *arg)
{
    struct mounts *mounts = arg;
    const struct conditions *sets[CONFIG_MOUNTS_MAX];
    for (size_t i = 0; i < mounts->n; i++)
        sets[i] = mount_work_conditions(mounts->works[i]);
    conditions_worst(&mounts->health->conditions, sets, mounts->n);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct mounts *mounts = arg;
    for (size_t i = 0; i < mounts->n; i++)
        mount_work_tick(mounts->works[i]);
    sum_up(mounts); /* messages change without a condition's turn */
}

/* Reading the list asks the kernel only, never a server. */
static void read_list(struct mounts *mounts)
{
    _cleanup_mountinfo_ struct mountinfo *table = NULL;
    struct error err;
    if (mountinfo_read(NULL, &table, &err) < 0)
        log_error("%s", err.text);
    for (size_t i = 0; i < mounts->n; i++)
        mount_work_relist(mounts->works[i], table);
}

static void on_list_changed(evutil_socket_t fd, short what, void *arg)
{
    struct mounts *mounts = arg;
    mnt_monitor_event_cleanup(mounts->monitor);
    read_list(mounts);
}

static int watch_list(struct event_base *base, struct mounts *mounts)
{
    mounts->monitor = mnt_new_monitor();
    if (!mounts->monitor)
        return -ENOMEM;
    int r = mnt_monitor_enable_kernel(mounts->monitor, 1);
    int fd = r < 0 ? r : mnt_monitor_get_fd(mounts->monitor);
    if (fd < 0)
        return fd;
    mounts->list_changed = event_new(base, fd, EV_READ | EV_PERSIST, on_list_changed, mounts);
    return mounts->list_changed && event_add(mounts->list_changed, NULL) == 0 ? 0 : -ENOMEM;
}

static int start_tick(struct event_base *base, struct mounts *mounts)
{
    const struct timeval interval = {.tv_sec = TICK_MS / 1000};
    mounts->tick = event_new(base, -1, EV_PERSIST, on_tick, mounts);
    return mounts->tick && event_add(mounts->tick, &interval) == 0 ? 0 : -ENOMEM;
}

/* Two paths may give one name: /srv/data and /srv-data. */
static int check_names(const struct mount_list *list, struct error *err)
{
    char names[CONFIG_MOUNTS_MAX][NAME_MAX + 1];
    for (size_t i = 0; i < list->n; i++) {
        int r = taskdirs_link_name(list->mounts[i].path, names[i], sizeof(names[i]));
        if (r < 0)
            return error_set(err, -r, "mounts: the path %s is too long", list->mounts[i].path);
        for (size_t j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return error_set(err, EEXIST,
                                 "mounts: %s and %s would both be called \"%s\" in the run "
                                 "directory; use only one of them, or mount one elsewhere",
                                 list->mounts[j].path, list->mounts[i].path, names[i]);
    }
    return 0;
}

static int open_works(struct mounts *mounts, struct mount_work_options *options, struct error *err)
{
    const struct mount_list *list = &options->settings->mounts;
    bool had_writable = false;
    for (size_t i = 0; i < list->n; i++) {
        options->mount = &list->mounts[i];
        options->first_writable = !had_writable && !list->mounts[i].read_only;
        had_writable = had_writable || options->first_writable;
        int r = mount_work_open(options, &mounts->works[i], err);
        if (r < 0)
            return r;
        mounts->n++;
    }
    return 0;
}

int mounts_open(struct event_base *base, const struct settings *settings, struct health *health,
                struct metrics *metrics, struct mounts **ret_mounts, struct error *err)
{
    struct mounts *mounts = calloc(1, sizeof(*mounts));
    if (!mounts)
        return error_set(err, ENOMEM, "there is no memory for the mounts");
    mounts->settings = settings;
    mounts->health = health;
    struct mount_work_options options = {
        .base = base,
        .settings = settings,
        .metrics = metrics,
        .changed = sum_up,
        .arg = mounts,
    };
    int r = check_names(&settings->mounts, err);
    if (r == 0)
        r = open_works(mounts, &options, err);
    if (r == 0) {
        r = watch_list(base, mounts);
        if (r == 0)
            r = start_tick(base, mounts);
        if (r < 0)
            error_set_errno(err, -r, "the list of mounts cannot be watched");
    }
    if (r < 0) {
        mounts_close(mounts, 1000);
        return r;
    }
    read_list(mounts);
    *ret_mounts = mounts;
    return 0;
}

size_t mounts_count(const struct mounts *mounts)
{
    return mounts->n;
}

void mounts_status(const struct mounts *mounts, size_t i, struct mount_status *ret_status)
{
    mount_work_status(mounts->works[i], ret_status);
}

const char *mounts_path(const struct mounts *mounts, size_t i)
{
    return mounts->settings->mounts.mounts[i].path;
}

struct locks *mounts_locks(const struct mounts *mounts, size_t i)
{
    return mount_work_locks(mounts->works[i]);
}

struct mount_cache *mounts_cache(const struct mounts *mounts, size_t i)
{
    return mount_work_cache(mounts->works[i]);
}

struct publisher *mounts_publisher(const struct mounts *mounts, size_t i)
{
    return mount_work_publisher(mounts->works[i]);
}

struct claims *mounts_claims(const struct mounts *mounts, size_t i)
{
    return mount_work_claims(mounts->works[i]);
}

struct feed *mounts_feed(const struct mounts *mounts, size_t i)
{
    return mount_work_feed(mounts->works[i]);
}

int mounts_list_tasks(struct mounts *mounts, size_t i, task_listed_fn *listed, void *arg,
                      struct error *err)
{
    return mount_work_list_tasks(mounts->works[i], listed, arg, err);
}

void mounts_stop(struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->n; i++)
        mount_work_stop(mounts->works[i]);
}

bool mounts_stopped(const struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->n; i++)
        if (!mount_work_stopped(mounts->works[i]))
            return false;
    return true;
}

int mounts_close(struct mounts *mounts, int64_t timeout_ms)
{
    int64_t until_ms = clock_now_ms() + timeout_ms;
    int stuck = 0;
    if (mounts->tick) {
        for (size_t i = 0; i < mounts->n; i++)
            mount_work_count(mounts->works[i]);
        event_free(mounts->tick);
    }
    if (mounts->list_changed)
        event_free(mounts->list_changed);
    mnt_unref_monitor(mounts->monitor);
    for (size_t i = 0; i < mounts->n; i++)
        if (mount_work_close(mounts->works[i], clock_poll_timeout(until_ms)) < 0)
            stuck = -EBUSY;
    free(mounts);
    return stuck;
}
