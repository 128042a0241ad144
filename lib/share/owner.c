#include "lib/share/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/share/board.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"

enum {
    FENCE_LEAST_MS = 5 * 1000, /* what is read is bounded: it may be nonsense */
    FENCE_MOST_MS = 10 * 60 * 1000,
};

int owner_write(int dir_fd, const char *name, const struct owner *owner)
{
    _cleanup_json_ json_t *object =
        json_pack("{s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I}", "generation",
                  (json_int_t)owner->generation, "slot", (json_int_t)owner->slot, "epoch",
                  (json_int_t)owner->epoch, "fence_ms", (json_int_t)owner->fence_ms, "task",
                  json_string_lossy(owner->task), "since_wall_ms", (json_int_t)owner->since_wall_ms,
                  "bytes", (json_int_t)owner->bytes, "files", (json_int_t)owner->files,
                  "measured_wall_ms", (json_int_t)owner->measured_wall_ms);
    _cleanup_free_ char *text = object ? json_dumps(object, 0) : NULL;
    if (!text)
        return -ENOMEM;
    size_t length = strlen(text);
    text[length] = '\n'; /* in place of the NUL */
    return fs_write_atomic(dir_fd, name, text, length + 1, LAYOUT_FILE_MODE);
}

/* A number for people, as far as there is a sensible one. */
static int64_t number(const json_t *object, const char *key)
{
    int64_t value = 0;
    return json_get_i64(object, key, 0, INT64_MAX, &value, NULL) == 0 ? value : 0;
}

static int take(const json_t *object, struct owner *ret_owner)
{
    int64_t generation, slot, epoch, fence_ms;
    const char *task = "";
    int r = json_get_i64(object, "generation", 1, INT64_MAX, &generation, NULL);
    if (r == 0)
        r = json_get_i64(object, "slot", 0, BOARD_SLOTS - 1, &slot, NULL);
    if (r == 0)
        r = json_get_i64(object, "epoch", 1, SLOT_EPOCH_MAX, &epoch, NULL);
    if (r == 0)
        r = json_get_i64(object, "fence_ms", 0, UINT32_MAX, &fence_ms, NULL);
    if (r == 0)
        r = json_get_string(object, "task", OWNER_TASK_MAX, &task, NULL);
    if (r < 0)
        return -EBADMSG;
    *ret_owner = (struct owner){
        .generation = (uint64_t)generation,
        .slot = (unsigned)slot,
        .epoch = (uint32_t)epoch,
        .fence_ms = (uint32_t)fence_ms,
        .since_wall_ms = number(object, "since_wall_ms"),
        .bytes = number(object, "bytes"),
        .files = number(object, "files"),
        .measured_wall_ms = number(object, "measured_wall_ms"),
    };
    snprintf(ret_owner->task, sizeof(ret_owner->task), "%s", task);
    return 0;
}

int owner_parse(const char *text, size_t length, struct owner *ret_owner)
{
    _cleanup_json_ json_t *object = NULL;
    if (length > OWNER_BYTES_MAX || json_parse(text, length, &object, NULL) < 0)
        return -EBADMSG;
    return take(object, ret_owner);
}

/* The name may be replaced at any time: the directory is asked first, or the client would go on
 * believing in an old one. A FIFO with this name must not stop anybody. */
int owner_read(int dir_fd, const char *name, struct owner *ret_owner)
{
    char text[OWNER_BYTES_MAX + 1];
    struct statx now;
    struct stat is;
    if (statx(dir_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &now) < 0)
        return -errno;
    _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP ? -EBADMSG : -errno;
    if (fstat(fd, &is) < 0)
        return -errno;
    if (!S_ISREG(is.st_mode))
        return -EBADMSG;
    ssize_t n = read(fd, text, sizeof(text));
    return n < 0 ? -errno : owner_parse(text, (size_t)n, ret_owner);
}

bool owner_equal(const struct owner *a, const struct owner *b)
{
    return a->generation == b->generation && a->slot == b->slot && a->epoch == b->epoch;
}

enum owner_fate owner_judge(const struct owner *owner, uint64_t generation, const struct slot *slot,
                            int lock)
{
    if (owner->generation != generation || !slot || slot->epoch < owner->epoch)
        return OWNER_UNKNOWN;
    if (slot->epoch > owner->epoch) /* the slot was free, for whatever reason */
        return OWNER_GONE;
    if (slot->state == SLOT_LEFT)
        return OWNER_LEFT;
    if (slot->state != SLOT_JOINED || (lock < 0 && lock != -EAGAIN))
        return OWNER_UNKNOWN;
    return lock == 0 ? OWNER_GONE : OWNER_ALIVE;
}

static int64_t bounded_fence_ms(const struct owner *owner)
{
    if (owner->fence_ms < FENCE_LEAST_MS)
        return FENCE_LEAST_MS;
    return owner->fence_ms < FENCE_MOST_MS ? owner->fence_ms : FENCE_MOST_MS;
}

bool owner_is_over(const struct owner *owner, enum owner_fate fate, int64_t now_ms,
                   int64_t *gone_ms)
{
    if (fate == OWNER_ALIVE)
        *gone_ms = 0;
    if (fate != OWNER_GONE)
        return fate == OWNER_LEFT;
    if (*gone_ms == 0)
        *gone_ms = now_ms;
    return now_ms - *gone_ms >= bounded_fence_ms(owner) || test_hook_omits("reap_fence");
}
