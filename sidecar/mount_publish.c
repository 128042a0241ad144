#include "sidecar/mount_publish.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/share/journal.h"
#include "sidecar/mount_chores.h"
#include "sidecar/mount_locks.h"
#include "sidecar/publish.h"

enum {
    FILE_THREADS = 2, /* a large file does not hold up the others */
    QUEUE = PUBLISHES_MAX,
};

struct mount_publish {
    struct work_pool *files;
    struct event *files_event;
    struct publisher *publisher;
};

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
    work_pool_dispatch(arg);
}

static int announce(void *arg, const uint8_t *payload, size_t length, announce_done *done,
                    void *done_arg)
{
    struct mount_work *work = arg;
    return work->watcher
               ? watcher_announce(work->watcher, JOURNAL_CHANGE, payload, length, done, done_arg)
               : -ENOTCONN;
}

static void on_published(void *arg, int64_t took_ms)
{
    struct mount_work *work = arg;
    metrics_count(work->metrics, took_ms < 0 ? METRIC_PUBLISH_FAILED : METRIC_PUBLISHED, 1);
    if (took_ms >= 0)
        metrics_observe(work->metrics, METRIC_PUBLISH_LATENCY, (double)took_ms);
}

int mount_publish_open(struct mount_work *work)
{
    struct mount_publish *own = calloc(1, sizeof(*own));
    if (!own)
        return -ENOMEM;
    work->mount_publish = own;
    int r = work_pool_open(work->name, FILE_THREADS, QUEUE, &own->files);
    if (r < 0)
        return r;
    own->files_event = event_new(work->options.base, work_pool_fd(own->files), EV_READ | EV_PERSIST,
                                 on_pool, own->files);
    if (!own->files_event || event_add(own->files_event, NULL) < 0)
        return -ENOMEM;
    const struct publisher_options options = {
        .place = &work->place,
        .files = own->files,
        .names = work->files,
        .locks = mount_locks_of(work),
        .announce = announce,
        .published = on_published,
        .arg = work,
    };
    return publisher_new(&options, &own->publisher);
}

struct publisher *mount_publish_of(const struct mount_work *work)
{
    return work->mount_publish ? work->mount_publish->publisher : NULL;
}

void mount_publish_follow(struct mount_work *work)
{
    if (mount_publish_of(work))
        publisher_tick(mount_publish_of(work));
}

void mount_publish_stop(struct mount_work *work)
{
    if (mount_publish_of(work))
        publisher_stop(mount_publish_of(work));
}

bool mount_publish_is_idle(const struct mount_work *work)
{
    return !mount_publish_of(work) || publisher_is_idle(mount_publish_of(work));
}

int mount_publish_close(struct mount_work *work, int64_t timeout_ms)
{
    struct mount_publish *own = work->mount_publish;
    if (!own)
        return 0;
    if (own->files_event)
        event_free(own->files_event);
    return work_pool_close(own->files, timeout_ms);
}

void mount_publish_free(struct mount_work *work)
{
    if (!work->mount_publish)
        return;
    publisher_free(work->mount_publish->publisher);
    free(work->mount_publish);
}
