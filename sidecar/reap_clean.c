#include "sidecar/reap_clean.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/fs_remove.h"
#include "lib/log.h"
#include "lib/share/layout.h"
#include "sidecar/claim_return.h"

/* They have not been alive for as long as the task has been over, at least. */
static bool claims_are_over(const struct reap_clean *clean, const struct owner *owner)
{
    int64_t gone_ms = clean->over_ms;
    if (clean->owner && owner_equal(owner, clean->owner))
        return true;
    enum owner_fate fate =
        owner_judge(owner, clean->generation, &clean->slots[owner->slot], -EAGAIN);
    return owner_is_over(owner, fate, clock_now_ms(), &gone_ms);
}

/* The claims of one epoch. 1: given back; 0: whose they are may live. */
static int give_back(const struct reap_clean *clean, int claims_fd, const char *name,
                     struct claim_returned *returned, struct error *err)
{
    struct owner owner;
    int r = claim_return_owner(clean->place, claims_fd, name, clean->generation, &owner);
    if (r == -ENOENT)
        return 1;
    if (r == -EINVAL) /* nobody's claims: it is the policy's */
        return 1;
    if (r < 0)
        return error_set_errno(err, -r, "claims %s of %s on %s cannot be read", name, clean->task,
                               clean->place->path);
    if (!claims_are_over(clean, &owner))
        return 0;
    r = claim_return(clean->place, claims_fd, name, true, returned, err);
    return r < 0 ? r : 1;
}

static int give_back_all(const struct reap_clean *clean, int claims_fd, unsigned *budget,
                         struct claim_returned *returned, struct error *err)
{
    int listing = openat(claims_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), all = 1;
    _cleanup_closedir_ DIR *dir = listing < 0 ? NULL : fdopendir(listing);
    if (!dir) {
        int r = -errno;
        if (listing >= 0)
            close(listing);
        return r;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        if (*budget == 0)
            return 0;
        --*budget;
        int r = give_back(clean, claims_fd, entry->d_name, returned, err);
        if (r < 0)
            return r;
        all = all && r;
    }
    return all;
}

static void tell(const struct reap_clean *clean, const struct claim_returned *returned)
{
    if (returned->retried + returned->dead > 0)
        log_info("task %s on %s ended: of the files that it had claimed, %u can be claimed again, "
                 "%u had failed too often",
                 clean->task, clean->place->path, returned->retried, returned->dead);
}

static int clean_claims(const struct reap_clean *clean, int task_fd, unsigned *budget,
                        struct error *err)
{
    struct claim_returned returned = {0};
    struct statx now;
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(task_fd, LAYOUT_CLAIMS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
        return 1;
    if (r == 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &now) < 0)
        r = -errno;
    if (r < 0)
        return r;
    r = give_back_all(clean, fd, budget, &returned, err);
    tell(clean, &returned);
    return r;
}

int reap_clean(const struct reap_clean *clean, int task_fd, unsigned *budget, struct error *err)
{
    int r = clean_claims(clean, task_fd, budget, err);
    return r == 1 && clean->owner ? fs_remove(task_fd, LAYOUT_STAGED, budget) : r;
}
