#include "sidecar/janitor.h"

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
#include "lib/share/journal.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"

enum {
    MEMBER_FILE_MAX = 16 * 1024,
    FENCE_LEAST_MS = 5 * 1000, /* what a slot says is bounded: it may be nonsense */
    FENCE_MOST_MS = 10 * 60 * 1000,
    SWEEP_MS = 5 * 60 * 1000,
};

void janitor_init(struct janitor *janitor, const struct place *place, int64_t retention_ms)
{
    *janitor = (struct janitor){
        .place = place,
        .retention_ms = retention_ms,
        .state_fd = -1,
        .lock_fd = -1,
        .board_fd = -1,
        .dead = {.fd = -1},
    };
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool janitor_is_elected(const struct janitor *janitor)
{
    return janitor->elected;
}

bool janitor_has_dead(const struct janitor *janitor)
{
    return janitor->dead.fd >= 0;
}

void janitor_release(struct janitor *janitor)
{
    janitor->elected = false;
    close_one(&janitor->dead.fd);
    close_one(&janitor->board_fd);
    close_one(&janitor->lock_fd);
    close_one(&janitor->state_fd);
}

/* ---- election ---- */

static int open_lock(struct janitor *janitor)
{
    _cleanup_close_ int fd = -1;
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | (janitor->on_nfs ? O_DIRECT : 0);
    int r = fs_open_beneath(janitor->state_fd, LAYOUT_JANITOR, flags, LAYOUT_FILE_MODE, &fd);
    if (r == 0)
        r = layout_share(fd, LAYOUT_FILE_MODE, janitor->place->settings->state_gid);
    if (r == 0)
        janitor->lock_fd = take_fd(&fd);
    return r;
}

/* The file stays open, so that who is not elected asks with one call a round. */
static int stand_for_election(struct janitor *janitor)
{
    int r = janitor->lock_fd < 0 ? open_lock(janitor) : 0;
    if (r == 0)
        r = ofd_lock(janitor->lock_fd, F_WRLCK, 0, 0);
    if (r < 0)
        return r == -EAGAIN ? 0 : r;
    janitor->elected = true;
    janitor->n_journals = 0;
    janitor->swept_ms = 0;
    return 0;
}

static int open_board(struct janitor *janitor)
{
    memset(janitor->free_ms, 0, sizeof(janitor->free_ms));
    janitor->board_ctime = (struct statx_timestamp){0};
    return board_open(janitor->state_fd, janitor->on_nfs, &janitor->board_fd);
}

/* efs-watch asks the server for the same attributes all the time, so they are fresh. */
static int read_board(struct janitor *janitor)
{
    struct statx now;
    uint8_t board[BOARD_BYTES];
    if (statx(janitor->board_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MTIME | STATX_CTIME,
              &now) < 0)
        return -errno;
    bool moved = memcmp(&now.stx_mtime, &janitor->board_mtime, sizeof(now.stx_mtime)) != 0 ||
                 memcmp(&now.stx_ctime, &janitor->board_ctime, sizeof(now.stx_ctime)) != 0;
    bool first = janitor->board_ctime.tv_sec == 0;
    if (!moved && !janitor->read_again)
        return 0;
    int r = board_read(janitor->board_fd, board);
    if (r < 0)
        return r;
    memset(janitor->slots, 0, sizeof(janitor->slots)); /* what cannot be read is left alone */
    for (unsigned i = 0; i < BOARD_SLOTS; i++)
        slot_decode(board + (size_t)i * BOARD_SLOT_BYTES, &janitor->slots[i]);
    janitor->board_mtime = now.stx_mtime;
    janitor->board_ctime = now.stx_ctime;
    janitor->read_again = moved && !first;
    return 0;
}

/* ---- members that died ---- */

static int64_t fence_ms(const struct slot *slot)
{
    if (slot->fence_ms < FENCE_LEAST_MS)
        return FENCE_LEAST_MS;
    return slot->fence_ms < FENCE_MOST_MS ? slot->fence_ms : FENCE_MOST_MS;
}

/* Has it been free for as long as its owner may still act? */
static int is_over(struct janitor *janitor, unsigned i)
{
    const struct slot *slot = &janitor->slots[i];
    int64_t asked_ms = clock_now_ms();
    janitor->asked++;
    int r = ofd_query(janitor->board_fd, F_WRLCK, (off_t)i * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES);
    if (r == -EAGAIN) {
        janitor->free_ms[i] = 0;
        return 0;
    }
    if (r < 0)
        return r;
    if (janitor->free_ms[i] == 0 || janitor->epochs[i] != slot->epoch) {
        janitor->free_ms[i] = clock_now_ms();
        janitor->epochs[i] = slot->epoch;
    }
    int64_t over_ms = janitor->free_ms[i] + fence_ms(slot);
    if (over_ms < janitor->due_ms)
        janitor->due_ms = over_ms;
    return asked_ms >= over_ms || test_hook_omits("reap_fence");
}

static int read_slot(int fd, unsigned i, struct slot *ret_slot)
{
    uint8_t board[BOARD_BYTES];
    int r = board_read(fd, board);
    return r < 0 ? r : slot_decode(board + (size_t)i * BOARD_SLOT_BYTES, ret_slot);
}

/* Who it was, for the peers: nothing is decided from it. */
static void read_task(struct janitor_dead *dead, int state_fd)
{
    _cleanup_free_ char *text = NULL;
    char name[sizeof(LAYOUT_MEMBERS) + 32];
    size_t length;
    snprintf(name, sizeof(name), LAYOUT_MEMBERS "/%u.json", dead->slot);
    dead->task[0] = '\0';
    if (fs_read_file(state_fd, name, MEMBER_FILE_MAX, &text, &length) < 0)
        return;
    _cleanup_json_ json_t *member = json_loadb(text, length, 0, NULL);
    const char *task = json_string_value(json_object_get(member, "task"));
    if (task && strlen(task) < sizeof(dead->task))
        snprintf(dead->task, sizeof(dead->task), "%s", task);
}

/* On a descriptor of its own, so that closing it frees this slot and no other. */
static int take(struct janitor *janitor, unsigned i, uint32_t epoch)
{
    _cleanup_close_ int fd = -1;
    struct slot now = {0};
    int r = board_open(janitor->state_fd, janitor->on_nfs, &fd);
    if (r == 0)
        r = ofd_lock(fd, F_WRLCK, (off_t)i * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES);
    if (r == 0)
        r = read_slot(fd, i, &now);
    if (r < 0)
        return r == -EAGAIN || r == -ENODATA || r == -EBADMSG ? 0 : r;
    if (now.state != SLOT_JOINED || now.epoch != epoch)
        return 0; /* somebody came and left meanwhile */
    janitor->dead = (struct janitor_dead){.fd = take_fd(&fd), .slot = i, .was = now};
    read_task(&janitor->dead, janitor->state_fd);
    return 0;
}

static int look_at(struct janitor *janitor, unsigned i)
{
    int r = is_over(janitor, i);
    return r > 0 ? take(janitor, i, janitor->slots[i].epoch) : r;
}

static bool is_member(const struct janitor *janitor, unsigned i)
{
    return i != janitor->own_slot && janitor->slots[i].state == SLOT_JOINED;
}

static int look_at_doubtful(struct janitor *janitor)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < BOARD_SLOTS && janitor->dead.fd < 0; i++)
        if (is_member(janitor, i) && janitor->free_ms[i] != 0)
            r = look_at(janitor, i);
    return r;
}

