#include "sidecar/claim_recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/ofd.h"
#include "lib/share/board.h"

enum {
    INTERVAL_MS = 60 * 1000, /* while somebody else of this name lives */
    FENCE_LEAST_MS = 5000,
};

struct round {
    struct claim_recovery *recovery;
    const struct owner *own;
    int claims_fd, board_fd;
    struct error *err;
};

/* How long it has been gone, as far as was seen here; NULL: too many are waited for. */
static int64_t *find_gone_ms(struct claim_recovery *recovery, const char *name)
{
    size_t i = 0;
    while (i < recovery->n && strcmp(recovery->of[i].name, name) != 0)
        i++;
    if (i == CLAIM_RECOVER_MAX || strlen(name) >= CLAIM_DIR_TEXT)
        return NULL;
    if (i == recovery->n) {
        memcpy(recovery->of[i].name, name, strlen(name) + 1);
        recovery->of[i].gone_ms = 0;
        recovery->n++;
    }
    recovery->of[i].seen = true;
    return &recovery->of[i].gone_ms;
}

static void forget_unseen(struct claim_recovery *recovery)
{
    size_t kept = 0;
    for (size_t i = 0; i < recovery->n; i++) {
        if (!recovery->of[i].seen)
            continue;
        recovery->of[kept] = recovery->of[i];
        recovery->of[kept++].seen = false;
    }
    recovery->n = kept;
}

/* The lock is asked for before the slot is read: it may be taken in between, not given back. */
static int ask_fate(const struct round *round, const struct owner *owner, enum owner_fate *ret_fate)
{
    uint8_t bytes[BOARD_BYTES];
    struct slot slot;
    off_t start = (off_t)owner->slot * BOARD_SLOT_BYTES;
    if (owner->slot >= BOARD_SLOTS)
        return -EBADMSG;
    int lock = ofd_query(round->board_fd, F_WRLCK, start, BOARD_SLOT_BYTES);
    int r = board_read(round->board_fd, bytes);
    if (r < 0)
        return r;
    r = slot_decode(bytes + start, &slot);
    *ret_fate = owner_judge(owner, round->own->generation, r == 0 ? &slot : NULL, lock);
    return 0;
}

static int look_at(struct round *round, const char *name)
{
    struct claim_recovery *recovery = round->recovery;
    const struct place *place = recovery->place;
    struct owner owner;
    enum owner_fate fate = OWNER_UNKNOWN;
    int64_t *gone_ms = find_gone_ms(recovery, name), now_ms = clock_now_ms();
    int64_t due_ms = now_ms + INTERVAL_MS;
    int r = claim_return_owner(place, round->claims_fd, name, round->own->generation, &owner);
    if (r == 0)
        r = ask_fate(round, &owner, &fate);
    if (r < 0 || !gone_ms)
        return error_set_errno(round->err, r < 0 ? -r : ENOSPC,
                               "whose claims %s on %s are cannot be told", name, place->path);
    if (owner_is_over(&owner, fate, now_ms, gone_ms))
        return claim_return(place, round->claims_fd, name, fate != OWNER_LEFT, &recovery->returned,
                            round->err);
    if (fate == OWNER_GONE)
        due_ms = *gone_ms + (owner.fence_ms > FENCE_LEAST_MS ? owner.fence_ms : FENCE_LEAST_MS);
    if (due_ms < recovery->due_ms)
        recovery->due_ms = due_ms;
    return 0;
}

static int look_at_all(struct round *round)
{
    struct owner named;
    char own[CLAIM_DIR_TEXT];
    int r = 0, first = 0, fd = openat(round->claims_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream)
        return -errno;
    claim_file_owner_name(round->own, own);
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, own) == 0 || claim_file_parse_owner(entry->d_name, &named) < 0)
            continue;
        r = look_at(round, entry->d_name);
        first = first < 0 ? first : r; /* the others all the same */
    }
    return first;
}

int claim_recover(struct claim_recovery *recovery, const struct owner *owner, bool on_nfs,
                  struct error *err)
{
    _cleanup_close_ int claims_fd = -1, state_fd = -1, board_fd = -1;
    struct error words = {0};
    recovery->due_ms = CLOCK_NEVER;
    recovery->returned = (struct claim_returned){0};
    int r = claim_file_make_claims(recovery->place, &claims_fd, err);
    if (r == 0)
        r = place_open_state(recovery->place, &state_fd, err);
    if (r < 0)
        return r;
    r = claim_file_sync(claims_fd);
    if (r == 0)
        r = board_open(state_fd, on_nfs, &board_fd);
    if (r == 0) {
        struct round round = {recovery, owner, claims_fd, board_fd, &words};
        r = look_at_all(&round);
    }
    forget_unseen(recovery);
    if (r < 0 && words.code)
        *err = words;
    else if (r < 0)
        error_set_errno(err, -r, "what this task had claimed before on %s cannot be looked for",
                        recovery->place->path);
    return r;
}
