#include "sidecar/claim_return.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"

enum { PASSES_MAX = 4 }; /* over a directory into which a late rename may come */

struct giving {
    const struct place *place;
    int own_fd;
    bool counted, all; /* all queues, or only only_k */
    uint64_t only_k;
    struct claim_returned *returned;
    struct error *err;
};

/* Every name in a directory, as the server has it now; stops at the first negative result. */
static int for_each(int dir_fd, int (*visit)(void *arg, const char *name), void *arg)
{
    int r = claim_file_sync(dir_fd);
    int fd = r < 0 ? -1 : openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream)
        return r < 0 ? r : -errno;
    for (struct dirent *entry; errno = 0, (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        r = visit(arg, entry->d_name);
        if (r < 0)
            return r;
    }
    return -errno;
}

/* ---- the items of one part ---- */

struct part_giving {
    struct giving *giving;
    struct claim_part part;
    int part_fd, queue_fd;
};

static int give_item(void *arg, const char *name)
{
    struct part_giving *p = arg;
    struct giving *g = p->giving;
    if (!claim_file_is_item(name)) { /* removed while it was open: it was done */
        unlinkat(p->part_fd, name, 0);
        return 0;
    }
    unsigned attempts = p->part.attempts + g->counted;
    bool dead = g->counted && attempts >= (unsigned)g->place->settings->claim_max_attempts;
    int r = claim_file_give_back(g->place, p->queue_fd, p->part_fd, name,
                                 dead ? LAYOUT_DEAD : LAYOUT_RETRY, attempts, g->err);
    if (r == 0)
        *(dead ? &g->returned->dead : &g->returned->retried) += 1;
    return r == -ENOENT ? 0 : r; /* somebody else gave it back */
}

static int give_part(struct giving *g, const char *name, const struct claim_part *part)
{
    _cleanup_close_ int part_fd = -1, queue_fd = -1;
    _cleanup_free_ char *queue = NULL;
    int r = fs_open_beneath(g->own_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &part_fd);
    if (r == 0)
        r = claim_file_read_queue(g->own_fd, part->k, &queue);
    if (r < 0)
        return error_set_errno(g->err, -r, "claims %s on %s cannot be given back", name,
                               g->place->path);
    r = claim_file_open_queue(g->place, queue, true, &queue_fd, g->err);
    if (r < 0)
        return r;
    struct part_giving giving = {
        .giving = g, .part = *part, .part_fd = part_fd, .queue_fd = queue_fd};
    for (int i = 0; i < PASSES_MAX; i++) {
        r = for_each(part_fd, give_item, &giving);
        if (r < 0 || test_hook_omits("claim_dir_removal"))
            break;
        if (unlinkat(g->own_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            test_hook_step("return", 4);
            return 0;
        }
        r = -errno;
        if (r != -ENOTEMPTY && r != -EEXIST)
            break;
    }
    return r < 0 ? error_set_errno(g->err, -r, "claims %s on %s cannot be given back", name,
                                   g->place->path)
                 : 0;
}

/* ---- parts first, then the files that say which queue they are of ---- */

static int visit_part(void *arg, const char *name)
{
    struct giving *g = arg;
    struct claim_part part;
    if (claim_file_parse_part(name, &part) < 0 || (!g->all && part.k != g->only_k))
        return 0;
    int r = give_part(g, name, &part);
    return r == -ENOENT ? 0 : r;
}

static int visit_file(void *arg, const char *name)
{
    const struct giving *g = arg;
    uint64_t k;
    bool is_queue = claim_file_parse_queue(name, &k) == 0;
    if (g->all ? !is_queue && claim_file_is_item(name) : !is_queue || k != g->only_k)
        return 0;
    if (strcmp(name, LAYOUT_OWNER) == 0)
        return 0;
    if (unlinkat(g->own_fd, name, 0) < 0 && errno != ENOENT && errno != EISDIR)
        return error_set_errno(g->err, errno, "%s among the claims on %s cannot be removed", name,
                               g->place->path);
    test_hook_step("return", 5);
    return 0;
}

static int give_all(struct giving *g)
{
    int r = for_each(g->own_fd, visit_part, g);
    if (r == 0 && !test_hook_omits("claim_dir_removal"))
        r = for_each(g->own_fd, visit_file, g);
    if (r < 0 && g->err && !g->err->code)
        error_set_errno(g->err, -r, "the claims on %s cannot be read", g->place->path);
    return r;
}

/* ---- */

int claim_return_owner(const struct place *place, int claims_fd, const char *name,
                       uint64_t generation, struct owner *ret_owner)
{
    struct owner named = {.generation = generation,
                          .fence_ms = (uint32_t)place->settings->fence_ms};
    _cleanup_close_ int own_fd = -1;
    int r = claim_file_parse_owner(name, &named);
    if (r == 0)
        r = fs_open_beneath(claims_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &own_fd);
    if (r == 0)
        r = owner_read(own_fd, LAYOUT_OWNER, ret_owner);
    if (r == -ENOENT && own_fd >= 0) {
        *ret_owner = named;
        return 0;
    }
    if (r == 0 && (ret_owner->slot != named.slot || ret_owner->epoch != named.epoch))
        return -EBADMSG;
    return r;
}

int claim_return(const struct place *place, int claims_fd, const char *name, bool counted,
                 struct claim_returned *returned, struct error *err)
{
    _cleanup_close_ int own_fd = -1;
    struct error words = {0};
    claim_file_sync(claims_fd);
    int r = fs_open_beneath(claims_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &own_fd);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return error_set_errno(err, -r, "claims %s on %s cannot be opened", name, place->path);
    struct giving giving = {.place = place,
                            .own_fd = own_fd,
                            .counted = counted,
                            .all = true,
                            .returned = returned,
                            .err = &words};
    r = give_all(&giving);
    if (r == 0 && !test_hook_omits("claim_dir_removal")) {
        unlinkat(own_fd, LAYOUT_OWNER, 0);
        test_hook_step("return", 6);
        if (unlinkat(claims_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            r = error_set_errno(&words, errno, "claims %s on %s cannot be removed", name,
                                place->path);
    }
    if (r < 0 && err)
        *err = words;
    return r;
}

int claim_return_queue(const struct place *place, int own_fd, uint64_t k, struct error *err)
{
    struct claim_returned ignored = {0};
    struct error words = {0};
    struct giving giving = {
        .place = place, .own_fd = own_fd, .only_k = k, .returned = &ignored, .err = &words};
    int r = give_all(&giving);
    if (r < 0 && err)
        *err = words;
    return r;
}
