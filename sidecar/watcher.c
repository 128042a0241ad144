#include "sidecar/watcher.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/backoff.h"
#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/text.h"
#include "sidecar/spawn.h"
#include "sidecar/watch_child.h"
#include "sidecar/watch_talk.h"
#include "sidecar/watch_verdict.h"

enum {
    RESTART_FIRST_MS = 1000,
    RESTART_MOST_MS = 60 * 1000,
    STALLS_OF_A_LIFE = 4, /* of mount.stall_after: a child that lived so long lives well */
    PINGS_PER_STALL = 3,
    FROZEN_MS = 5000, /* without a tick, of one a second */
    ENDING_MS = 7000, /* efs-watch gives up by itself a second earlier */
};

const char *const watcher_state_names[] = {
    [WATCHER_OFF] = "off",
    [WATCHER_STARTING] = "starting",
    [WATCHER_READY] = "ready",
    [WATCHER_RESTARTING] = "restarting",
};

enum role { ROLE_NONE, ROLE_LISTENER, ROLE_MEMBER };

struct watcher {
    struct watcher_options options;
    struct event *child_ended;
    struct watch_child process;
    struct watch_talk talk;

    enum role role; /* of the child that should run; NONE: it waits for a slot */
    int64_t waiting_ms;
    struct membership member; /* while role says so */
    char *state_path;         /* NULL: where it is by default */
    bool first_of_epoch;      /* no child has had this slot yet */
    bool child_is_member;     /* it has the slot's descriptor */
    bool untold;              /* something under the slot may not have been announced */

    bool allowed, stopping, asked_to_end;
    bool silent; /* it is killed for that */
    unsigned ends_in_a_row;
    char last_end[WATCH_HOW_SIZE];
    uint64_t fresh_ms; /* as the last child that knew said */
    int64_t started_ms, next_start_ms, ping_ms, heard_ms, tick_ms;
    struct backoff backoff;

    struct watcher_status status; /* but what the child said */
};

static void say(struct watcher *w, enum condition_status status, const char *reason,
                const char *text)
{
    conditions_set(w->options.conditions, CONDITION_FEED_READY, status, reason, "%s", text);
}

static bool lives_well(const struct watcher *w)
{
    return clock_now_ms() - w->started_ms >= STALLS_OF_A_LIFE * w->options.settings->stall_after_ms;
}

/* Who ended again and again is believed when he lives: the condition does not follow each start. */
static void say_ready(struct watcher *w)
{
    if (w->ends_in_a_row >= WATCH_ENDS_FAILING && !lives_well(w)) {
        watch_verdict_failing(w->options.conditions, w->ends_in_a_row, w->last_end);
        return;
    }
    w->ends_in_a_row = lives_well(w) ? 0 : w->ends_in_a_row;
    watch_verdict_ready(w->options.conditions, &w->talk.status,
                        w->options.wants_slot && !w->child_is_member);
}

static int on_frame(void *arg, const struct frame *frame)
{
    struct watcher *w = arg;
    bool tells_state = frame->type == WATCH_FRAME_READY || frame->type == WATCH_FRAME_STATUS ||
                       frame->type == WATCH_FRAME_PONG;
    w->heard_ms = clock_now_ms();
    if (frame->type == WATCH_FRAME_READY)
        w->status.state = WATCHER_READY;
    int r = watch_talk_take(&w->talk, frame);
    if (w->talk.status.feed.fresh_ms > 0)
        w->fresh_ms = w->talk.status.feed.fresh_ms;
    if (r == 0 && tells_state && w->status.state == WATCHER_READY && !w->asked_to_end)
        say_ready(w);
    return r;
}

static void on_hang_up(void *arg)
{
    struct watcher *w = arg;
    watch_talk_hung_up(&w->talk);
}

int watcher_announce(struct watcher *w, uint16_t type, const void *payload, size_t length,
                     announce_done *done, void *arg)
{
    if (!w->child_is_member || w->asked_to_end)
        return -ENOTCONN;
    return watch_talk_announce(&w->talk, &w->process, type, payload, length, done, arg);
}

/* ---- the child's life ---- */

/* It found that the slot is somebody else's by now, or nobody's. */
static void be_fenced(struct watcher *w)
{
    w->next_start_ms = clock_now_ms();
    backoff_reset(&w->backoff);
    watcher_part(w);
    say(w, CONDITION_FALSE, "Fenced",
        "the server gave this task's slot on the board away, so what is seen here was not "
        "announced; a new slot is taken, and the other tasks are told to look again. LocksReady "
        "says why");
    w->options.fenced(w->options.arg);
}

/* Nothing follows from this end but the next start. */
static void be_replaced(struct watcher *w)
{
    w->next_start_ms = clock_now_ms();
    say(w, CONDITION_UNKNOWN, "Starting", "efs-watch is started again, with another slot");
}

