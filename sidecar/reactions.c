#include "sidecar/reactions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backoff.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/debounce.h"
#include "lib/log.h"
#include "lib/share/change_line.h"
#include "sidecar/feed.h"
#include "sidecar/reaction_http.h"
#include "sidecar/reaction_rule.h"
#include "sidecar/reaction_signal.h"

enum {
    TRIES = 10,
    FIRST_RETRY_MS = 1000,
    MOST_RETRY_MS = 60 * 1000,
    HTTP_TIMEOUT_MS = 5000,
    MOST_FACTOR = 10, /* of the quiet time */
    LOOK_MS = 500,    /* whether a mount is watched */
};

/* In the run directory, which outlives a restart of the container. */
static const char mark_name[] = "reactions";

struct reaction {
    struct reactions *all;
    const char *text; /* as in the settings */
    struct reaction_rule rule;
    struct debounce debounce;
    struct backoff backoff;
    unsigned tries;
    size_t changes, told; /* that wait, and as many of them as are being told */
    char *last;           /* of them, as JSON */
    struct reaction_http *http;
};

/* What is read of one mount. */
struct reaction_part {
    struct reactions *all;
    const char *mount;
    size_t index;
    bool catch_up; /* something may have changed before we began */
    struct feed *feed;
    struct feed_reader reader;
    struct feed_subscriber subscriber;
};

struct reactions {
    struct reactions_options options;
    struct event *timer;
    size_t n, n_parts;
    struct reaction_part parts[CONFIG_MOUNTS_MAX];
    struct reaction of[];
};

static void arm(struct reactions *all);

/* ---- changes ---- */

static void note(struct reaction *reaction, const char *mount, const struct change *change)
{
    char line[CHANGE_LINE_MAX];
    size_t length = change_line(change, mount, line, sizeof(line));
    char *last = strndup(line, length);
    if (last) { /* else an older one is told, which is as good */
        free(reaction->last);
        reaction->last = last;
    }
    reaction->changes++;
    debounce_note(&reaction->debounce, clock_now_ms());
}

static void concern(struct reaction_part *part, const struct change *change)
{
    struct reactions *all = part->all;
    for (size_t i = 0; i < all->n; i++)
        if (reaction_rule_concerns(&all->of[i].rule, part->mount, change))
            note(&all->of[i], part->mount, change);
}

static void concern_resync(struct reaction_part *part, enum change_reason reason)
{
    concern(part, &(struct change){
                      .op = CHANGE_RESYNC,
                      .reason = reason,
                      .flags = CHANGE_IS_DIR,
                      .path = "",
                      .observer = part->all->options.settings->task_name,
                      .epoch = part->reader.epoch,
                      .sequence = part->reader.sequence,
                  });
}

static void on_wake(void *arg)
{
    struct reaction_part *part = arg;
    struct change change;
    int r;
    while ((r = feed_next(part->feed, &part->reader, &change)) != 0) {
        if (r == 1)
            concern(part, &change);
        else
            concern_resync(part, CHANGE_REASON_SLOW_READER);
    }
    arm(part->all);
}

static bool catch_up(struct reaction_part *part)
{
    struct mount_status status;
    mounts_status(part->all->options.mounts, part->index, &status);
    if (status.watch.state != WATCHER_READY)
        return false;
    part->catch_up = false;
    concern_resync(part, CHANGE_REASON_RESTART);
    return true;
}

/* ---- carrying out ---- */

static void succeeded(struct reaction *reaction, const char *how)
{
    log_info("on_change: %s: %s (%zu %s)", reaction->text, how, reaction->told,
             reaction->told == 1 ? "change" : "changes");
    metrics_count(metrics_of_process(reaction->all->options.metrics), METRIC_REACTIONS, 1);
    reaction->changes -= reaction->told;
    reaction->tries = 0;
    backoff_reset(&reaction->backoff);
    debounce_end(&reaction->debounce);
}

static void failed(struct reaction *reaction, bool may_heal, const char *why)
{
    metrics_count(metrics_of_process(reaction->all->options.metrics), METRIC_REACTIONS_FAILED, 1);
    if (may_heal && ++reaction->tries < TRIES) {
        int64_t wait_ms = backoff_next_ms(&reaction->backoff);
        log_warn("on_change: %s: %s; it is tried again in %lld ms", reaction->text, why,
                 (long long)wait_ms);
        debounce_again(&reaction->debounce, clock_now_ms() + wait_ms);
        return;
    }
    log_error("on_change: %s: %s; the next change starts it again", reaction->text, why);
    reaction->changes -= reaction->told;
    reaction->tries = 0;
    backoff_reset(&reaction->backoff);
    debounce_end(&reaction->debounce);
}

static void send_signal(struct reaction *reaction)
{
    char how[64];
    size_t sent;
    struct error err;
    int r = reaction_signal_send(reaction->rule.process, reaction->rule.signal_number, &sent, &err);
    snprintf(how, sizeof(how), "%zu %s it", r == 0 ? sent : 0,
             r == 0 && sent == 1 ? "process got" : "processes got");
    if (r == 0)
        succeeded(reaction, how);
    else
        failed(reaction, r == -EAGAIN, err.text);
}

static void on_answer(void *arg, int status)
{
    struct reaction *reaction = arg;
    struct error err;
    char text[64];
    reaction->http = NULL;
    if (status < 0) {
        error_set_errno(&err, -status, "no answer from %s%s", reaction->rule.host,
                        status == -ETIMEDOUT ? " within 5 s" : "");
        failed(reaction, true, err.text);
    } else {
        snprintf(text, sizeof(text), "answered with %d", status);
        if (status >= 200 && status <= 299)
            succeeded(reaction, text);
        else
            failed(reaction, true, text);
    }
    arm(reaction->all);
}

