#include "sidecar/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/harden.h"
#include "lib/log.h"
#include "lib/text.h"
#include "sidecar/agent.h"
#include "sidecar/api.h"
#include "sidecar/health.h"
#include "sidecar/http.h"
#include "sidecar/leave.h"
#include "sidecar/metrics.h"
#include "sidecar/mounts.h"
#include "sidecar/reactions.h"
#include "sidecar/run_dir.h"

enum {
    STOP_RESERVE_MS = 2000, /* of stop_timeout: the container runtime kills at its end */
    STOP_FLUSH_MS = 700,    /* of what is left: for metrics and log */
    STOP_HURRY_MS = 1000,   /* after a second signal */
    STOP_SEND_MS = 5000,    /* at most, of what the mounts leave: for the last call to CloudWatch */
    STOP_LOOK_MS = 50,
    CLOSE_MS = 200,
    OTHER_FILES = 256, /* that are open at once, beside connections and locks */
};

struct daemon {
    struct settings *settings;
    struct event_base *base;
    struct event *terminate, *interrupt, *stop_look;
    struct health health;
    struct metrics *metrics;
    struct mounts *mounts;
    struct agent *agent;
    struct reactions *reactions;
    struct api *api;
    int run_dir_fd;
    int64_t stop_by_ms; /* CLOCK_NEVER: not stopping */
};

static void on_stop_look(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;
    if (mounts_stopped(d->mounts) || clock_now_ms() >= d->stop_by_ms)
        event_base_loopbreak(d->base);
}

static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    struct daemon *d = arg;
    const struct timeval interval = {.tv_usec = STOP_LOOK_MS * 1000};
    int64_t now_ms = clock_now_ms();

    if (d->stop_by_ms != CLOCK_NEVER) {
        if (d->stop_by_ms > now_ms + STOP_HURRY_MS)
            d->stop_by_ms = now_ms + STOP_HURRY_MS;
        return;
    }
    int64_t patience_ms = d->settings->stop_timeout_ms - STOP_RESERVE_MS - STOP_FLUSH_MS;
    log_info("stopping on signal %d: everything is given back within %lld ms", (int)number,
             (long long)patience_ms);
    d->stop_by_ms = now_ms + patience_ms;
    metrics_flush(d->metrics);
    mounts_stop(d->mounts);
    event_add(d->stop_look, &interval);
}

static struct event *on_signal(struct daemon *d, int number)
{
    struct event *event = evsignal_new(d->base, number, on_stop_signal, d);
    if (event && event_add(event, NULL) < 0) {
        event_free(event);
        return NULL;
    }
    return event;
}

static int open_loop(struct daemon *d, struct error *err)
{
    d->base = event_base_new();
    if (!d->base)
        return error_set(err, ENOMEM, "the event loop cannot be made");
    d->terminate = on_signal(d, SIGTERM);
    d->interrupt = on_signal(d, SIGINT);
    d->stop_look = event_new(d->base, -1, EV_PERSIST, on_stop_look, d);
    if (!d->terminate || !d->interrupt || !d->stop_look)
        return error_set(err, ENOMEM, "the event loop cannot be made");
    return 0;
}

static int open_parts(struct daemon *d, struct error *err)
{
    struct settings *settings = d->settings;
    int r = open_loop(d, err);
    if (r == 0)
        r = run_dir_open(settings, &d->run_dir_fd, err);
    if (r == 0)
        r = metrics_open(d->base, settings, &d->health, &d->metrics, err);
    if (r == 0)
        r = mounts_open(d->base, settings, &d->health, d->metrics, &d->mounts, err);
    if (r == 0)
        r = agent_open(d->base, settings, d->mounts, &d->agent, err);
    if (r == 0) {
        const struct reactions_options options = {d->base, settings, d->mounts, d->metrics};
        r = reactions_open(&options, &d->reactions, err);
    }
    if (r == 0) {
        const struct api_sources sources = {d->base, settings, &d->health, d->mounts, d->metrics};
        r = api_open(&sources, &d->api, err);
    }
    return r;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

/* Within what is left of the stop timeout. */
static int64_t flush_ms(const struct daemon *d)
{
    int64_t left_ms = d->stop_by_ms == CLOCK_NEVER ? 0 : d->stop_by_ms - clock_now_ms();
    if (left_ms > STOP_SEND_MS)
        left_ms = STOP_SEND_MS;
    return STOP_FLUSH_MS / 2 + (left_ms > 0 ? left_ms : 0);
}

/* Newest first. -EBUSY: a call is stuck. */
static int close_parts(struct daemon *d)
{
    api_close(d->api);
    reactions_close(d->reactions);
    int r = agent_close(d->agent, CLOSE_MS);
    if (d->mounts && mounts_close(d->mounts, CLOSE_MS) < 0)
        r = -EBUSY;
    if (metrics_close(d->metrics, flush_ms(d)) < 0)
        r = -EBUSY;
    free_event(d->terminate);
    free_event(d->interrupt);
    free_event(d->stop_look);
    if (d->base)
        event_base_free(d->base);
    if (d->run_dir_fd >= 0)
        close(d->run_dir_fd);
    return r;
}

/* A connection and a lock's file each for all locks that may be held: more than the usual 1024. */
static void allow_files(const struct settings *settings)
{
    const rlim_t wanted =
        OTHER_FILES + HTTP_CONNECTIONS_MAX + (rlim_t)settings->lock_max * settings->mounts.n;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
        log_warn("%llu files can be open at once, and %llu would be needed for lock.max locks and "
                 "their clients: raise ulimits (nofile) of this container, or lower lock.max",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

int daemon_run(struct settings *settings)
{
    struct daemon d = {.settings = settings, .run_dir_fd = -1, .stop_by_ms = CLOCK_NEVER};
    struct error err;

    if (harden_process(settings->seccomp, &err) < 0)
        log_warn("%s; the sidecar runs without that", err.text);
    mallopt(M_ARENA_MAX, 1); /* workers allocate little: an arena for each would cost more */
    umask(007);
    signal(SIGPIPE, SIG_IGN);
    if (settings->profile != PROFILE_OBSERVE)
        allow_files(settings);
    health_init(&d.health);
    int r = open_parts(&d, &err);
    if (r < 0) {
        log_error("%s", err.text);
    } else {
        log_info("efs-sidecar " EFS_SIDECAR_VERSION " runs: task %s, profile %s, %zu %s",
                 settings->task_name, profile_names[settings->profile], settings->mounts.n,
                 text_plural((int64_t)settings->mounts.n, "mount", "mounts"));
        event_base_dispatch(d.base);
    }
    int status = r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (close_parts(&d) < 0) {
        log_warn("a call is stuck; leaving without it");
        log_close(STOP_FLUSH_MS / 2);
        leave_process(status);
    }
    return status;
}
