#include "sidecar/cache_pins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/clock.h"
#include "lib/fs.h"
#include "sidecar/change_filter.h"

enum {
    RETRY_MS = 3000,
    RETRIES_MAX = 5,
    BUCKETS_MAX = 65536,
    QUIET_MS = 2000,
    FORGET_MIN = 1024,
    KEPT_ADDS = 1024, /* who waited for one before these has asked for its report */
};

enum state { SETTLED, FAILED, QUEUED, ASKED, LATER };

struct entry {
    LIST_ENTRY(entry) same_bucket;
    TAILQ_ENTRY(entry) queue; /* QUEUED or LATER */
    uint64_t hash, size;
    int64_t later_ms;
    uint32_t walk; /* that found it last */
    uint32_t report;
    uint64_t add; /* the last before it was wanted */
    enum state state;
    int error; /* FAILED: why */
    unsigned tries;
    bool is_dir, is_pinned, is_sized;
    bool again; /* something was heard of it while it was asked about */
    char path[];
};

LIST_HEAD(entry_bucket, entry);
TAILQ_HEAD(entry_queue, entry);

struct cache_pins {
    size_t n, max;
    size_t forget_at;
    size_t n_roots;
    char *roots[PINS_ROOTS_MAX];
    struct entry_queue queue, later;
    uint32_t walk, report; /* numbers of the present ones */
    uint64_t add, work;    /* the last one, and the first since nothing was under way */
    bool walking, list_failed;
    int64_t walked_ms, heard_ms;
    size_t n_open_dirs, n_busy; /* QUEUED, ASKED or LATER */
    size_t sweep_bucket;        /* those from here on may have what is gone */
    bool new_version;
    struct cache_pins_progress progress;
    size_t n_buckets;
    struct entry_bucket buckets[];
};

int cache_pins_parse(const char *text, const char *mount, char ret_path[CACHE_PATH_MAX + 1])
{
    size_t mount_length = strlen(mount);
    if (strncmp(text, mount, mount_length) == 0 &&
        (text[mount_length] == '/' || text[mount_length] == '\0'))
        text += mount_length;
    text += strspn(text, "/");
    size_t length = strlen(text);
    if (strcmp(text, "**") == 0)
        length = 0;
    else if (length >= 3 && strcmp(text + length - 3, "/**") == 0)
        length -= 3;
    while (length > 0 && text[length - 1] == '/')
        length--;
    if (length > CACHE_PATH_MAX || memchr(text, '*', length) || memchr(text, '?', length))
        return -EINVAL;
    char path[CACHE_PATH_MAX + 1];
    *(char *)mempcpy(path, text, length) = '\0';
    if (length > 0 && fs_check_relative(path) < 0)
        return -EINVAL;
    memcpy(ret_path, path, length + 1);
    return 0;
}

void cache_pins_check(const struct settings *settings, struct config_report *report)
{
    char path[CACHE_PATH_MAX + 1];
    for (size_t i = 0; i < settings->cache_pin.n; i++)
        if (cache_pins_parse(settings->cache_pin.names[i], "", path) < 0)
            config_error(report,
                         "cache.pin: %s is no directory of a mount; say it as /models/** or, for "
                         "all of it, /**",
                         settings->cache_pin.names[i]);
}

int cache_pins_new(size_t max, struct cache_pins **ret_pins)
{
    size_t n_buckets = max / 4 + 1 < BUCKETS_MAX ? max / 4 + 1 : BUCKETS_MAX;
    struct cache_pins *pins = calloc(1, sizeof(*pins) + n_buckets * sizeof(struct entry_bucket));
    if (!pins)
        return -ENOMEM;
    pins->max = max;
    pins->forget_at = FORGET_MIN;
    pins->n_buckets = pins->sweep_bucket = n_buckets;
    TAILQ_INIT(&pins->queue);
    TAILQ_INIT(&pins->later);
    *ret_pins = pins;
    return 0;
}

void cache_pins_free(struct cache_pins *pins)
{
    if (!pins)
        return;
    for (size_t i = 0; i < pins->n_buckets; i++)
        for (struct entry *entry; (entry = LIST_FIRST(&pins->buckets[i]));) {
            LIST_REMOVE(entry, same_bucket);
            free(entry);
        }
    for (size_t i = 0; i < pins->n_roots; i++)
        free(pins->roots[i]);
    free(pins);
}

/* ---- entries ---- */

static bool is_busy(const struct entry *entry)
{
    return entry->state >= QUEUED;
}

