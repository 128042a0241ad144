#include "sidecar/claim_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/glob.h"
#include "lib/share/layout.h"

enum {
    REST_FIRST_MS = 1000,
    REST_MOST_MS = 60 * 1000,
    EMPTY_FOR_MS = 60 * 1000, /* then whoever made it is not about to fill it */
    SLOW_US = 300,            /* the server was asked */
    SLOW_IN_A_ROW = 8,
    SLOW_MAX = 256,
};

/* How long an item rests after so many failures. */
static int64_t rest_of_ms(unsigned attempts)
{
    int64_t rest_ms = REST_FIRST_MS;
    for (unsigned i = 1; i < attempts && rest_ms < REST_MOST_MS; i++)
        rest_ms *= 2;
    if (attempts == 0)
        return 0;
    return rest_ms < REST_MOST_MS ? rest_ms : REST_MOST_MS;
}

static int64_t nanoseconds(const struct statx_timestamp *time)
{
    return time->tv_sec * INT64_C(1000000000) + time->tv_nsec;
}

/* Found by READDIRPLUS a moment ago: the client answers from memory. But where others change the
 * directory meanwhile it asks the server for each name: then the rest has to do without. */
static int find_mtime(struct claim_listing *listing, int dir_fd, const char *name,
                      int64_t *ret_mtime_ns)
{
    struct statx now;
    if (listing->slow_in_a_row >= SLOW_IN_A_ROW || listing->slow >= SLOW_MAX)
        return -EAGAIN;
    int64_t began_us = clock_now_us();
    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MTIME,
              &now) < 0)
        return -errno;
    bool slow = clock_now_us() - began_us >= SLOW_US;
    listing->slow += slow;
    listing->slow_in_a_row = slow ? listing->slow_in_a_row + 1 : 0;
    if (!S_ISREG(now.stx_mode))
        return -EINVAL;
    *ret_mtime_ns = nanoseconds(&now.stx_mtime);
    return 0;
}

/* Of what has no known age: behind all others, in the server's order, from where this listing
 * starts. */
static int64_t rank(const struct claim_listing *listing)
{
    const int64_t behind = INT64_MAX - 2 * CLAIM_LIST_NAMES_MAX;
    int64_t i = listing->names - (int64_t)listing->start;
    return behind + (i >= 0 ? i : i + CLAIM_LIST_NAMES_MAX);
}

static int add_item(struct claim_listing *listing, int dir_fd, const char *prefix,
                    const struct dirent *entry, unsigned attempts)
{
    char path[CLAIM_DIR_TEXT + NAME_MAX + 16];
    int64_t mtime_ns = rank(listing);
    const char *name = entry->d_name;
    bool may_be = entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;
    if (!may_be || !claim_file_is_item(name) ||
        (*listing->match && !glob_matches(listing->match, name)))
        return 0;
    int r = find_mtime(listing, dir_fd, name, &mtime_ns);
    if (r < 0 && (r != -EAGAIN || entry->d_type == DT_UNKNOWN))
        return 0;
    snprintf(path, sizeof(path), "%s%s", prefix, name);
    return claim_window_add(&listing->window, path, mtime_ns, attempts);
}

static int open_stream(int at_fd, const char *name, DIR **ret_stream)
{
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    if (r < 0)
        return r;
    *ret_stream = fdopendir(fd);
    if (!*ret_stream)
        return -errno;
    take_fd(&fd);
    return 0;
}

/* ---- what was given back ---- */

/* Since when has it been there, as far as was seen from here? -ENOSPC: too many are watched. */
static int note_resting(struct claim_resting *resting, const char *name, int64_t now_ms,
                        int64_t *ret_since_ms)
{
    size_t i = 0;
    while (i < resting->n && strcmp(resting->of[i].name, name) != 0)
        i++;
    size_t size = strlen(name) + 1;
    if (i == CLAIM_RESTING_MAX || size > CLAIM_DIR_TEXT)
        return -ENOSPC;
    if (i == resting->n) {
        memcpy(resting->of[i].name, name, size);
        resting->of[i].since_ms = now_ms;
        resting->n++;
    }
    resting->of[i].seen = true;
    *ret_since_ms = resting->of[i].since_ms;
    return 0;
}

