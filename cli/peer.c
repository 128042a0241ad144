#include "cli/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/ofd.h"

enum { TICK_US = 20 * 1000, NAME_SIZE = 64 };

struct peer {
    int dir_fd, roles_fd; /* holds the role's byte locked */
    bool first;
    char run[NAME_SIZE]; /* the directory of this meeting */
    int run_fd;
    int scene_fd;
    unsigned step;
};

bool peer_is_first(const struct peer *peer)
{
    return peer->first;
}

/* Until the name is there: an attribute call on the directory, then the look-up is fresh. */
static int wait_for(int at_fd, const char *name)
{
    int64_t deadline_ms = clock_now_ms() + PEER_WAIT_MS;
    struct statx stat;
    while (clock_now_ms() < deadline_ms) {
        int r = property_look(at_fd, "", &stat);
        if (r < 0)
            return r;
        r = property_look(at_fd, name, &stat);
        if (r != -ENOENT)
            return r;
        usleep(TICK_US);
    }
    return -ETIMEDOUT;
}

static int make_file(int at_fd, const char *name)
{
    int fd = openat(at_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int meet(int at_fd, bool first, const char *what)
{
    char mine[NAME_SIZE], other[NAME_SIZE];
    snprintf(mine, sizeof(mine), ".%c.%s", first ? 'a' : 'b', what);
    snprintf(other, sizeof(other), ".%c.%s", first ? 'b' : 'a', what);
    int r = make_file(at_fd, mine);
    return r < 0 ? r : wait_for(at_fd, other);
}

/* ---- coming together ---- */

static int take_role(struct peer *peer, struct error *err)
{
    peer->roles_fd = openat(peer->dir_fd, "roles", O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    if (peer->roles_fd < 0)
        return error_set_errno(err, errno, "cannot make the file that tells the two apart");
    for (int role = 0; role < 2; role++) {
        int r = ofd_lock(peer->roles_fd, F_WRLCK, role, 1);
        if (r == 0) {
            peer->first = role == 0;
            return 0;
        }
        if (r != -EAGAIN)
            return error_set_errno(err, -r, "no lock can be taken here");
    }
    return error_set(err, EBUSY, "two are at it already; a third has nothing to do");
}

/* The first one says in a file where the two meet. What a meeting left behind that was cut short
 * stays until the next one is over. */
static int invite(struct peer *peer)
{
    uint64_t number;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        return -EIO;
    snprintf(peer->run, sizeof(peer->run), "run-%016llx", (unsigned long long)number);
    if (mkdirat(peer->dir_fd, peer->run, 02770) < 0)
        return -errno;
    return fs_write_atomic(peer->dir_fd, "meeting", peer->run, strlen(peer->run), 0660);
}

static int open_run(struct peer *peer)
{
    peer->run_fd = openat(peer->dir_fd, peer->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return peer->run_fd < 0 ? -errno : 0;
}

/* The file may still be that of a meeting that is over: it is the right one when the first answers.
 */
static int follow(struct peer *peer)
{
    enum { ANSWER_MS = 3000 };
    int64_t deadline_ms = clock_now_ms() + PEER_WAIT_MS;
    while (clock_now_ms() < deadline_ms) {
        _cleanup_free_ char *name = NULL;
        size_t length;
        struct statx stat;
        property_look(peer->dir_fd, "", &stat);
        if (fs_read_file(peer->dir_fd, "meeting", sizeof(peer->run) - 1, &name, &length) == 0 &&
            fs_check_name(name) == 0) {
            snprintf(peer->run, sizeof(peer->run), "%s", name);
            if (open_run(peer) == 0 && make_file(peer->run_fd, ".b.here") == 0) {
                int64_t answer_ms = clock_now_ms() + ANSWER_MS;
                while (clock_now_ms() < answer_ms) {
                    property_look(peer->run_fd, "", &stat);
                    if (property_look(peer->run_fd, ".a.here", &stat) == 0)
                        return 0;
                    usleep(TICK_US);
                }
            }
            if (peer->run_fd >= 0)
                close(peer->run_fd);
            peer->run_fd = -1;
        }
        usleep(5 * TICK_US);
    }
    return -ETIMEDOUT;
}

int peer_join(int dir_fd, struct peer **ret_peer, struct error *err)
{
    struct peer *peer = malloc(sizeof(*peer));
    if (!peer)
        return error_set(err, ENOMEM, "no memory");
    *peer = (struct peer){.dir_fd = dir_fd, .roles_fd = -1, .run_fd = -1, .scene_fd = -1};
    int r = take_role(peer, err);
    if (r == 0) {
        if (peer->first) {
            r = invite(peer);
            if (r == 0)
                r = open_run(peer);
            if (r == 0)
                r = wait_for(peer->run_fd, ".b.here");
            if (r == 0)
                r = make_file(peer->run_fd, ".a.here");
        } else {
            r = follow(peer);
        }
        if (r == -ETIMEDOUT)
            error_set(err, ETIMEDOUT,
                      "nobody else came within a minute: run the same command on another host");
        else if (r < 0)
            error_set_errno(err, -r, "cannot meet the other one");
    }
    if (r < 0) {
        peer_leave(peer);
        return r;
    }
    *ret_peer = peer;
    return 0;
}

void peer_leave(struct peer *peer)
{
    if (!peer)
        return;
    if (peer->run_fd >= 0) {
        meet(peer->run_fd, peer->first, "leaving");
        close(peer->run_fd);
        if (peer->first) {
            property_remove(peer->dir_fd, peer->run);
            unlinkat(peer->dir_fd, "meeting", 0);
            unlinkat(peer->dir_fd, "roles", 0);
        }
    }
    if (peer->scene_fd >= 0)
        close(peer->scene_fd);
    if (peer->roles_fd >= 0)
        close(peer->roles_fd);
    free(peer);
}

/* ---- step by step ---- */

int peer_begin(struct peer *peer, const char *id, int *ret_scene_fd)
{
    int r = 0;
    if (peer->first && mkdirat(peer->run_fd, id, 02770) < 0)
        return -errno;
    if (!peer->first)
        r = wait_for(peer->run_fd, id);
    if (r < 0)
        return r;
    peer->scene_fd = openat(peer->run_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (peer->scene_fd < 0)
        return -errno;
    peer->step = 0;
    *ret_scene_fd = peer->scene_fd;
    return 0;
}

int peer_meet(struct peer *peer)
{
    char what[16];
    snprintf(what, sizeof(what), "%u", peer->step++);
    return meet(peer->scene_fd, peer->first, what);
}

int peer_tell(struct peer *peer, bool first_judged, struct finding *found)
{
    int r = 0;
    if (peer->first == first_judged) {
        char text[sizeof(found->observed) + 2];
        int n = snprintf(text, sizeof(text), "%d%s", (int)found->verdict, found->observed);
        r = fs_write_atomic(peer->scene_fd, ".finding", text, (size_t)n, 0660);
        return r < 0 ? r : peer_meet(peer);
    }
    _cleanup_free_ char *text = NULL;
    size_t length;
    r = peer_meet(peer);
    if (r == 0)
        r = fs_read_file(peer->scene_fd, ".finding", sizeof(found->observed) + 1, &text, &length);
    if (r < 0)
        return r;
    if (!text || text[0] < '0' || text[0] > '0' + (int)VERDICT_UNKNOWN)
        return -EBADMSG;
    found->verdict = (enum verdict)(text[0] - '0');
    snprintf(found->observed, sizeof(found->observed), "%s", text + 1);
    return 0;
}
