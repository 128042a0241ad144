#include "sidecar/membership.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/ofd.h"
#include "lib/share/board.h"
#include "lib/share/journal_writer.h"
#include "lib/share/layout.h"
#include "lib/share/version.h"

enum {
    MEMBER_FILE_MAX = 16 * 1024,
    NEW_EPOCH_TRIES = 8,
    TWIN_TRIES = 10,
    TWIN_PAUSE_MS = 100,
};

/* The directories that are being looked into, and what was found there so far. */
struct search {
    const struct place *place;
    bool on_nfs;
    int state_fd, feed_fd;
    struct membership member;
};

/* The highest epoch that has a journal of this slot, as the server has it; 0: none. */
static int newest_journal(int feed_fd, unsigned slot, uint32_t *ret_epoch)
{
    struct statx now;
    uint32_t newest = 0;
    if (statx(feed_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_MTIME, &now) < 0)
        return -errno;
    int fd = openat(feed_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    _cleanup_closedir_ DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)); errno = 0) {
        unsigned of;
        uint32_t epoch;
        if (journal_dir_parse(entry->d_name, &of, &epoch) == 0 && of == slot && epoch > newest)
            newest = epoch;
    }
    *ret_epoch = newest;
    return -errno;
}

/* What the slot says, and the last epoch that it had. The read proves that the lock is held. */
static int read_slot(struct search *s, uint32_t *ret_last_epoch)
{
    uint8_t board[BOARD_BYTES];
    struct slot before = {0};
    uint32_t journal = 0;
    s->member.sent_ms = clock_now_ms();
    int r = board_read(s->member.fd, board);
    if (r < 0)
        return r;
    r = slot_decode(board + (size_t)s->member.slot * BOARD_SLOT_BYTES, &before);
    s->member.unclean = r == -EBADMSG || (r == 0 && before.state == SLOT_JOINED);
    r = newest_journal(s->feed_fd, s->member.slot, &journal);
    if (r == 0)
        *ret_last_epoch = journal > before.epoch ? journal : before.epoch;
    return r;
}

/* Does the member's file of this slot name our task? It is for people, and so is the answer. */
static bool is_twin(const struct search *s, unsigned slot)
{
    _cleanup_free_ char *text = NULL;
    char name[sizeof(LAYOUT_MEMBERS) + 32];
    size_t length;
    snprintf(name, sizeof(name), LAYOUT_MEMBERS "/%u.json", slot);
    if (fs_read_file(s->state_fd, name, MEMBER_FILE_MAX, &text, &length) < 0)
        return false;
    _cleanup_json_ json_t *member = json_loadb(text, length, 0, NULL);
    const char *task = json_string_value(json_object_get(member, "task"));
    return task && strcmp(task, s->place->settings->task_name) == 0;
}

/* The first choice, which may be held still by the dying efs-watch of a sidecar that was killed. */
static int lock_first_choice(struct search *s, unsigned first)
{
    const off_t at = (off_t)first * BOARD_SLOT_BYTES;
    int r = ofd_lock(s->member.fd, F_WRLCK, at, BOARD_SLOT_BYTES);
    for (int i = 0; r == -EAGAIN && i < TWIN_TRIES && is_twin(s, first); i++) {
        usleep(TWIN_PAUSE_MS * 1000);
        r = ofd_lock(s->member.fd, F_WRLCK, at, BOARD_SLOT_BYTES);
    }
    if (r == 0)
        s->member.slot = first;
    return r;
}

/* Lock a slot that has an epoch left. */
static int lock_slot(struct search *s, uint32_t *ret_last_epoch, struct error *err)
{
    const struct place *place = s->place;
    unsigned from = board_first_choice(place->settings->task_name);
    for (unsigned retired = 0; retired < BOARD_SLOTS; retired++) {
        int r = retired == 0 ? lock_first_choice(s, from) : -EAGAIN;
        if (r == -EAGAIN)
            r = board_take(s->member.fd, from, &s->member.slot);
        if (r == -EUSERS)
            return error_set(err, EUSERS, "all %d slots of the board of %s are taken", BOARD_SLOTS,
                             place->path);
        if (r < 0)
            return error_set_errno(err, -r, "the board of %s cannot be locked", place->path);
        r = read_slot(s, ret_last_epoch);
        if (r < 0)
            return error_set_errno(err, -r, "slot %u on the board of %s cannot be read",
                                   s->member.slot, place->path);
        if (*ret_last_epoch < SLOT_EPOCH_MAX)
            return 0;
        from = s->member.slot + 1;
        ofd_unlock(s->member.fd, (off_t)s->member.slot * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES);
    }
    return error_set(err, EUSERS, "all %d slots of the board of %s are used up", BOARD_SLOTS,
                     place->path);
}