static void forget_unseen(struct claim_resting *resting)
{
    size_t kept = 0;
    for (size_t i = 0; i < resting->n; i++) {
        if (!resting->of[i].seen)
            continue;
        resting->of[kept] = resting->of[i];
        resting->of[kept++].seen = false;
    }
    resting->n = kept;
}

static int add_rested(struct claim_listing *listing, int retry_fd, const char *name,
                      unsigned attempts, int64_t age_ms)
{
    _cleanup_closedir_ DIR *stream = NULL;
    char prefix[CLAIM_DIR_TEXT + 16];
    bool empty = true;
    int r = open_stream(retry_fd, name, &stream);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    snprintf(prefix, sizeof(prefix), LAYOUT_RETRY "/%.*s/", CLAIM_DIR_TEXT - 1, name);
    for (struct dirent *entry; r == 0 && (errno = 0, (entry = readdir(stream)));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        empty = false;
        r = add_item(listing, dirfd(stream), prefix, entry, attempts);
    }
    if (empty && age_ms >= EMPTY_FOR_MS)
        unlinkat(retry_fd, name, AT_REMOVEDIR);
    return r;
}

static int list_retry(struct claim_listing *listing, int queue_fd)
{
    _cleanup_closedir_ DIR *stream = NULL;
    int r = open_stream(queue_fd, LAYOUT_RETRY, &stream);
    if (r == -ENOENT)
        listing->resting.n = 0;
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    int64_t now_ms = clock_now_ms();
    for (struct dirent *entry; r == 0 && (errno = 0, (entry = readdir(stream)));) {
        unsigned attempts;
        int64_t since_ms;
        const char *name = entry->d_name;
        if (claim_file_parse_retry(name, &attempts) < 0 ||
            note_resting(&listing->resting, name, now_ms, &since_ms) < 0)
            continue;
        int64_t due_ms = since_ms + rest_of_ms(attempts);
        if (now_ms >= due_ms)
            r = add_rested(listing, dirfd(stream), name, attempts, now_ms - since_ms);
        else if (due_ms < listing->retry_ms)
            listing->retry_ms = due_ms;
    }
    forget_unseen(&listing->resting);
    return r < 0 ? r : -errno;
}

/* ---- */

static int list_items(struct claim_listing *listing, int queue_fd)
{
    _cleanup_closedir_ DIR *stream = NULL;
    int r = open_stream(queue_fd, ".", &stream);
    if (r < 0)
        return r;
    /* One name at a time with its attributes: that keeps the client asking for both. */
    for (struct dirent *entry; r == 0 && listing->names < CLAIM_LIST_NAMES_MAX;) {
        errno = 0;
        entry = readdir(stream);
        if (!entry)
            return -errno;
        listing->names++;
        r = add_item(listing, dirfd(stream), "", entry, 0);
    }
    return r;
}

int claim_list(struct claim_listing *listing, struct error *err)
{
    _cleanup_close_ int queue_fd = -1;
    uint32_t noise = 0;
    if (listing->names > 0 && getrandom(&noise, sizeof(noise), GRND_NONBLOCK) > 0)
        listing->start = noise % listing->names;
    listing->names = listing->slow = listing->slow_in_a_row = 0;
    listing->retry_ms = CLOCK_NEVER;
    int r = claim_file_open_queue(listing->place, listing->queue, false, &queue_fd, err);
    if (r < 0)
        return r;
    r = list_retry(listing, queue_fd);
    if (r == 0)
        r = list_items(listing, queue_fd);
    if (r < 0)
        error_set_errno(err, -r, "the directory %s on %s cannot be read", listing->queue,
                        listing->place->path);
    return r;
}
