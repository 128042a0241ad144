#include "sidecar/reaper_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/share/layout.h"

static struct reaper_task *find_task(struct reaper *reaper, const char *name, bool aside)
{
    for (unsigned i = 0; i < reaper->n_tasks; i++)
        if (reaper->tasks[i]->aside == aside && strcmp(reaper->tasks[i]->name, name) == 0)
            return reaper->tasks[i];
    return NULL;
}

static int note_task(struct reaper *reaper, const char *name, bool aside)
{
    struct reaper_task *task = find_task(reaper, name, aside);
    if (!task && reaper->n_tasks < REAPER_TASKS) {
        if (reaper->n_tasks % REAPER_GROW == 0) {
            void *more = reallocarray(reaper->tasks, reaper->n_tasks + REAPER_GROW, sizeof(void *));
            if (!more)
                return -ENOMEM;
            reaper->tasks = more;
        }
        size_t length = strlen(name) + 1;
        task = calloc(1, sizeof(*task) + length);
        if (!task)
            return -ENOMEM;
        memcpy(task->name, name, length);
        task->aside = aside;
        reaper->tasks[reaper->n_tasks++] = task;
    }
    if (task)
        task->round = reaper->round;
    return 0;
}

static void forget(struct reaper *reaper, unsigned i)
{
    free(reaper->tasks[i]);
    reaper->tasks[i] = reaper->tasks[--reaper->n_tasks];
}

static void forget_unlisted(struct reaper *reaper)
{
    for (unsigned i = reaper->n_tasks; i-- > 0;)
        if (reaper->tasks[i]->round != reaper->round)
            forget(reaper, i);
}

/* Names with a dot in front are no tasks'. */
static bool is_task(const struct reaper *reaper, const struct dirent *entry)
{
    return entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) &&
           strcmp(entry->d_name, reaper->place->settings->task_name) != 0;
}

static int list(struct reaper *reaper, const char *path, bool aside, bool *ret_has_orphans)
{
    int listing = -1;
    int r =
        fs_open_beneath(reaper->tasks_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &listing);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    _cleanup_closedir_ DIR *dir = fdopendir(listing);
    if (!dir) {
        close(listing);
        return -ENOMEM;
    }
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
        if (!aside && strcmp(entry->d_name, LAYOUT_ORPHANS) == 0)
            *ret_has_orphans = true;
        else if (is_task(reaper, entry))
            r = note_task(reaper, entry->d_name, aside);
    }
    return r;
}

static bool has_aside(const struct reaper *reaper)
{
    for (unsigned i = 0; i < reaper->n_tasks; i++)
        if (reaper->tasks[i]->aside)
            return true;
    return false;
}

/* Whoever makes a directory there joins, and is announced: then what this client knows of it is
 * new. */
static bool must_ask(const struct reaper *reaper)
{
    int64_t now_ms = clock_now_ms();
    return reaper->synced_ms == 0 || now_ms >= reaper->synced_ms + REAPER_SYNC_MS ||
           now_ms < reaper->members_moved_ms + REAPER_SETTLE_MS || has_aside(reaper);
}

int reaper_list(struct reaper *reaper)
{
    struct statx now;
    bool has_orphans = false, asks = must_ask(reaper);
    if (statx(reaper->tasks_fd, "",
              AT_EMPTY_PATH | (asks ? AT_STATX_FORCE_SYNC : AT_STATX_DONT_SYNC),
              STATX_MTIME | STATX_CTIME | STATX_NLINK, &now) < 0)
        return -errno;
    if (asks)
        reaper->synced_ms = clock_now_ms();
    if (now.stx_nlink == 0)
        return -ESTALE;
    bool moved = memcmp(&now.stx_mtime, &reaper->listed_mtime, sizeof(now.stx_mtime)) != 0 ||
                 memcmp(&now.stx_ctime, &reaper->listed_ctime, sizeof(now.stx_ctime)) != 0;
    if (!moved && !reaper->list_again && !has_aside(reaper))
        return 0;
    reaper->round++;
    int r = list(reaper, ".", false, &has_orphans);
    if (r == 0 && has_orphans)
        r = list(reaper, LAYOUT_ORPHANS, true, &has_orphans);
    if (r < 0)
        return r;
    forget_unlisted(reaper);
    if (has_orphans && !has_aside(reaper)) /* left by one that was killed */
        unlinkat(reaper->tasks_fd, LAYOUT_ORPHANS, AT_REMOVEDIR);
    reaper->list_again = moved;
    reaper->listed_mtime = now.stx_mtime;
    reaper->listed_ctime = now.stx_ctime;
    return 0;
}
