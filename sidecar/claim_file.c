#include "sidecar/claim_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/parse.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"

#define QUEUE_SUFFIX "queue"

enum { DIR_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW, GIVE_BACK_TRIES = 3 };

/* ---- names ---- */

const char *claim_file_owner_name(const struct owner *owner, char buf[CLAIM_DIR_TEXT])
{
    snprintf(buf, CLAIM_DIR_TEXT, "%u-%" PRIu32, owner->slot, owner->epoch);
    return buf;
}

const char *claim_file_part_name(const struct claim_part *part, char buf[CLAIM_DIR_TEXT])
{
    snprintf(buf, CLAIM_DIR_TEXT, "%" PRIu64 ".%u", part->k, part->attempts);
    return buf;
}

/* A number up to the separator; the rest. */
static int parse_head(const char *name, char separator, int64_t max, int64_t *ret_number,
                      const char **ret_rest)
{
    char head[CLAIM_DIR_TEXT];
    const char *end = strchr(name, separator);
    if (!end || end == name || (size_t)(end - name) >= sizeof(head))
        return -EINVAL;
    memcpy(head, name, (size_t)(end - name));
    head[end - name] = '\0';
    *ret_rest = end + 1;
    return parse_i64(head, 0, max, ret_number);
}

int claim_file_parse_owner(const char *name, struct owner *owner)
{
    int64_t slot = 0, epoch = 0;
    const char *rest = "";
    int r = parse_head(name, '-', UINT16_MAX, &slot, &rest);
    if (r == 0)
        r = parse_i64(rest, 1, UINT32_MAX, &epoch);
    if (r < 0)
        return -EINVAL;
    owner->slot = (unsigned)slot;
    owner->epoch = (uint32_t)epoch;
    return 0;
}

int claim_file_parse_part(const char *name, struct claim_part *ret_part)
{
    int64_t k = 0, attempts = 0;
    const char *rest = "";
    int r = parse_head(name, '.', INT64_MAX, &k, &rest);
    if (r == 0)
        r = parse_i64(rest, 0, CLAIM_ATTEMPTS_MAX, &attempts);
    if (r < 0)
        return -EINVAL;
    *ret_part = (struct claim_part){.k = (uint64_t)k, .attempts = (unsigned)attempts};
    return 0;
}

int claim_file_parse_queue(const char *name, uint64_t *ret_k)
{
    int64_t k = 0;
    const char *rest = "";
    if (parse_head(name, '.', INT64_MAX, &k, &rest) < 0 || strcmp(rest, QUEUE_SUFFIX) != 0)
        return -EINVAL;
    *ret_k = (uint64_t)k;
    return 0;
}

int claim_file_parse_retry(const char *name, unsigned *ret_attempts)
{
    int64_t attempts = 0;
    const char *rest = "";
    if (parse_head(name, '.', CLAIM_ATTEMPTS_MAX, &attempts, &rest) < 0 || !*rest)
        return -EINVAL;
    *ret_attempts = (unsigned)attempts;
    return 0;
}

bool claim_file_is_item(const char *name)
{
    return name[0] != '.';
}

/* ---- directories ---- */

int claim_file_sync(int dir_fd)
{
    struct statx now;
    int r = statx(dir_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_MTIME, &now);
    return r < 0 ? -errno : 0;
}

/* A directory beneath another one that is made when it is missing. */
static int open_or_make(const struct place *place, int at_fd, const char *name, int *ret_fd,
                        struct error *err)
{
    if (fs_open_beneath(at_fd, name, DIR_FLAGS, 0, ret_fd) == 0)
        return 0;
    return place_make_dir(place, at_fd, name, LAYOUT_DIR_MODE, ret_fd, err);
}

