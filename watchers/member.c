#include "watchers/member.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/share/board.h"
#include "lib/share/change.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"

enum { DIRECT_ALIGNMENT = 4096 };

bool member_is_lost(int r)
{
    return r == -EIO || r == -ESTALE || r == -ENOENT || r == -EBADMSG || r == -EOVERFLOW;
}

static int read_own_slot(struct member *m)
{
    alignas(DIRECT_ALIGNMENT) uint8_t bytes[SLOT_BYTES];
    ssize_t n = pread(m->board_fd, bytes, SLOT_BYTES, (off_t)m->number * BOARD_SLOT_BYTES);
    if (n < 0)
        return -errno;
    if (n != SLOT_BYTES || slot_decode(bytes, &m->slot) < 0 || m->slot.epoch != m->epoch)
        return -ESTALE;
    atomic_store(&m->own->writing, slot_word(&m->slot));
    atomic_store(&m->own->written, slot_word(&m->slot));
    return 0;
}

static int write_slot(struct member *m, uint64_t drained)
{
    struct slot slot = m->slot;
    slot.sequence = journal_writer_sequence(m->journal);
    slot.segment = journal_writer_segment(m->journal);
    if (drained > 0)
        slot.drained = drained;
    atomic_store(&m->own->writing, slot_word(&slot));
    int r = board_write_slot(m->board_fd, m->number, &slot);
    if (r < 0)
        return r;
    atomic_store(&m->own->written, slot_word(&slot));
    m->slot = slot;
    return 0;
}

int member_attach(struct member *m, const char *state_dir)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    _cleanup_close_ int state_fd = open(state_dir, flags);
    if (state_fd < 0)
        return -errno;
    _cleanup_close_ int feed_fd = openat(state_fd, LAYOUT_FEED, flags);
    if (feed_fd < 0)
        return -errno;
    int r = read_own_slot(m);
    if (r == 0)
        r = journal_writer_recover(feed_fd, m->number, m->epoch, &m->limits, m->slot.segment,
                                   &m->journal);
    if (r < 0)
        return r;
    uint64_t recorded = journal_writer_sequence(m->journal);
    if (recorded < m->slot.sequence)
        r = -EBADMSG; /* others were told of records that are not there */
    else if (recorded > m->slot.sequence)
        r = write_slot(m, 0);
    if (r < 0)
        member_detach(m);
    return r;
}

void member_detach(struct member *m)
{
    journal_writer_close(m->journal);
    m->journal = NULL;
}

static void refresh(struct member *m, struct change *change)
{
    _cleanup_close_ int fd = -1;
    struct statx st;
    const unsigned mask = STATX_SIZE | STATX_MTIME | STATX_CTIME;
    if (change->op == CHANGE_DELETE || change->op == CHANGE_RESYNC || test_hook_omits("force_sync"))
        return;
    change->flags &= ~(uint32_t)CHANGE_HAS_ATTRS;
    if (fs_open_beneath(m->root_fd, change->path, O_PATH | O_NOFOLLOW, 0, &fd) < 0 ||
        statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, mask, &st) < 0)
        return; /* gone by now: that is told next */
    change->flags |= CHANGE_HAS_ATTRS;
    change->size = st.stx_size;
    change->mtime_ns = change_time_ns(&st.stx_mtime);
    change->ctime_ns = change_time_ns(&st.stx_ctime);
}

int member_append(struct member *m, uint16_t type, const void *payload, size_t length,
                  uint64_t *ret_sequence)
{
    uint8_t encoded[CHANGE_ENCODED_MAX];
    struct change change;
    if (type != JOURNAL_CHANGE)
        return journal_writer_append(m->journal, type, payload, length, ret_sequence);
    if (change_decode(payload, length, &change) < 0)
        return -EINVAL;
    change.epoch = 0; /* whoever reads it has a cursor of its own */
    change.sequence = 0;
    refresh(m, &change);
    int n = change_encode(&change, encoded, sizeof(encoded));
    return n < 0 ? n : journal_writer_append(m->journal, type, encoded, (size_t)n, ret_sequence);
}

int member_publish(struct member *m, uint64_t drained)
{
    int r = journal_writer_commit(m->journal);
    return r == 0 ? write_slot(m, drained) : r;
}
