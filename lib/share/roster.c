#include "lib/share/roster.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/ofd.h"
#include "lib/share/layout.h"

/* One question for all is enough when nobody is there. */
static int ask_who_lives(int fd, struct roster *roster)
{
    int r = ofd_query(fd, F_WRLCK, 0, BOARD_BYTES);
    for (unsigned i = 0; r == -EAGAIN && i < BOARD_SLOTS; i++) {
        int one = ofd_query(fd, F_WRLCK, (off_t)i * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES);
        if (one < 0 && one != -EAGAIN)
            return one;
        roster->entries[i].live = one == -EAGAIN;
        roster->live += one == -EAGAIN;
    }
    return r == -EAGAIN ? 0 : r;
}

int roster_read(int state_fd, struct roster *ret_roster, struct error *err)
{
    uint8_t bytes[BOARD_BYTES];
    _cleanup_close_ int fd = -1;
    /* Writable, because a server may refuse to speak of write locks otherwise. */
    int r = fs_open_beneath(state_fd, LAYOUT_BOARD, O_RDWR | O_NOFOLLOW, 0, &fd);
    if (r == 0)
        r = board_read(fd, bytes);
    memset(ret_roster, 0, sizeof(*ret_roster));
    if (r == 0)
        r = ask_who_lives(fd, ret_roster);
    if (r < 0)
        return error_set_errno(err, -r, "cannot read %s in the state directory", LAYOUT_BOARD);
    for (unsigned i = 0; i < BOARD_SLOTS; i++) {
        struct roster_entry *entry = &ret_roster->entries[i];
        entry->status = slot_decode(bytes + (size_t)i * BOARD_SLOT_BYTES, &entry->slot);
    }
    return 0;
}

int roster_all_read(const struct roster *roster, uint32_t format, struct error *err)
{
    for (unsigned i = 0; i < BOARD_SLOTS; i++) {
        const struct roster_entry *entry = &roster->entries[i];
        const struct slot *slot = &entry->slot;
        if (!entry->live)
            continue;
        if (entry->status < 0)
            return error_set(
                err, EBUSY,
                "slot %u is held by a member that does not say which formats it reads; "
                "wait until its task has started or ended",
                i);
        if (format < slot->reads_from || format > slot->reads_to)
            return error_set(err, EBUSY,
                             "the member in slot %u reads the formats %u to %u and not %" PRIu32
                             "; deploy a version that does to its task first",
                             i, slot->reads_from, slot->reads_to, format);
    }
    return 0;
}

const char *roster_state(const struct roster_entry *entry)
{
    static const char *const names[] = {
        [SLOT_FREE] = "free", [SLOT_JOINED] = "dead", [SLOT_LEFT] = "left"};
    if (entry->live)
        return "live";
    if (entry->status < 0)
        return entry->status == -ENODATA ? "free" : "garbage";
    return names[entry->slot.state];
}
