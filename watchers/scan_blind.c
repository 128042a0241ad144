#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "watchers/scan.h"

enum { BLIND_RETRY_MS = 60 * 1000, BLIND_RECOUNT_MS = 10 * 1000 };

const char *scan_cause(int code)
{
    switch (code) {
    case ENOSPC:
        return "this user's fs.inotify.max_user_watches are used up; raise it with sysctl on the "
               "host, or watch less: watch.paths, watch.exclude";
    case EDQUOT:
        return "watch.max_dirs directories are watched already; raise it, or watch less: "
               "watch.paths, watch.exclude";
    case EXDEV:
        return "another file system is mounted there; give it a watcher of its own";
    case ENAMETOOLONG:
        return "its path has more than 4095 bytes";
    default:
        return strerror(code);
    }
}

/* What lies at name in dir is not watched: say so in the log, in the status and in the feed. */
int scan_note_blind(struct tracker *t, struct dir *dir, const char *name, int code)
{
    struct blind *b = &t->blind;
    char buffer[CHANGE_PATH_MAX + 1];
    const char *path = wd_table_path(dir, name, buffer);
    if (!path)
        path = wd_table_path(dir, "", buffer);
    dir->blind = true;
    b->total++;
    if (code != EACCES && code != EPERM && code != EXDEV && code != ENAMETOOLONG)
        b->retryable++;
    if (t->blind_logged < WATCH_BLIND_LISTED) {
        t->blind_logged++;
        log_warn("%s/%s is not watched: %s%s", t->options->root, path, scan_cause(code),
                 t->blind_logged == WATCH_BLIND_LISTED
                     ? " (no more of these are logged; the status counts them)"
                     : "");
    }
    if (b->listed < WATCH_BLIND_LISTED) {
        b->codes[b->listed] = code;
        strncpy(b->paths[b->listed], path, WATCH_BLIND_PATH_MAX);
        b->listed++;
    }
    return tracker_resync(t, dir, name, CHANGE_REASON_BLIND);
}

static void retry_below(struct tracker *t, struct dir *dir)
{
    struct dir *child;
    if (dir->blind) {
        dir->blind = false;
        dir->retry = true;
        scan_enqueue(t, dir);
    }
    LIST_FOREACH(child, &dir->children, sibling)
    retry_below(t, child);
}

int64_t scan_retry_ms(const struct tracker *t)
{
    if (t->blind.total == 0)
        return CLOCK_NEVER;
    return t->retry_ms + (t->blind.stale ? BLIND_RECOUNT_MS : BLIND_RETRY_MS);
}

void scan_retry(struct tracker *t, int64_t now_ms)
{
    if (t->blind.total == 0 || now_ms < scan_retry_ms(t))
        return;
    t->retry_ms = now_ms;
    bool hope = t->blind.retryable > 0 && t->dirs.count < t->options->max_dirs &&
                inotify_source_has_room(&t->source);
    if (!hope && !t->blind.stale)
        return;
    t->blind = (struct blind){0};
    retry_below(t, t->dirs.root);
}