/* The counts of an entry as it is, added or taken away. */
static void count(struct cache_pins *pins, const struct entry *entry, int sign)
{
    struct cache_pins_progress *progress = &pins->progress;
    size_t by = (size_t)sign;
    pins->n_busy += is_busy(entry) ? by : 0;
    if (entry->is_dir) {
        pins->n_open_dirs += is_busy(entry) ? by : 0;
        return;
    }
    progress->files += by;
    progress->done += entry->state == SETTLED ? by : 0;
    progress->failed += entry->state == FAILED ? by : 0;
    if (entry->is_sized) {
        progress->sized += by;
        progress->bytes += by * entry->size;
        progress->done_bytes += entry->state == SETTLED ? by * entry->size : 0;
    }
}

static void become(struct cache_pins *pins, struct entry *entry, enum state state)
{
    if (entry->state == QUEUED)
        TAILQ_REMOVE(&pins->queue, entry, queue);
    else if (entry->state == LATER)
        TAILQ_REMOVE(&pins->later, entry, queue);
    count(pins, entry, -1);
    entry->state = state;
    count(pins, entry, 1);
    if (state == QUEUED && entry->is_dir) /* what there is in all is known early */
        TAILQ_INSERT_HEAD(&pins->queue, entry, queue);
    else if (state == QUEUED)
        TAILQ_INSERT_TAIL(&pins->queue, entry, queue);
    else if (state == LATER) {
        entry->later_ms = clock_now_ms() + RETRY_MS;
        TAILQ_INSERT_TAIL(&pins->later, entry, queue);
    }
    if (is_busy(entry) && pins->progress.began_ms == 0)
        pins->progress.began_ms = clock_now_ms();
}

static struct entry *find(const struct cache_pins *pins, uint64_t hash)
{
    struct entry *entry;
    LIST_FOREACH(entry, &pins->buckets[hash % pins->n_buckets], same_bucket)
    {
        if (entry->hash == hash)
            break;
    }
    return entry;
}

static struct entry *find_path(const struct cache_pins *pins, const char *path)
{
    return find(pins, cache_hash(path, strlen(path)));
}

static void drop(struct cache_pins *pins, struct entry *entry)
{
    become(pins, entry, SETTLED);
    count(pins, entry, -1);
    LIST_REMOVE(entry, same_bucket);
    pins->n--;
    free(entry);
}

/* What was only warmed, and before that. */
static void forget(struct cache_pins *pins, uint64_t add)
{
    for (size_t i = 0; i < pins->n_buckets; i++) {
        struct entry *entry = LIST_FIRST(&pins->buckets[i]), *next;
        for (; entry; entry = next) {
            next = LIST_NEXT(entry, same_bucket);
            if (!entry->is_pinned && !is_busy(entry) && entry->add < add)
                drop(pins, entry);
        }
    }
    pins->forget_at = pins->n < FORGET_MIN / 2 ? FORGET_MIN : 2 * pins->n;
}

/* SETTLED, when it is new. */
static struct entry *make(struct cache_pins *pins, const char *path, bool is_dir)
{
    struct entry *entry = find_path(pins, path);
    size_t length = strlen(path);
    if (entry && entry->is_dir != is_dir) {
        count(pins, entry, -1);
        entry->is_dir = is_dir;
        count(pins, entry, 1);
    }
    if (entry)
        return entry;
    if (pins->n == pins->max && !pins->progress.over)
        forget(pins, pins->work);
    entry = pins->n < pins->max ? calloc(1, sizeof(*entry) + length + 1) : NULL;
    if (!entry) {
        pins->progress.over = true;
        return NULL;
    }
    entry->hash = cache_hash(path, length);
    entry->is_dir = is_dir;
    memcpy(entry->path, path, length + 1);
    LIST_INSERT_HEAD(&pins->buckets[entry->hash % pins->n_buckets], entry, same_bucket);
    pins->n++;
    count(pins, entry, 1);
    return entry;
}

static void want(struct cache_pins *pins, const char *path, bool is_dir, bool pinned)
{
    struct entry *entry = make(pins, path, is_dir);
    if (!entry)
        return;
    entry->walk = pins->walk;
    entry->add = pins->add;
    entry->is_pinned |= pinned;
    if (entry->state == ASKED)
        entry->again = true;
    else if (entry->state != QUEUED)
        become(pins, entry, QUEUED);
}

/* ---- what is pinned ---- */

bool cache_pins_has(const struct cache_pins *pins, const char *path)
{
    for (size_t i = 0; i < pins->n_roots; i++)
        if (change_path_under(path, pins->roots[i]))
            return true;
    return false;
}

