/* What it takes two hosts to find out: one acts, the other one judges. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/peer.h"
#include "cli/property.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/ofd.h"

enum { SLOT_BYTES = 64, PAGE_BYTES = 4096, ROUNDS = 200, ROUNDS_MS = 10 * 1000, NAMES = 50 };

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int result_ = (call);                                                                      \
        if (result_ < 0)                                                                           \
            return result_;                                                                        \
    } while (0)

static int open_shared(const struct property_scene *scene, const char *name, bool direct)
{
    struct statx stat;
    property_look(scene->dir_fd, "", &stat);
    int fd = openat(scene->dir_fd, name,
                    O_RDWR | O_CREAT | O_CLOEXEC | (direct && scene->on_nfs ? O_DIRECT : 0), 0660);
    return fd < 0 ? -errno : fd;
}

static int lock_across(const struct property_scene *scene, struct finding *found)
{
    enum { WAIT_MS = 20 * 1000 };
    bool acts = peer_is_first(scene->peer);
    _cleanup_close_ int fd = open_shared(scene, "lock", false);
    if (fd < 0)
        return fd;
    if (acts)
        TRY(ofd_lock(fd, F_WRLCK, 0, 0));
    TRY(peer_meet(scene->peer));
    int refused = acts ? 0 : ofd_lock(fd, F_WRLCK, 0, 0);
    TRY(peer_meet(scene->peer));
    if (acts)
        TRY(ofd_unlock(fd, 0, 0));
    TRY(peer_meet(scene->peer));
    int r = acts ? 0 : -EAGAIN;
    for (int64_t from_ms = clock_now_ms(); r == -EAGAIN && clock_now_ms() - from_ms < WAIT_MS;) {
        r = ofd_lock(fd, F_WRLCK, 0, 0);
        usleep(10 * 1000);
    }
    property_holds(found, refused == -EAGAIN && r == 0, "while held %s, after the release %s",
                   refused == -EAGAIN ? "refused" : "NOT refused", r == 0 ? "granted" : "REFUSED");
    return peer_tell(scene->peer, false, found);
}

static int removed_under_lock(const struct property_scene *scene, struct finding *found)
{
    bool acts = peer_is_first(scene->peer);
    _cleanup_close_ int fd = acts ? -1 : open_shared(scene, "lock", true);
    struct statx stat;
    if (!acts && fd < 0)
        return fd;
    if (!acts)
        TRY(ofd_lock(fd, F_WRLCK, 0, 0));
    TRY(peer_meet(scene->peer));
    if (acts && unlinkat(scene->dir_fd, "lock", 0) < 0)
        return -errno;
    TRY(peer_meet(scene->peer));
    int r = acts ? 0 : property_look(fd, "", &stat);
    bool told = !acts && (r == -ESTALE || (r == 0 && stat.stx_nlink == 0));
    property_holds(found, told, "%s", r < 0 ? strerror(-r) : told ? "no link left" : "NOT told");
    return peer_tell(scene->peer, false, found);
}

static int create_seen(const struct property_scene *scene, struct finding *found)
{
    bool acts = peer_is_first(scene->peer);
    struct statx stat;
    int before = acts ? 0 : property_look(scene->dir_fd, "x", &stat);
    TRY(peer_meet(scene->peer));
    if (acts)
        TRY(property_write(scene, "x", "x"));
    TRY(peer_meet(scene->peer));
    int plain = acts ? 0 : faccessat(scene->dir_fd, "x", F_OK, 0);
    if (!acts)
        TRY(property_look(scene->dir_fd, "", &stat));
    int after = acts ? 0 : faccessat(scene->dir_fd, "x", F_OK, 0);
    property_holds(found, before == -ENOENT && after == 0,
                   "at once %s, after a look at the directory %s", plain == 0 ? "too" : "not yet",
                   after == 0 ? "seen" : "NOT SEEN");
    return peer_tell(scene->peer, false, found);
}

static int replace_seen(const struct property_scene *scene, struct finding *found)
{
    bool acts = peer_is_first(scene->peer);
    char text[8] = "";
    struct statx stat;
    if (acts)
        TRY(property_write(scene, "f", "old"));
    TRY(peer_meet(scene->peer));
    property_look(scene->dir_fd, "", &stat);
    _cleanup_close_ int held = acts ? -1 : openat(scene->dir_fd, "f", O_RDONLY | O_CLOEXEC);
    if (!acts && held < 0)
        return -errno;
    TRY(peer_meet(scene->peer));
    if (acts)
        TRY(property_write(scene, "tmp", "new"));
    if (acts && renameat(scene->dir_fd, "tmp", scene->dir_fd, "f") < 0)
        return -errno;
    TRY(peer_meet(scene->peer));
    if (!acts) {
        TRY(property_look(scene->dir_fd, "", &stat));
        TRY(property_read(scene, "f", text, sizeof(text)));
    }
    property_holds(found, strcmp(text, "new") == 0,
                   "after a look at the directory the %s file is opened, the old one still open",
                   text);
    return peer_tell(scene->peer, false, found);
}

static int unclosed_write_seen(const struct property_scene *scene, struct finding *found)
{
    bool acts = peer_is_first(scene->peer);
    char text[8] = "";
    _cleanup_close_ int fd = acts ? open_shared(scene, "f", false) : -1;
    struct statx stat;
    if (acts && fd < 0)
        return fd;
    if (acts && write(fd, "bytes", 5) != 5)
        return -errno;
    if (acts)
        TRY(property_look(fd, "", &stat));
    TRY(peer_meet(scene->peer));
    if (!acts) {
        TRY(property_look(scene->dir_fd, "", &stat));
        TRY(property_read(scene, "f", text, sizeof(text)));
    }
    property_holds(found, strcmp(text, "bytes") == 0,
                   "%s after the writer asked for its attributes", *text ? "there" : "NOT there");
    return peer_tell(scene->peer, false, found);
}

/* Both write their slot of one page and read the other's. One may begin when the other one would be
 * done, so each goes on until it has seen the other's last rounds. */