static void send_request(struct reaction *reaction)
{
    _cleanup_free_ char *body = NULL;
    int r = asprintf(&body, "{\"changes\":%zu,\"last\":%s}\n", reaction->told,
                     reaction->last ? reaction->last : "null") < 0
                ? -ENOMEM
                : reaction_http_start(reaction->all->options.base, &reaction->rule, body,
                                      HTTP_TIMEOUT_MS, on_answer, reaction, &reaction->http);
    if (r < 0)
        on_answer(reaction, r);
}

static void carry_out(struct reaction *reaction)
{
    debounce_begin(&reaction->debounce);
    reaction->told = reaction->changes;
    if (reaction->rule.kind == REACTION_HTTP)
        send_request(reaction);
    else
        send_signal(reaction);
}

static void arm(struct reactions *all)
{
    int64_t due_ms = CLOCK_NEVER;
    for (size_t i = 0; i < all->n; i++) {
        int64_t one_ms = debounce_due_ms(&all->of[i].debounce);
        due_ms = one_ms < due_ms ? one_ms : due_ms;
    }
    for (size_t i = 0; i < all->n_parts; i++)
        if (all->parts[i].catch_up && clock_now_ms() + LOOK_MS < due_ms)
            due_ms = clock_now_ms() + LOOK_MS;
    if (due_ms == CLOCK_NEVER)
        return;
    int64_t ms = clock_poll_timeout(due_ms);
    event_add(all->timer, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct reactions *all = arg;
    for (size_t i = 0; i < all->n_parts; i++)
        if (all->parts[i].catch_up)
            catch_up(&all->parts[i]);
    for (size_t i = 0; i < all->n; i++)
        if (clock_now_ms() >= debounce_due_ms(&all->of[i].debounce))
            carry_out(&all->of[i]);
    arm(all);
}

/* ---- open and close ---- */

void reactions_check(const struct settings *settings, struct config_report *report)
{
    const struct name_list *texts = &settings->on_change;
    struct reaction_rule rule;
    struct error err;
    for (size_t i = 0; i < texts->n; i++)
        if (reaction_rule_parse(texts->names[i], &settings->mounts, &rule, &err) < 0)
            config_error(report, "%s", err.text);
    if (texts->n > 0 && (!settings->watch_enabled || settings->profile == PROFILE_OBSERVE))
        config_error(report, "on_change: nothing is watched: %s",
                     settings->watch_enabled ? "the profile is observe" : "watch.enabled is false");
}

/* Was there a sidecar before us in this task? */
static bool leave_mark(const struct settings *settings)
{
    char path[CONFIG_TEXT_MAX];
    if (settings_run_path(settings, mark_name, path, sizeof(path)) < 0)
        return false;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd < 0 && errno == EEXIST;
}

static void add_parts(struct reactions *all)
{
    const struct settings *settings = all->options.settings;
    bool restarted = leave_mark(settings);
    for (size_t i = 0; i < mounts_count(all->options.mounts); i++) {
        struct reaction_part *part = &all->parts[all->n_parts++];
        *part = (struct reaction_part){
            .all = all,
            .mount = settings->mounts.mounts[i].path,
            .index = i,
            .catch_up = restarted,
            .feed = mounts_feed(all->options.mounts, i),
            .subscriber = {.wake = on_wake, .arg = part},
        };
        feed_seek(part->feed, NULL, &part->reader);
        feed_subscribe(part->feed, &part->subscriber);
    }
}

static int add_rules(struct reactions *all, struct error *err)
{
    const struct settings *settings = all->options.settings;
    int64_t quiet_ms = settings->on_change_debounce_ms;
    for (; all->n < settings->on_change.n; all->n++) {
        struct reaction *reaction = &all->of[all->n];
        *reaction = (struct reaction){
            .all = all,
            .text = settings->on_change.names[all->n],
            .debounce = {.quiet_ms = quiet_ms, .most_ms = MOST_FACTOR * quiet_ms},
            .backoff = {.first_ms = FIRST_RETRY_MS, .most_ms = MOST_RETRY_MS},
        };
        int r = reaction_rule_parse(reaction->text, &settings->mounts, &reaction->rule, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int reactions_open(const struct reactions_options *options, struct reactions **ret_reactions,
                   struct error *err)
{
    size_t n = options->settings->on_change.n;
    if (n == 0) {
        *ret_reactions = NULL;
        return 0;
    }
    struct reactions *all = calloc(1, sizeof(*all) + n * sizeof(all->of[0]));
    if (!all)
        return error_set(err, ENOMEM, "no memory for the reactions");
    all->options = *options;
    all->timer = event_new(options->base, -1, 0, on_timer, all);
    int r =
        all->timer ? add_rules(all, err) : error_set(err, ENOMEM, "no memory for the reactions");
    if (r < 0) {
        reactions_close(all);
        return r;
    }
    add_parts(all);
    arm(all);
    *ret_reactions = all;
    return 0;
}

void reactions_close(struct reactions *all)
{
    if (!all)
        return;
    for (size_t i = 0; i < all->n_parts; i++)
        feed_unsubscribe(&all->parts[i].subscriber);
    for (size_t i = 0; i < all->n; i++) {
        reaction_http_cancel(all->of[i].http);
        free(all->of[i].last);
    }
    if (all->timer)
        event_free(all->timer);
    free(all);
}
