/*
 * reactions: what the setting on_change asks for: a request or a signal within this task when files
 * change, such as "reload your configuration".
 *
 *     reactions_check(settings, report);                      // all wrong entries at once
 *     reactions_open(&(struct reactions_options){...}, &reactions, &err);
 *     reactions_close(reactions);                             // before the mounts
 *
 * A rule is carried out when changes that concern it have come and then none for on_change_debounce
 * (ten times that at most), one at a time. What fails and may work later is tried again with
 * back-off, TRIES times; then it waits for the next change. A resync concerns every rule that could
 * match something under it. When the sidecar was restarted in a running task, nobody knows what
 * changed meanwhile: each rule is carried out once, as soon as its mount is watched.
 *
 * Results are the metrics Reactions and ReactionsFailed, and lines of the log. Nothing here waits.
 * Threads: the loop's.
 */
#ifndef SIDECAR_REACTIONS_H
#define SIDECAR_REACTIONS_H

#include <event2/event.h>

#include "lib/error.h"
#include "lib/settings.h"
#include "sidecar/metrics.h"
#include "sidecar/mounts.h"

struct reactions;

struct reactions_options {
    struct event_base *base;
    const struct settings *settings;
    struct mounts *mounts;
    struct metrics *metrics;
};

void reactions_check(const struct settings *settings, struct config_report *report);

/* *ret_reactions is NULL when there are no rules. */
int reactions_open(const struct reactions_options *options, struct reactions **ret_reactions,
                   struct error *err);
void reactions_close(struct reactions *all); /* NULL is fine */

#endif
