/*
 * owner: who works in a directory on the share: a small JSON file in it, and what the board says
 * about the member that it names.
 *
 *     r = owner_write(dir_fd, LAYOUT_OWNER, &owner);       // appears whole
 *     r = owner_read(dir_fd, LAYOUT_OWNER, &owner);        // -ENOENT: nobody said anything
 *
 *     lock = ofd_query(board_fd, F_WRLCK, slot's offset, BOARD_SLOT_BYTES);
 *     r = slot_decode(bytes that were read after that, &slot);
 *     fate = owner_judge(&owner, generation, r == 0 ? &slot : NULL, lock);
 *     if (owner_is_over(&owner, fate, clock_now_ms(), &gone_ms)) ...      // gone_ms began as 0
 *
 * Only the board decides: the slot's word has the owner's epoch, it is joined, and its lock is
 * held: then it lives. One that left is over at once. Of every other one the client may still act:
 * it is over when fence_ms have passed on one's own clock since it was first seen gone. What cannot
 * be asked, or is of another state directory or generation, is unknown, and nothing may be done.
 *
 * Threads: safe; owner_write() and owner_read() may hang with the mount. Errors: -errno; -EBADMSG:
 * the file is no owner record.
 */
#ifndef LIB_SHARE_OWNER_H
#define LIB_SHARE_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slot;

enum { OWNER_TASK_MAX = 255, OWNER_BYTES_MAX = 2048 };

struct owner {
    uint64_t generation; /* of the state directory whose board it is on */
    unsigned slot;
    uint32_t epoch, fence_ms;
    char task[OWNER_TASK_MAX + 1]; /* for people, as all that follows */
    int64_t since_wall_ms;
    int64_t bytes, files, measured_wall_ms; /* of what lies in the directory; 0: not measured */
};

int owner_write(int dir_fd, const char *name, const struct owner *owner);
int owner_read(int dir_fd, const char *name, struct owner *ret_owner);
int owner_parse(const char *text, size_t length, struct owner *ret_owner);

/* The same membership? What is for people does not count. */
bool owner_equal(const struct owner *a, const struct owner *b);

enum owner_fate {
    OWNER_UNKNOWN,
    OWNER_ALIVE,
    OWNER_GONE, /* over after fence_ms */
    OWNER_LEFT,
};

/* slot NULL: it could not be read. lock: 0 it is free, -EAGAIN it is held, else nobody knows. */
enum owner_fate owner_judge(const struct owner *owner, uint64_t generation, const struct slot *slot,
                            int lock);

/* gone_ms: since when it has been seen gone without a break; 0: it has not. */
bool owner_is_over(const struct owner *owner, enum owner_fate fate, int64_t now_ms,
                   int64_t *gone_ms);

#endif