static void plan_restart(struct watcher *w, int status)
{
    int64_t now_ms = clock_now_ms();
    if (lives_well(w)) {
        backoff_reset(&w->backoff);
        w->ends_in_a_row = 0;
    }
    if (w->fresh_ms == 0)
        w->fresh_ms = (uint64_t)w->started_ms;
    int64_t pause_ms = backoff_next_ms(&w->backoff);
    w->next_start_ms = now_ms + pause_ms;
    const struct watch_end end = {
        .path = w->options.path,
        .status = status,
        .was_silent = w->silent,
        .last_words = w->talk.refused.code ? w->talk.refused.text : w->process.words.last,
        .in_a_row = ++w->ends_in_a_row,
        .pause_ms = pause_ms,
    };
    watch_verdict_ended(w->options.conditions, &end, w->last_end);
}

static void on_child_ended(evutil_socket_t number, short what, void *arg)
{
    struct watcher *w = arg;
    int status;
    if (watch_child_reap(&w->process, &status) == 0)
        return;
    bool ended_well = w->asked_to_end && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool fenced =
        w->child_is_member && WIFEXITED(status) && WEXITSTATUS(status) == WATCH_EXIT_FENCED;
    if (ended_well)
        w->untold = false;
    w->child_is_member = false;
    if (w->stopping)
        return;
    w->status.restarts++;
    w->status.state = WATCHER_RESTARTING;
    watch_talk_forget(&w->talk);
    if (fenced)
        be_fenced(w);
    else if (w->asked_to_end)
        be_replaced(w);
    else
        plan_restart(w, status);
}

static int start_process(struct watcher *w)
{
    char words[6][32], state[PATH_MAX], *argv[64], program[] = "efs-watch";
    _cleanup_free_ char *root = strdup(w->options.path);
    char **options = config_to_options(&settings_table, PROGRAM_WATCH, w->options.settings);
    size_t n = 0, n_words = 0;
    bool member = w->role == ROLE_MEMBER, again = w->status.restarts > 0;

    argv[n++] = program;
    snprintf(words[n_words++], sizeof(words[0]), "--child=%d", SPAWN_FD);
    if (again) /* a resync, and what exists */
        snprintf(words[n_words++], sizeof(words[0]), "--existing");
    if (member) {
        snprintf(words[n_words++], sizeof(words[0]), "--board=%d", SPAWN_FD + 1);
        snprintf(words[n_words++], sizeof(words[0]), "--slot=%u", w->member.slot);
        snprintf(words[n_words++], sizeof(words[0]), "--epoch=%u", w->member.epoch);
    }
    if (member && w->first_of_epoch && (again || w->member.unclean))
        snprintf(words[n_words++], sizeof(words[0]), "--unclean");
    for (size_t i = 0; i < n_words; i++)
        argv[n++] = words[i];
    if (w->state_path && snprintf(state, sizeof(state), "--state=%s", w->state_path) > 0)
        argv[n++] = state;
    for (size_t i = 0; options && options[i] && n < ARRAY_LEN(argv) - 2; i++)
        argv[n++] = options[i];
    argv[n++] = root;
    argv[n] = NULL;
    int r = options && root ? watch_child_start(&w->process, argv, member ? w->member.fd : -1)
                            : -ENOMEM;
    config_free_options(options);
    return r;
}

static int start(struct watcher *w)
{
    int r = start_process(w);
    if (r < 0)
        return r;
    w->asked_to_end = w->silent = false;
    w->child_is_member = w->role == ROLE_MEMBER;
    w->untold = w->untold || w->child_is_member;
    w->first_of_epoch = w->first_of_epoch && !w->child_is_member;
    w->started_ms = w->heard_ms = w->ping_ms = clock_now_ms();
    if (w->status.state == WATCHER_STARTING)
        say(w, CONDITION_UNKNOWN, "Starting", "efs-watch reads the directories");
    return 0;
}

/* Not for ever: changes that are only seen here are better than none. */
static bool waits_for_slot(struct watcher *w, int64_t now_ms)
{
    if (w->role != ROLE_NONE)
        return false;
    if (w->waiting_ms == CLOCK_NEVER)
        w->waiting_ms = now_ms + w->options.settings->stall_after_ms;
    if (now_ms < w->waiting_ms)
        return true;
    w->role = ROLE_LISTENER;
    return false;
}

static void try_start(struct watcher *w)
{
    int64_t now_ms = clock_now_ms();
    if (!w->allowed || w->stopping || now_ms < w->next_start_ms || waits_for_slot(w, now_ms))
        return;
    int r = start(w);
    if (r == 0)
        return;
    w->next_start_ms = now_ms + backoff_next_ms(&w->backoff);
    conditions_set(w->options.conditions, CONDITION_FEED_READY, CONDITION_FALSE,
                   "WatcherNotStarted", "efs-watch cannot be started: %s. It is tried again",
                   strerror(-r));
}

/* ---- heartbeat ---- */

static void check_silence(struct watcher *w, int64_t now_ms)
{
    int64_t silence_ms = now_ms - w->heard_ms;
    if (silence_ms <= w->options.settings->stall_after_ms)
        return;
    conditions_set(w->options.conditions, CONDITION_FEED_READY, CONDITION_FALSE, "WatcherStalled",
                   "efs-watch has not answered for %lld s%s", (long long)(silence_ms / 1000),
                   w->allowed ? "; it is killed and started again"
                              : ", and neither has the mount. Local changes are kept by the "
                                "kernel and reported when it answers");
    w->silent = w->allowed;
    if (w->allowed)
        watch_child_kill(&w->process);
}

