#include "sidecar/watch_verdict.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/error.h"
#include "lib/log.h"
#include "lib/text.h"
#include "sidecar/spawn.h"

void watch_verdict_ready(struct conditions *conditions, const struct watch_status *child,
                         bool lacks_slot)
{
    if (lacks_slot)
        conditions_set(conditions, CONDITION_FEED_READY, CONDITION_FALSE, "NotAnnounced",
                       "%u %s watched, but the other tasks do not learn of changes that are seen "
                       "here: this task has no slot on the board, LocksReady says why",
                       child->directories,
                       text_plural(child->directories, "directory is", "directories are"));
    else if (child->feed.announce_error)
        conditions_set(conditions, CONDITION_FEED_READY, CONDITION_FALSE, "AnnounceFailed",
                       "%u changes that are seen here cannot be written to this task's journal, so "
                       "the other tasks do not learn of them: %s. It is tried again",
                       child->feed.announce_pending, strerror((int)child->feed.announce_error));
    else if (child->blind > 0)
        conditions_set(conditions, CONDITION_FEED_READY, CONDITION_FALSE, "PartlyBlind",
                       "%u directories are not watched, the first is \"%s\": %s. Raise "
                       "watch.max_dirs or fs.inotify.max_user_watches, or name fewer directories "
                       "in watch.paths",
                       child->blind, child->listed ? child->blinds[0].path : "",
                       child->listed ? error_name(child->blinds[0].code) : "");
    else
        conditions_set(conditions, CONDITION_FEED_READY, CONDITION_TRUE, "Watching",
                       "%u %s watched, %u other %s heard", child->directories,
                       text_plural(child->directories, "directory is", "directories are"),
                       child->feed.peers, text_plural(child->feed.peers, "task is", "tasks are"));
}

/* "was ended by signal 11 (Segmentation fault): it said \"...\"" */
static void say_how(const struct watch_end *end, char how[WATCH_HOW_SIZE])
{
    int code = WIFEXITED(end->status) ? WEXITSTATUS(end->status) : 0;
    const char *words = end->last_words;
    size_t n;
    if (end->was_silent)
        n = (size_t)snprintf(how, WATCH_HOW_SIZE, "did not answer and was killed");
    else if (WIFSIGNALED(end->status))
        n = (size_t)snprintf(how, WATCH_HOW_SIZE, "was ended by signal %d (%s)",
                             WTERMSIG(end->status), strsignal(WTERMSIG(end->status)));
    else if (code == SPAWN_NOT_FOUND)
        n = (size_t)snprintf(how, WATCH_HOW_SIZE,
                             "cannot be executed; it belongs beside efs-sidecar or in $PATH");
    else
        n = (size_t)snprintf(how, WATCH_HOW_SIZE, "ended with code %d", code);
    if (*words && n < WATCH_HOW_SIZE)
        snprintf(how + n, WATCH_HOW_SIZE - n, ". It said \"%s\"", words);
}

void watch_verdict_ended(struct conditions *conditions, const struct watch_end *end,
                         char ret_how[WATCH_HOW_SIZE])
{
    bool fails = end->in_a_row >= WATCH_ENDS_FAILING;
    say_how(end, ret_how);
    log_warn("efs-watch on %s %s", end->path, ret_how);
    conditions_set(conditions, CONDITION_FEED_READY, CONDITION_FALSE,
                   fails ? "WatcherFailing" : "WatcherRestarting",
                   "efs-watch ended %u %s in a row: it %s. It is started again after %lld s, and "
                   "readers of changes get a resync then. Locks, claims and publishing go on",
                   end->in_a_row, text_plural(end->in_a_row, "time", "times"), ret_how,
                   (long long)((end->pause_ms + 999) / 1000));
}

void watch_verdict_failing(struct conditions *conditions, unsigned in_a_row, const char *how)
{
    conditions_set(
        conditions, CONDITION_FEED_READY, CONDITION_FALSE, "WatcherFailing",
        "efs-watch runs, but it ended %u times in a row, the last time it %s. This "
        "becomes True when it has lived for a while; until then changes may be late, and "
        "come with a resync for each end",
        in_a_row, how);
}
