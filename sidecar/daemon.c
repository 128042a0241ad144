#include "sidecar/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
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
#include "sidecar/ready_file.h"
#include "sidecar/run_dir.h"
#include "sidecar/spawn.h"

enum {
    STOP_RESERVE_MS = 2000, /* of stop_timeout: the container runtime kills at its end */
    STOP_FLUSH_MS = 700,    /* of what is left: for metrics and log */
    STOP_HURRY_MS = 1000,   /* after a second signal */
    STOP_SEND_MS = 5000,    /* at most, of what the mounts leave: for the last call to CloudWatch */
    STOP_LOOK_MS = 50,
    CLOSE_MS = 200,
    KEEP_S = 2,        /* how often it is looked whether the run directory is as it was made */
    OTHER_FILES = 256, /* that are open at once, beside connections and locks */
};

struct daemon {
    struct settings *settings;
    struct event_base *base;
    struct event *terminate, *interrupt, *child_ended, *stop_look, *keep_look;
    struct health health;
    struct metrics *metrics;
    struct mounts *mounts;
    struct agent *agent;
    struct reactions *reactions;
    struct api *api;
    struct ready_file ready_file;
    int run_dir_fd;
    int kept; /* -errno: why the run directory is not as it should be; it has been told */
    int status;
    int64_t stop_by_ms; /* CLOCK_NEVER: not stopping */
};

static void on_stop_look(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;
    if (mounts_stopped(d->mounts) || clock_now_ms() >= d->stop_by_ms)
        event_base_loopbreak(d->base);
}

static void stop(struct daemon *d, const char *why)
{
    const struct timeval interval = {.tv_usec = STOP_LOOK_MS * 1000};
    int64_t patience_ms = d->settings->stop_timeout_ms - STOP_RESERVE_MS - STOP_FLUSH_MS;
    log_info("stopping %s: everything is given back within %lld ms", why, (long long)patience_ms);
    d->stop_by_ms = clock_now_ms() + patience_ms;
    event_del(d->keep_look);
    metrics_flush(d->metrics);
    mounts_stop(d->mounts);
    event_add(d->stop_look, &interval);
}

static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    struct daemon *d = arg;
    char why[32];
    int64_t hurry_ms = clock_now_ms() + STOP_HURRY_MS;
    if (d->stop_by_ms == CLOCK_NEVER) {
        snprintf(why, sizeof(why), "on signal %d", (int)number);
        stop(d, why);
    } else if (d->stop_by_ms > hurry_ms) {
        d->stop_by_ms = hurry_ms;
    }
}

/* Whoever shares the volume may remove what is in it. */
static void on_keep_look(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;
    struct error err;
    int claimed = run_dir_keep(d->settings, &d->run_dir_fd, &err);
    int r = claimed < 0 ? claimed : api_keep(d->api, &err);
    int ready = r < 0 ? 0 : ready_file_keep(&d->ready_file, d->settings, &err);
    r = ready < 0 ? ready : r + ready;
    if (claimed == -EBUSY) {
        log_error("run_dir: %s was removed, and %s. This one ends", d->settings->run_dir, err.text);
        d->status = EXIT_FAILURE;
        stop(d, "because another sidecar has the run directory");
    } else if (r < 0) {
        if (r != d->kept)
            log_error("what efs-sidecar had in its run directory was removed and cannot be put "
                      "back, so nobody can reach it: %s. It is tried again",
                      err.text);
        d->kept = r;
    } else if (claimed + r > 0) {
        log_warn("run_dir: something removed what efs-sidecar had in %s; it was put back. Keep "
                 "other programs from clearing that directory",
                 d->settings->run_dir);
        d->kept = 0;
    }
}

static void on_child_ended(evutil_socket_t number, short what, void *arg)
{
    spawn_reap_strays();
}

static struct event *on_signal(struct daemon *d, int number, event_callback_fn callback)
{
    struct event *event = evsignal_new(d->base, number, callback, d);
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
    d->terminate = on_signal(d, SIGTERM, on_stop_signal);
    d->interrupt = on_signal(d, SIGINT, on_stop_signal);
    d->child_ended = on_signal(d, SIGCHLD, on_child_ended);
    d->stop_look = event_new(d->base, -1, EV_PERSIST, on_stop_look, d);
    d->keep_look = event_new(d->base, -1, EV_PERSIST, on_keep_look, d);
    if (!d->terminate || !d->interrupt || !d->child_ended || !d->stop_look || !d->keep_look)
        return error_set(err, ENOMEM, "the event loop cannot be made");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL); /* what was blocked until now is heard */
    return 0;
}

static int open_parts(struct daemon *d, struct error *err)
{
    struct settings *settings = d->settings;
    int r = open_loop(d, err);
    if (r == 0)
        r = run_dir_open(settings, &d->run_dir_fd, err);
    if (r == 0 && !run_dir_protect(settings))
        log_warn(
            "run_dir: every user of this task may replace the socket and the links in %s, and "
            "so answer in the sidecar's place. Give the directory to uid %u, or set its sticky "
            "bit: chmod 1777",
            settings->run_dir, (unsigned)geteuid());
    if (r == 0)
        r = ready_file_keep(&d->ready_file, settings, err);
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
    free_event(d->child_ended);
    free_event(d->stop_look);
    free_event(d->keep_look);
    if (d->base)
        event_base_free(d->base);
    if (d->run_dir_fd >= 0)
        close(d->run_dir_fd);
    ready_file_release(&d->ready_file);
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
    const struct timeval keep_interval = {.tv_sec = KEEP_S};
    struct error err;

    if (harden_process(settings->seccomp, &err) < 0)
        log_warn("%s; the sidecar runs without that", err.text);
    mallopt(M_ARENA_MAX, 1); /* workers allocate little: an arena for each would cost more */
    umask(007);
    static const int meaningless[] = {SIGPIPE, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < ARRAY_LEN(meaningless); i++)
        signal(meaningless[i], SIG_IGN);
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
        event_add(d.keep_look, &keep_interval);
        event_base_dispatch(d.base);
    }
    int status = r < 0 ? EXIT_FAILURE : d.status;
    if (close_parts(&d) < 0) {
        log_warn("a call is stuck; leaving without it");
        log_close(STOP_FLUSH_MS / 2);
        leave_process(status);
    }
    return status;
}