static int check_version(struct search *s, struct error *err)
{
    struct version_root root = {.inode = 0};
    struct version version = {.format = 0};
    int r = place_root_inode(s->place, &root.inode, err);
    if (r < 0)
        return r;
    snprintf(root.file_system, sizeof(root.file_system), "%s", s->place->file_system);
    r = version_read(s->state_fd, &version, err);
    if (r == -ENOENT)
        r = version_create(s->state_fd, &root, s->on_nfs, s->place->settings->state_gid, &version,
                           err);
    if (r == 0)
        r = version_check(&version, &root, err);
    if (r == 0)
        s->member.generation = (uint64_t)version.generation;
    return r;
}

/* Behind every epoch that was used, on whatever evidence. */
static int start_journal(struct search *s, uint32_t last_epoch, struct error *err)
{
    const struct settings *settings = s->place->settings;
    const struct journal_limits limits = {.gid = settings->state_gid, .segments = 2};
    int r = -EEXIST;
    for (int i = 0; i < NEW_EPOCH_TRIES && r == -EEXIST && last_epoch < SLOT_EPOCH_MAX; i++) {
        struct journal_writer *journal;
        r = journal_writer_create(s->feed_fd, s->member.slot, ++last_epoch, settings->task_name,
                                  &limits, &journal);
        if (r == 0)
            journal_writer_close(journal); /* efs-watch goes on with it */
    }
    if (r < 0)
        return error_set_errno(err, -r, "a journal for slot %u cannot be started on %s",
                               s->member.slot, s->place->path);
    s->member.epoch = last_epoch;
    return 0;
}

static int write_slot(const struct search *s, struct error *err)
{
    const struct slot slot = {
        .state = SLOT_JOINED,
        .reads_from = VERSION_READS_FROM,
        .reads_to = VERSION_READS_TO,
        .epoch = s->member.epoch,
        .segment = 1,
        .fence_ms = (uint32_t)s->place->settings->fence_ms,
    };
    int r = board_write_slot(s->member.fd, s->member.slot, &slot);
    if (r < 0)
        return error_set_errno(err, -r, "slot %u on the board of %s cannot be written",
                               s->member.slot, s->place->path);
    return 0;
}

int membership_take(const struct place *place, bool on_nfs, struct membership *ret_member,
                    struct error *err)
{
    _cleanup_close_ int state_fd = -1, feed_fd = -1, fd = -1;
    uint32_t last_epoch = 0;
    int r = place_open_state(place, &state_fd, err);
    if (r < 0)
        return r;
    r = fs_open_beneath(state_fd, LAYOUT_FEED, O_RDONLY | O_DIRECTORY, 0, &feed_fd);
    if (r == 0)
        r = board_open(state_fd, on_nfs, &fd);
    if (r < 0)
        return error_set_errno(err, -r, "the board of %s cannot be opened", place->path);
    struct search s = {
        .place = place,
        .on_nfs = on_nfs,
        .state_fd = state_fd,
        .feed_fd = feed_fd,
        .member = {.fd = fd, .twin = -1},
    };
    r = lock_slot(&s, &last_epoch, err);
    if (r == 0)
        r = check_version(&s, err); /* behind the lock: an upgrade asks who is there */
    if (r == 0)
        r = start_journal(&s, last_epoch, err);
    if (r == 0)
        r = write_slot(&s, err);
    if (r < 0)
        return r;
    unsigned first = board_first_choice(place->settings->task_name);
    if (s.member.slot != first && is_twin(&s, first))
        s.member.twin = (int)first;
    *ret_member = s.member;
    fd = -1; /* the caller's */
    return 0;
}

int membership_leave(const struct membership *member)
{
    uint8_t board[BOARD_BYTES];
    struct slot slot = {0};
    int r = board_read(member->fd, board);
    if (r == 0)
        r = slot_decode(board + (size_t)member->slot * BOARD_SLOT_BYTES, &slot);
    if (r < 0)
        return r;
    if (slot.epoch != member->epoch)
        return -ESTALE;
    slot.state = SLOT_LEFT;
    return board_write_slot(member->fd, member->slot, &slot);
}