int cache_pins_add(struct cache_pins *pins, const char *path, bool pinned)
{
    if (pinned && !cache_pins_has(pins, path)) {
        char *root = pins->n_roots < PINS_ROOTS_MAX ? strdup(path) : NULL;
        if (!root)
            return -ENOSPC;
        pins->roots[pins->n_roots++] = root;
    }
    pins->add++;
    if (pins->n_busy == 0) {
        pins->work = pins->add;
        pins->progress.over = false;
    }
    if (pins->n >= pins->forget_at && pins->add > KEPT_ADDS)
        forget(pins, pins->add - KEPT_ADDS);
    want(pins, path, true, pinned);
    return 0;
}

void cache_pins_walk(struct cache_pins *pins)
{
    if (pins->n_roots == 0)
        return;
    pins->walk++;
    pins->walking = true;
    pins->sweep_bucket = pins->n_buckets; /* all are found anew */
    pins->list_failed = pins->progress.over = false;
    pins->progress.walked = false;
    pins->walked_ms = clock_now_ms();
    for (size_t i = 0; i < pins->n_roots; i++)
        want(pins, pins->roots[i], true, true);
}

/* ---- what is asked ---- */

bool cache_pins_next(struct cache_pins *pins, const char **ret_path, bool *ret_is_dir)
{
    struct entry *entry = TAILQ_FIRST(&pins->queue);
    if (!entry)
        return false;
    become(pins, entry, ASKED);
    entry->again = false;
    *ret_path = entry->path;
    *ret_is_dir = entry->is_dir;
    return true;
}

void cache_pins_put_back(struct cache_pins *pins, const char *path)
{
    become(pins, find_path(pins, path), LATER);
}

/* ---- what came of it ---- */

static void found_one(struct cache_pins *pins, const char *dir, const char *name, bool pinned)
{
    char path[CACHE_PATH_MAX + 1];
    size_t length = strlen(dir);
    if (length + 1 + strlen(name + 1) > CACHE_PATH_MAX)
        return;
    char *end = mempcpy(path, dir, length);
    if (length > 0)
        *end++ = '/';
    memcpy(end, name + 1, strlen(name));
    want(pins, path, *name == 'd', pinned);
}

void cache_pins_found(struct cache_pins *pins, const char *dir, const char *names, size_t bytes)
{
    struct entry *entry = find_path(pins, dir);
    bool pinned = entry && entry->is_pinned;
    for (const char *name = names; name < names + bytes; name += strlen(name) + 1)
        found_one(pins, dir, name, pinned);
}

void cache_pins_sized(struct cache_pins *pins, uint64_t hash, uint64_t size)
{
    struct entry *entry = find(pins, hash);
    if (!entry || entry->is_dir)
        return;
    count(pins, entry, -1);
    entry->is_sized = true;
    entry->size = size;
    count(pins, entry, 1);
}

static void failed(struct cache_pins *pins, struct entry *entry, int result)
{
    if (entry->is_dir && result != -ENOENT)
        pins->list_failed = true;
    entry->error = -result;
    bool may_pass = result == -ESTALE || result == -EIO || result == -EAGAIN;
    if (may_pass && ++entry->tries < RETRIES_MAX)
        become(pins, entry, LATER);
    else if (result == -ENOENT && !entry->is_dir)
        drop(pins, entry);
    else
        become(pins, entry, FAILED);
}

static void end_walk(struct cache_pins *pins)
{
    pins->progress.walked = true;
    if (pins->walking && !pins->list_failed)
        pins->sweep_bucket = 0;
    pins->walking = false;
}

void cache_pins_done(struct cache_pins *pins, uint64_t hash, int result)
{
    struct entry *entry = find(pins, hash);
    if (!entry || entry->state != ASKED)
        return;
    if (!entry->is_dir && entry->is_pinned)
        pins->new_version = true;
    if (entry->again)
        become(pins, entry, QUEUED);
    else if (result == -EMEDIUMTYPE && !entry->is_dir) { /* a directory, after all */
        become(pins, entry, SETTLED);
        want(pins, entry->path, true, entry->is_pinned);
    } else if (result == -ENOTDIR && entry->is_dir) {
        become(pins, entry, SETTLED);
        want(pins, entry->path, false, entry->is_pinned);
    } else if (result < 0)
        failed(pins, entry, result);
    else {
        entry->tries = 0;
        become(pins, entry, SETTLED);
    }
    if (pins->n_open_dirs == 0 && !pins->progress.walked)
        end_walk(pins);
    if (pins->n_busy == 0 && pins->progress.began_ms) {
        pins->progress.took_ms = clock_now_ms() - pins->progress.began_ms;
        pins->progress.began_ms = 0;
    }
}