/* The next member on the board, and past those that are free, to one that lives: that one looks at
 * those behind it. *ret_alive is its slot. */
static int look_at_next(struct janitor *janitor, unsigned *ret_alive)
{
    int r = 0;
    unsigned asked = 0;
    for (unsigned n = 1; n < BOARD_SLOTS && r == 0 && asked < JANITOR_ASKS; n++) {
        unsigned i = (janitor->own_slot + n) % BOARD_SLOTS;
        if (janitor->dead.fd >= 0)
            break;
        if (!is_member(janitor, i) || janitor->free_ms[i] != 0)
            continue;
        asked++;
        r = look_at(janitor, i);
        if (r == 0 && janitor->free_ms[i] == 0 && janitor->dead.fd < 0) {
            *ret_alive = i;
            break;
        }
    }
    return r;
}

static int look_at_one_in_turn(struct janitor *janitor, unsigned but)
{
    for (unsigned n = 0; n < BOARD_SLOTS && janitor->dead.fd < 0; n++) {
        unsigned i = janitor->next_slot;
        janitor->next_slot = (i + 1) % BOARD_SLOTS;
        if (i != but && is_member(janitor, i) && janitor->free_ms[i] == 0)
            return look_at(janitor, i);
    }
    return 0;
}

static int find_dead(struct janitor *janitor)
{
    unsigned alive = BOARD_SLOTS;
    int r = look_at_doubtful(janitor);
    if (r == 0)
        r = look_at_next(janitor, &alive);
    return r == 0 && janitor->elected ? look_at_one_in_turn(janitor, alive) : r;
}

