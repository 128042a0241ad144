#include "sidecar/mount_claims.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/share/layout.h"
#include "lib/text.h"
#include "sidecar/claims.h"
#include "sidecar/mount_chores.h"
#include "sidecar/mount_member.h"

enum { RECOVER_RETRY_MS = 30 * 1000 };

struct mount_claims {
    struct claims *claims;
    struct event *hurry;     /* the slot is to be proven now */
    struct event *look;      /* the feed has something */
    struct feed_reader read; /* so far */
    struct feed_subscriber subscriber;
};

static void on_hurry(evutil_socket_t fd, short what, void *arg)
{
    struct mount_work *work = arg;
    lease_tick(work->lease);
}

static void on_holding(void *arg, bool any)
{
    struct mount_work *work = arg;
    mount_member_hold(work, any);
    if (any)
        event_active(work->mount_claims->hurry, EV_TIMEOUT, 0);
}

static void on_died(void *arg, const char *queue, const char *name, unsigned attempts)
{
    const struct mount_work *work = arg;
    log_warn("\"%s\" in %s on %s failed %u times, and lies in %s/" LAYOUT_DEAD " now: find out why "
             "and move it back",
             name, queue, work->place.path, attempts, queue);
}

/* ---- what the feed says ---- */

static void on_wake(void *arg)
{
    struct mount_claims *own = arg;
    event_active(own->look, EV_TIMEOUT, 0);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct mount_work *work = arg;
    struct mount_claims *own = work->mount_claims;
    struct change change;
    int r;
    while ((r = feed_next(work->feed, &own->read, &change)) == 1) {
        if (change.op == CHANGE_RESYNC)
            claims_changed(own->claims, "");
        else if (change.op != CHANGE_DELETE && change.op != CHANGE_ATTRIB)
            claims_changed(own->claims, change.path);
    }
    if (r == -ESTALE)
        claims_changed(own->claims, "");
}

/* ---- what was claimed before ---- */

void mount_claims_joined(struct mount_work *work)
{
    if (work->place.writable)
        chores_plan(&work->chores, CHORE_CLAIMS, 0);
}

int mount_claims_run_recover(struct chore_call *call)
{
    return claim_recover(call->recovery, &call->owner, call->state_on_nfs, &call->err);
}

void mount_claims_done_recover(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    const struct claim_recovery *recovery = &work->recovery;
    unsigned n = recovery->returned.retried + recovery->returned.dead;
    if (call->err.code)
        log_warn("%s. It is tried again", call->err.text);
    if (n > 0) {
        log_info(
            "what this task had claimed on %s before it was started anew can be claimed again: "
            "%u %s, and %u had failed too often",
            work->place.path, recovery->returned.retried,
            text_plural(recovery->returned.retried, "file", "files"), recovery->returned.dead);
        claims_changed(mount_claims_of(work), "");
    }
    if (call->err.code)
        chores_plan(&work->chores, CHORE_CLAIMS, RECOVER_RETRY_MS);
    else if (recovery->due_ms != CLOCK_NEVER)
        chores_plan(&work->chores, CHORE_CLAIMS, recovery->due_ms - clock_now_ms());
}

/* ---- */

int mount_claims_open(struct mount_work *work)
{
    struct mount_claims *own = calloc(1, sizeof(*own));
    if (!own)
        return -ENOMEM;
    work->mount_claims = own;
    work->recovery.place = &work->place;
    const struct claims_options options = {
        .base = work->options.base,
        .place = &work->place,
        .names = work->files,
        .fence_ms = work->options.settings->fence_ms,
        .holding = on_holding,
        .died = on_died,
        .arg = work,
    };
    own->hurry = event_new(work->options.base, -1, 0, on_hurry, work);
    own->look = event_new(work->options.base, -1, 0, on_look, work);
    if (!own->hurry || !own->look)
        return -ENOMEM;
    own->subscriber = (struct feed_subscriber){.wake = on_wake, .arg = own};
    feed_seek(work->feed, NULL, &own->read);
    feed_subscribe(work->feed, &own->subscriber);
    return claims_new(&options, &own->claims);
}

struct claims *mount_claims_of(const struct mount_work *work)
{
    return work->mount_claims ? work->mount_claims->claims : NULL;
}

void mount_claims_follow(struct mount_work *work)
{
    struct claims *claims = mount_claims_of(work);
    if (!claims)
        return;
    const struct owner *owner = &work->tasks.own.owner;
    bool begins;
    const struct condition *obstacle = mount_member_obstacle(work, &begins);
    bool ready = work->has_slot && work->made;
    if (!ready || !claims_are_ready_as(claims, owner))
        claims_set_unready(claims, obstacle->message, begins);
    if (!ready)
        return;
    if (!claims_are_ready_as(claims, owner))
        claims_set_ready(claims, owner);
    claims_proven(claims, lease_proven_ms(work->lease));
}

void mount_claims_count(struct mount_work *work)
{
    struct claim_counts counts;
    if (!mount_claims_of(work))
        return;
    claims_count(mount_claims_of(work), &counts);
    metrics_set(work->metrics, METRIC_CLAIMS_HELD, counts.held);
    metrics_count_total(work->metrics, METRIC_CLAIMED, counts.claimed);
    metrics_count_total(work->metrics, METRIC_CLAIMS_DONE, counts.done);
    metrics_count_total(work->metrics, METRIC_CLAIMS_FAILED, counts.failed);
    metrics_count_total(work->metrics, METRIC_DEAD_LETTERS, counts.dead);
}

void mount_claims_status(const struct mount_work *work, struct mount_status *status)
{
    struct claim_counts counts;
    if (!mount_claims_of(work))
        return;
    claims_count(mount_claims_of(work), &counts);
    status->has_claims = true;
    status->claims_held = counts.held;
    status->claimers = counts.claimers;
}

void mount_claims_stop(struct mount_work *work)
{
    if (mount_claims_of(work))
        claims_stop(mount_claims_of(work));
}

bool mount_claims_are_free(const struct mount_work *work)
{
    return !mount_claims_of(work) || claims_are_free(mount_claims_of(work));
}

void mount_claims_close(struct mount_work *work)
{
    struct mount_claims *own = work->mount_claims;
    if (!own)
        return;
    if (own->subscriber.wake)
        feed_unsubscribe(&own->subscriber);
    claims_free(own->claims);
    if (own->hurry)
        event_free(own->hurry);
    if (own->look)
        event_free(own->look);
    free(own);
    work->mount_claims = NULL;
}