/* ---- what is heard ---- */

void cache_pins_changed(struct cache_pins *pins, const char *path, bool is_dir)
{
    if (!cache_pins_has(pins, path))
        return;
    pins->heard_ms = clock_now_ms();
    want(pins, path, is_dir, true);
}

void cache_pins_gone(struct cache_pins *pins, const char *path)
{
    struct entry *entry = find_path(pins, path);
    if (!cache_pins_has(pins, path))
        return;
    pins->heard_ms = clock_now_ms();
    pins->new_version = true;
    if (entry && !entry->is_dir && entry->state != ASKED)
        drop(pins, entry);
    else if (entry && entry->is_dir) /* what was below it */
        cache_pins_walk(pins);
}

/* The next that the last walk did not find, in one of the buckets not yet looked at. */
static struct entry *next_gone(struct cache_pins *pins)
{
    for (; pins->sweep_bucket < pins->n_buckets; pins->sweep_bucket++) {
        struct entry *entry;
        LIST_FOREACH(entry, &pins->buckets[pins->sweep_bucket], same_bucket)
        {
            if (entry->walk != pins->walk && !is_busy(entry) &&
                (entry->is_pinned || entry->add < pins->work))
                return entry;
        }
    }
    return NULL;
}

bool cache_pins_take_gone(struct cache_pins *pins, char *path)
{
    for (struct entry *entry; (entry = next_gone(pins)); drop(pins, entry)) {
        if (entry->is_dir || !entry->is_pinned)
            continue;
        memcpy(path, entry->path, strlen(entry->path) + 1);
        pins->new_version = true;
        drop(pins, entry);
        return true;
    }
    return false;
}

void cache_pins_turn(struct cache_pins *pins)
{
    int64_t now_ms = clock_now_ms();
    struct entry *entry;
    if (pins->n_roots > 0 && now_ms - pins->walked_ms >= PINS_WALK_MS)
        cache_pins_walk(pins);
    while ((entry = TAILQ_FIRST(&pins->later)) && entry->later_ms <= now_ms)
        become(pins, entry, QUEUED);
}

bool cache_pins_take_version(struct cache_pins *pins)
{
    bool is_quiet = clock_now_ms() - pins->heard_ms >= QUIET_MS;
    if (!pins->new_version || !pins->progress.walked || pins->n_busy > 0 || !is_quiet)
        return false;
    pins->new_version = false;
    return true;
}

/* ---- what came of it, told ---- */

void cache_pins_report_on(struct cache_pins *pins, const char *path)
{
    struct entry *entry = find_path(pins, path);
    if (entry)
        entry->report = pins->report + 1;
}

static bool is_reported(const struct cache_pins *pins, const char *path, size_t length)
{
    const struct entry *entry = find(pins, cache_hash(path, length));
    return entry && entry->report == pins->report;
}

/* Is it, or a directory above it, one of the paths? */
static bool is_below_reported(const struct cache_pins *pins, const struct entry *entry)
{
    bool is = entry->report == pins->report || is_reported(pins, "", 0);
    for (const char *end = entry->path; !is && (end = strchr(end, '/')); end++)
        is = is_reported(pins, entry->path, (size_t)(end - entry->path));
    return is;
}

static void report_one(const struct cache_pins *pins, const struct entry *entry,
                       struct cache_pins_report *report)
{
    report->files += !entry->is_dir;
    report->copies += !entry->is_dir && entry->state == SETTLED;
    report->pending += is_busy(entry);
    if (entry->state != FAILED)
        return;
    report->failed_files += !entry->is_dir;
    report->failed[cache_failure_of(-entry->error)]++;
    report->refused += entry->report == pins->report;
    if (report->first_error)
        return;
    report->first_error = entry->error;
    memcpy(report->first, entry->path, strlen(entry->path) + 1);
}

void cache_pins_report(struct cache_pins *pins, struct cache_pins_report *ret_report)
{
    struct cache_pins_report report = {0};
    struct entry *entry;
    pins->report++;
    for (size_t i = 0; i < pins->n_buckets; i++)
        LIST_FOREACH(entry, &pins->buckets[i], same_bucket)
        {
            if (is_below_reported(pins, entry))
                report_one(pins, entry, &report);
        }
    *ret_report = report;
}

void cache_pins_progress(const struct cache_pins *pins, struct cache_pins_progress *ret_progress)
{
    *ret_progress = pins->progress;
    ret_progress->complete = pins->n_busy == 0;
}