/* The peers know what they have to. Its file first: whoever takes the slot writes its own. */
static int bury(struct janitor *janitor)
{
    struct janitor_dead *dead = &janitor->dead;
    char name[sizeof(LAYOUT_MEMBERS) + 32];
    struct slot slot = dead->was;
    int r = 0;
    snprintf(name, sizeof(name), LAYOUT_MEMBERS "/%u.json", dead->slot);
    if (unlinkat(janitor->state_fd, name, 0) < 0 && errno != ENOENT)
        r = -errno;
    slot.state = SLOT_LEFT;
    if (r == 0)
        r = board_write_slot(dead->fd, dead->slot, &slot);
    if (r == 0) {
        janitor->slots[dead->slot] = slot;
        janitor->free_ms[dead->slot] = 0;
        janitor->buried++;
    }
    return r;
}

/* ---- journals that are over ---- */

/* Nobody writes there any more: its member left, or has another epoch. One that is newer than the
 * slot is just being made. */
static bool journal_is_over(const struct slot *slot, uint32_t epoch)
{
    return epoch < slot->epoch || (epoch == slot->epoch && slot->state == SLOT_LEFT);
}

static struct janitor_journal *find_journal(struct janitor *janitor, unsigned slot, uint32_t epoch)
{
    for (size_t i = 0; i < janitor->n_journals; i++)
        if (janitor->journals[i].slot == slot && janitor->journals[i].epoch == epoch)
            return &janitor->journals[i];
    if (janitor->n_journals == JANITOR_JOURNALS)
        return NULL; /* later */
    struct janitor_journal *journal = &janitor->journals[janitor->n_journals++];
    *journal = (struct janitor_journal){
        .slot = (uint16_t)slot, .epoch = epoch, .since_ms = clock_now_ms()};
    return journal;
}

/* 1: it is gone; 0: some of it was left for the next time. */
static int remove_journal(int feed_fd, const char *name, unsigned *budget)
{
    int fd = openat(feed_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r == -ENOENT ? 1 : r;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*budget == 0)
            return 0;
        --*budget;
        if (unlinkat(fd, entry->d_name, 0) < 0 && errno != ENOENT)
            return -errno;
    }
    return unlinkat(feed_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 1;
}

/* Look at one directory beneath feed/. */
static int sweep_one(struct janitor *janitor, int feed_fd, const char *name, unsigned *budget)
{
    unsigned slot;
    uint32_t epoch;
    if (journal_dir_parse(name, &slot, &epoch) < 0 || slot >= BOARD_SLOTS ||
        !journal_is_over(&janitor->slots[slot], epoch))
        return 0;
    struct janitor_journal *journal = find_journal(janitor, slot, epoch);
    if (!journal || clock_now_ms() - journal->since_ms < janitor->retention_ms)
        return 0;
    int r = remove_journal(feed_fd, name, budget);
    if (r <= 0)
        return r;
    *journal = janitor->journals[--janitor->n_journals];
    janitor->removed++;
    return 0;
}

static int sweep_journals(struct janitor *janitor)
{
    unsigned budget = JANITOR_UNLINKS;
    if (janitor->swept_ms && clock_now_ms() - janitor->swept_ms < SWEEP_MS)
        return 0;
    _cleanup_close_ int feed_fd = -1;
    int r = fs_open_beneath(janitor->state_fd, LAYOUT_FEED, O_RDONLY | O_DIRECTORY, 0, &feed_fd);
    if (r < 0)
        return r;
    int listing = dup(feed_fd);
    _cleanup_closedir_ DIR *dir = listing < 0 ? NULL : fdopendir(listing);
    if (!dir)
        return -errno;
    for (struct dirent *entry; r == 0 && budget > 0 && (entry = readdir(dir));)
        r = sweep_one(janitor, feed_fd, entry->d_name, &budget);
    if (r == 0 && budget > 0)
        janitor->swept_ms = clock_now_ms();
    return r;
}

/* ---- */

static int clear_up(struct janitor *janitor)
{
    int r = janitor->elected ? 0 : stand_for_election(janitor);
    if (r == 0 && janitor->board_fd < 0)
        r = open_board(janitor);
    if (r == 0 && janitor->dead.fd >= 0 && janitor->told)
        r = bury(janitor);
    close_one(&janitor->dead.fd);
    janitor->told = false;
    if (r == 0)
        r = read_board(janitor);
    if (r == 0)
        r = find_dead(janitor);
    return r == 0 && janitor->elected ? sweep_journals(janitor) : r;
}

int janitor_round(struct janitor *janitor, struct error *err)
{
    janitor->due_ms = clock_now_ms() + JANITOR_INTERVAL_MS;
    int r = 0;
    if (janitor->state_fd < 0)
        r = place_open_state(janitor->place, &janitor->state_fd, err);
    if (r < 0)
        return r;
    r = clear_up(janitor);
    if (r == 0)
        return 0;
    janitor_release(janitor);
    return error_set_errno(err, -r, "the state directory of %s cannot be cleared up",
                           janitor->place->path);
}