void watcher_tick(struct watcher *w)
{
    int64_t now_ms = clock_now_ms();
    if (now_ms - w->tick_ms > FROZEN_MS) /* we were, and what it said meanwhile is still unread */
        w->heard_ms = now_ms;
    w->tick_ms = now_ms;
    if (w->process.pid == 0) {
        try_start(w);
        return;
    }
    if (w->process.fd < 0 ||
        w->asked_to_end) { /* it is ending, and is helped when that takes too long */
        if (now_ms - w->heard_ms > ENDING_MS)
            watch_child_kill(&w->process);
        return;
    }
    if (now_ms - w->ping_ms >= w->options.settings->stall_after_ms / PINGS_PER_STALL) {
        uint8_t ping[WATCH_PING_BYTES];
        put_le64(ping, (uint64_t)now_ms);
        put_le32(ping + 8, log_get_level());
        w->ping_ms = now_ms;
        watch_child_send(&w->process, WATCH_FRAME_PING, ping, sizeof(ping));
    }
    check_silence(w, now_ms);
}

/* What is pending is announced and told, then it ends. */
static void ask_to_end(struct watcher *w)
{
    if (w->process.pid == 0 || w->asked_to_end)
        return;
    w->asked_to_end = true;
    w->heard_ms = clock_now_ms();
    watch_child_send(&w->process, WATCH_FRAME_STOP, NULL, 0);
}

void watcher_join(struct watcher *w, const struct membership *member)
{
    w->member = *member;
    w->role = ROLE_MEMBER;
    w->first_of_epoch = true;
    w->untold = false;
    if (w->process.pid > 0)
        ask_to_end(w);
    else
        w->next_start_ms = clock_now_ms();
}

void watcher_listen(struct watcher *w)
{
    if (w->role == ROLE_NONE)
        w->role = ROLE_LISTENER;
}

void watcher_part(struct watcher *w)
{
    if (w->role != ROLE_MEMBER)
        return;
    w->role = ROLE_NONE;
    w->waiting_ms = CLOCK_NEVER;
    if (w->child_is_member)
        watch_child_kill(&w->process);
}

bool watcher_has_slot(const struct watcher *w)
{
    return w->child_is_member;
}

int watcher_set_state(struct watcher *w, const char *path)
{
    if (w->state_path && strcmp(w->state_path, path) == 0)
        return 0;
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    free(w->state_path);
    w->state_path = copy;
    return 0;
}

void watcher_allow(struct watcher *w, bool allowed)
{
    if (allowed && !w->allowed)
        w->heard_ms = clock_now_ms(); /* what hung with the mount gets time to come back */
    w->allowed = allowed;
}

void watcher_status(const struct watcher *w, struct watcher_status *ret_status)
{
    *ret_status = w->status;
    ret_status->changes = w->talk.changes;
    ret_status->child = w->talk.status;
    if (w->status.state == WATCHER_RESTARTING && w->talk.status.feed.fresh_ms == 0)
        ret_status->child.feed.fresh_ms = w->fresh_ms;
    ret_status->member = w->child_is_member;
    ret_status->slot = w->member.slot;
    ret_status->epoch = w->member.epoch;
}

int64_t watcher_staleness_ms(const struct watcher_status *status)
{
    uint64_t fresh_ms = status->child.feed.fresh_ms;
    return fresh_ms ? clock_now_ms() - (int64_t)fresh_ms : -1;
}

/* ---- */

int watcher_new(const struct watcher_options *options, struct watcher **ret_watcher)
{
    struct watcher *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct watcher){
        .options = *options,
        .role = options->wants_slot ? ROLE_NONE : ROLE_LISTENER,
        .status = {.state = WATCHER_STARTING},
        .waiting_ms = CLOCK_NEVER,
        .talk = {.feed = options->feed, .notice = options->notice, .arg = options->arg},
        .backoff = {.first_ms = RESTART_FIRST_MS, .most_ms = RESTART_MOST_MS},
    };
    w->child_ended = evsignal_new(options->base, SIGCHLD, on_child_ended, w);
    int r = watch_child_init(&w->process, options->base, options->path, on_frame, on_hang_up, w);
    if (r < 0 || !w->child_ended || event_add(w->child_ended, NULL) < 0) {
        watcher_free(w);
        return -ENOMEM;
    }
    say(w, CONDITION_UNKNOWN, "Starting", "efs-watch is started when the mount answers");
    *ret_watcher = w;
    return 0;
}

void watcher_free(struct watcher *w)
{
    if (!w)
        return;
    watch_child_release(&w->process);
    if (w->child_ended)
        event_free(w->child_ended);
    free(w->state_path);
    free(w);
}

void watcher_stop(struct watcher *w)
{
    if (w->stopping)
        return;
    w->stopping = true;
    ask_to_end(w);
}

bool watcher_stopped(const struct watcher *w)
{
    return w->process.pid == 0;
}

bool watcher_told_all(const struct watcher *w)
{
    return !w->untold;
}