int claim_file_make_claims(const struct place *place, int *ret_fd, struct error *err)
{
    _cleanup_close_ int root_fd = -1, task_fd = -1;
    char path[PATH_MAX];
    int r = place_open_root(place, &root_fd, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%s/%s", place->settings->tasks_dir, place->settings->task_name);
    r = fs_open_beneath(root_fd, path, DIR_FLAGS, 0, &task_fd);
    if (r < 0)
        return error_set_errno(err, -r, "%s of %s cannot be opened", path, place->path);
    return open_or_make(place, task_fd, LAYOUT_CLAIMS, ret_fd, err);
}

int claim_file_make_own(const struct place *place, const struct owner *owner, int *ret_fd,
                        struct error *err)
{
    _cleanup_close_ int claims_fd = -1, own_fd = -1;
    char name[CLAIM_DIR_TEXT];
    claim_file_owner_name(owner, name);
    int r = claim_file_make_claims(place, &claims_fd, err);
    if (r == 0)
        r = open_or_make(place, claims_fd, name, &own_fd, err);
    if (r < 0)
        return r;
    test_hook_step("claim", 1);
    r = owner_write(own_fd, LAYOUT_OWNER, owner);
    if (r < 0)
        return error_set_errno(err, -r, "the owner of %s/%s on %s cannot be written", LAYOUT_CLAIMS,
                               name, place->path);
    test_hook_step("claim", 2);
    *ret_fd = take_fd(&own_fd);
    return 0;
}

int claim_file_make_queue(const struct place *place, int own_fd, uint64_t k, const char *queue,
                          struct error *err)
{
    char name[CLAIM_DIR_TEXT];
    snprintf(name, sizeof(name), "%" PRIu64 "." QUEUE_SUFFIX, k);
    int r = fs_write_atomic(own_fd, name, queue, strlen(queue), LAYOUT_FILE_MODE);
    if (r < 0)
        return error_set_errno(err, -r, "which queue is worked on cannot be written on %s",
                               place->path);
    test_hook_step("claim", 3);
    return 0;
}

int claim_file_read_queue(int own_fd, uint64_t k, char **ret_queue)
{
    _cleanup_free_ char *queue = NULL;
    char name[CLAIM_DIR_TEXT];
    size_t length;
    snprintf(name, sizeof(name), "%" PRIu64 "." QUEUE_SUFFIX, k);
    int r = fs_read_file(own_fd, name, PATH_MAX, &queue, &length);
    if (r < 0)
        return r;
    if (strlen(queue) != length || (strcmp(queue, ".") != 0 && fs_check_relative(queue) < 0))
        return -EBADMSG;
    *ret_queue = take_ptr(queue);
    return 0;
}

int claim_file_open_queue(const struct place *place, const char *queue, bool make, int *ret_fd,
                          struct error *err)
{
    _cleanup_close_ int root_fd = -1;
    int r = place_open_root(place, &root_fd, err);
    if (r < 0)
        return r;
    r = fs_open_beneath(root_fd, queue, O_PATH | O_DIRECTORY, 0, ret_fd);
    if (r == -ENOENT && make)
        return place_make_dir(place, root_fd, queue, LAYOUT_DIR_MODE, ret_fd, err);
    if (r < 0)
        return error_set_errno(err, -r, "the directory %s on %s cannot be opened", queue,
                               place->path);
    return 0;
}

int claim_file_open_part(const struct place *place, int own_fd, const struct claim_part *part,
                         bool make, int *ret_fd, struct error *err)
{
    char name[CLAIM_DIR_TEXT];
    claim_file_part_name(part, name);
    if (make)
        return open_or_make(place, own_fd, name, ret_fd, err);
    int r = fs_open_beneath(own_fd, name, DIR_FLAGS, 0, ret_fd);
    return r < 0 ? error_set_errno(err, -r, "claims %s on %s cannot be opened", name, place->path)
                 : 0;
}

/* ---- items ---- */

static bool exists(int dir_fd, const char *name)
{
    struct statx now;
    return claim_file_sync(dir_fd) == 0 &&
           statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_INO, &now) == 0;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int claim_file_take(int queue_fd, const char *from, int part_fd)
{
    const char *name = name_of(from);
    if (renameat(queue_fd, from, part_fd, name) < 0) {
        int code = errno;
        if (code != ENOENT || !exists(part_fd, name))
            return -code;
    }
    test_hook_step("claim", 5);
    return 0;
}

int claim_file_done(int part_fd, const char *name)
{
    test_hook_step("done", 1);
    if (unlinkat(part_fd, name, 0) < 0 && errno != ENOENT)
        return -errno;
    test_hook_step("done", 2);
    return 0;
}

/* A directory that nobody has had before. */
static int make_unique(const struct place *place, int queue_fd, const char *kind, unsigned attempts,
                       char name[CLAIM_DIR_TEXT], int *ret_kind_fd, int *ret_fd, struct error *err)
{
    _cleanup_close_ int kind_fd = -1;
    uint64_t unique;
    if (getrandom(&unique, sizeof(unique), 0) != (ssize_t)sizeof(unique))
        return error_set_errno(err, EIO, "there are no random numbers");
    snprintf(name, CLAIM_DIR_TEXT, "%u.%016" PRIx64, attempts, unique);
    int r = open_or_make(place, queue_fd, kind, &kind_fd, err);
    if (r == 0)
        r = place_make_dir(place, kind_fd, name, LAYOUT_DIR_MODE, ret_fd, err);
    if (r == 0)
        *ret_kind_fd = take_fd(&kind_fd);
    return r;
}

int claim_file_give_back(const struct place *place, int queue_fd, int part_fd, const char *name,
                         const char *kind, unsigned attempts, struct error *err)
{
    int r = 0;
    test_hook_step("return", 1);
    for (int i = 0; i < GIVE_BACK_TRIES; i++) {
        _cleanup_close_ int kind_fd = -1, to_fd = -1;
        char unique[CLAIM_DIR_TEXT];
        r = make_unique(place, queue_fd, kind, attempts, unique, &kind_fd, &to_fd, err);
        if (r < 0)
            return r;
        test_hook_step("return", 2);
        r = renameat(part_fd, name, to_fd, name) < 0 ? -errno : 0;
        if (r == -ENOENT && exists(to_fd, name))
            r = 0;
        test_hook_step("return", 3);
        if (r == 0)
            return 0;
        unlinkat(kind_fd, unique, AT_REMOVEDIR);
        /* Who clears up may have taken the new directory for one that was left behind. */
        if (r != -ENOENT || !exists(part_fd, name))
            break;
    }
    return error_set_errno(err, -r, "\"%.200s\" cannot be given back on %s", name, place->path);
}
