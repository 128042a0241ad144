#include "shim/hit.h"

#include "shim/count.h"
#include "shim/origin.h"
#include "shim/sys.h"

/* The kernel's O_LARGEFILE, which libc calls 0 where all files are large. */
#if defined(__x86_64__)
#define FLAG_LARGEFILE 0100000
#elif defined(__aarch64__)
#define FLAG_LARGEFILE 0400000
#else
#define FLAG_LARGEFILE O_LARGEFILE
#endif

/* What may be asked of a copy; anything else is for EFS to answer. */
enum { FLAGS = O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK | FLAG_LARGEFILE };

static enum hit_policy policy; /* atomic */

void hit_configure(enum hit_policy wanted)
{
    cache_store(&policy, wanted);
}

/* Asks EFS for what the application would open, links and all, if it is still what was copied. */
static bool is_unchanged(const struct hit *hit, int dir_fd, const char *path)
{
    struct sys_stat st;
    const struct cache_look *look = &hit->look;
    return sys_statx(dir_fd, path, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, &st) == 0 &&
           S_ISREG(st.mode) && st.inode == look->inode && st.size_bytes == look->size_bytes &&
           st.mtime_ns == look->mtime_ns && st.ctime_ns == look->ctime_ns &&
           st.dev == hit->where.mapping->dev;
}

static char *append(char *to, const char *text, size_t length)
{
    *to++ = '/';
    memcpy(to, text, length);
    return to + length;
}

static void name_copy(struct hit *hit)
{
    const char *dir = view_dir();
    size_t n = strlen(dir);
    char *end = hit->copy + n;
    memcpy(hit->copy, dir, n);
    if (hit->look.mode == CACHE_VALIDATE)
        end = append(end, CACHE_VALIDATE_DIR, sizeof(CACHE_VALIDATE_DIR) - 1);
    end = append(end, hit->where.mount->is.name, hit->where.mount->is.name_length);
    end = append(end, hit->where.path, hit->where.length);
    *end = '\0';
}

/* Empty files are not served: they are what programs lock, and reading them gains nothing. */
static enum cache_count judge(struct hit *hit, int dir_fd, const char *path)
{
    const struct cache_view *view = &hit->where.mapping->view;
    switch (cache_look(view, hit->where.hash, &hit->look)) {
    case CACHE_FOUND:
        break;
    case CACHE_MARKED:
        return CACHE_MARKED_COUNT;
    case CACHE_ABSENT:
    case CACHE_RETIRED:
        return CACHE_ABSENT_COUNT;
    }
    if (hit->look.size_bytes == 0)
        return CACHE_UNUSUAL_COUNT;
    if (hit->look.mode == CACHE_VALIDATE && !is_unchanged(hit, dir_fd, path))
        return CACHE_CHANGED_COUNT;
    return CACHE_HITS;
}

bool hit_begin(struct hit *hit, int dir_fd, const char *path, int flags)
{
    _keep_errno_;
    hit->wanted = false;
    if (cache_load(&policy) == HIT_NEVER || (flags & O_ACCMODE) != O_RDONLY ||
        (flags & (O_CREAT | O_TRUNC | O_DIRECTORY | O_PATH)) != 0)
        return false;
    struct shim_view *view = view_get(false);
    if (!view || !where_named(view, dir_fd, path, false, &hit->where) ||
        !view_is_its_mount(hit->where.mount, hit->where.mapping))
        return false;
    if (cache_load(&hit->where.mapping->view.map->retired) != 0) {
        view_retire(view);
        return false;
    }
    enum cache_count answer =
        (flags & ~FLAGS) == 0 ? judge(hit, dir_fd, path) : CACHE_UNUSUAL_COUNT;
    if (answer != CACHE_HITS) {
        count(hit->where.mapping, answer);
        hit->wanted = answer != CACHE_UNUSUAL_COUNT;
        return false;
    }
    name_copy(hit);
    return true;
}

static bool is_fresh(const struct cache_look *look)
{
    return look->fresh_until_ms == CACHE_FOREVER ||
           cache_is_fresh(look, sys_clock_ms(CLOCK_BOOTTIME));
}

/* This cache keeps no origins: the process does without it. */
static bool is_told_apart(int fd)
{
    if (cache_load(&policy) == HIT_ALWAYS || origin_is_known(fd))
        return false;
    hit_configure(HIT_NEVER);
    return true;
}

bool hit_end(struct hit *hit, int fd)
{
    _keep_errno_;
    const struct cache_view *view = &hit->where.mapping->view;
    enum cache_count answer = CACHE_HITS;
    if (fd < 0)
        answer = CACHE_NO_COPY_COUNT;
    else if (is_told_apart(fd))
        answer = CACHE_UNUSUAL_COUNT;
    else if (!cache_look_again(view, hit->where.hash, &hit->look))
        answer = CACHE_RACED_COUNT;
    else if (!is_fresh(&hit->look))
        answer = CACHE_EXPIRED_COUNT;
    count(hit->where.mapping, answer);
    hit->wanted = answer != CACHE_HITS && answer != CACHE_UNUSUAL_COUNT;
    if (answer == CACHE_HITS)
        cache_visit(view, hit->look.slot);
    return answer == CACHE_HITS;
}

void hit_missed(struct hit *hit, bool opened)
{
    if (hit->wanted && opened)
        cache_miss_push(hit->where.mapping->view.app, hit->where.path, hit->where.length,
                        hit->where.hash);
}