static int slots(const struct property_scene *scene, struct finding *found)
{
    bool first = peer_is_first(scene->peer);
    _cleanup_free_ uint64_t *mine = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
    _cleanup_free_ uint64_t *other = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
    if (!mine || !other)
        return -ENOMEM;
    if (first)
        TRY(property_write(scene, "board", ""));
    TRY(peer_meet(scene->peer));
    _cleanup_close_ int fd = open_shared(scene, "board", true);
    if (fd < 0)
        return fd;
    off_t here = first ? 0 : SLOT_BYTES, there = first ? SLOT_BYTES : 0;
    TRY(ofd_lock(fd, F_WRLCK, here, SLOT_BYTES));
    unsigned torn = 0, backward = 0, seen = 0;
    uint64_t last = 0, n = 0;
    for (int64_t end_ms = clock_now_ms() + ROUNDS_MS;
         n < ROUNDS || (last < ROUNDS && clock_now_ms() < end_ms);) {
        n++;
        for (unsigned i = 0; i < SLOT_BYTES / sizeof(n); i++)
            mine[i] = n;
        if (pwrite(fd, mine, SLOT_BYTES, here) != SLOT_BYTES)
            return errno ? -errno : -EIO;
        ssize_t got = pread(fd, other, SLOT_BYTES, there);
        if (got < 0)
            return -errno;
        if (got < SLOT_BYTES)
            continue;
        for (unsigned i = 1; i < SLOT_BYTES / sizeof(n); i++)
            torn += other[i] != other[0];
        backward += other[0] < last;
        seen += other[0] != last;
        last = other[0];
    }
    TRY(peer_meet(scene->peer));
    bool kept = pread(fd, other, SLOT_BYTES, here) == SLOT_BYTES && other[0] == n;
    property_holds(found, torn == 0 && backward == 0 && kept,
                   "at least %d rounds of each: %u seen, %u torn, %u backward, own slot %s", ROUNDS,
                   seen, torn, backward, kept ? "as written" : "OVERWRITTEN");
    return peer_tell(scene->peer, false, found);
}

/* Both link a file of theirs to the same names. */
static int one_winner(const struct property_scene *scene, struct finding *found)
{
    bool first = peer_is_first(scene->peer);
    const char *mine = first ? "mine.a" : "mine.b";
    char name[16], other[16] = "";
    unsigned won = 0;
    TRY(property_write(scene, mine, mine));
    TRY(peer_meet(scene->peer));
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        if (linkat(scene->dir_fd, mine, scene->dir_fd, name, 0) == 0)
            won++;
        else if (errno != EEXIST)
            return -errno;
    }
    snprintf(name, sizeof(name), "%u", won);
    TRY(property_write(scene, first ? "won.a" : "won.b", name));
    TRY(peer_meet(scene->peer));
    TRY(property_read(scene, first ? "won.b" : "won.a", other, sizeof(other)));
    unsigned theirs = (unsigned)strtoul(other, NULL, 10);
    property_holds(found, won + theirs == NAMES, "%d names: %u and %u", NAMES, theirs, won);
    return peer_tell(scene->peer, false, found);
}

/* The claim of a task that was given up: its directory is gone, but the task still has it open. */
static int late_rename(const struct property_scene *scene, struct finding *found)
{
    bool acts = peer_is_first(scene->peer);
    struct statx stat;
    if (acts) {
        TRY(property_write(scene, "item", "x"));
        if (mkdirat(scene->dir_fd, "claims", 0770) < 0)
            return -errno;
    }
    TRY(peer_meet(scene->peer));
    property_look(scene->dir_fd, "", &stat);
    _cleanup_close_ int claims =
        acts ? -1 : openat(scene->dir_fd, "claims", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!acts && claims < 0)
        return -errno;
    TRY(peer_meet(scene->peer));
    if (acts && unlinkat(scene->dir_fd, "claims", AT_REMOVEDIR) < 0)
        return -errno;
    TRY(peer_meet(scene->peer));
    int code = acts || renameat(scene->dir_fd, "item", claims, "item") == 0 ? 0 : errno;
    bool refused = code == ENOENT || code == ESTALE;
    property_holds(found, refused, "%s", refused ? "refused" : code ? strerror(code) : "MOVED");
    return peer_tell(scene->peer, false, found);
}

const struct property properties_peer[] = {
    {"peer-lock", "a lock keeps the other host off, and its release lets it in", lock_across},
    {"peer-removed", "who has a file locked can tell that another host removed it",
     removed_under_lock},
    {"peer-create", "a new file is seen after a look at its directory", create_seen},
    {"peer-replace", "a replaced file is opened anew after a look at its directory", replace_seen},
    {"peer-unclosed", "what was written is there once the writer asked for attributes",
     unclosed_write_seen},
    {"peer-slots", "two hosts write slots of one page without harm", slots},
    {"peer-link", "of two hosts that link to one name one wins", one_winner},
    {"peer-late-rename", "nothing is moved into a directory that another host removed",
     late_rename},
    {NULL, NULL, NULL},
};
