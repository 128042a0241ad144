#include "sidecar/task_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/ofd.h"
#include "lib/share/board.h"
#include "lib/share/layout.h"
#include "lib/share/version.h"

struct look {
    int board_fd;
    uint64_t generation;
    uint8_t board[BOARD_BYTES];
};

static int open_look(const struct place *place, bool on_nfs, struct look *look, struct error *err)
{
    _cleanup_close_ int state_fd = -1;
    struct version version = {0};
    int r = place_open_state(place, &state_fd, err);
    if (r == 0)
        r = version_read(state_fd, &version, err);
    if (r < 0)
        return r;
    look->generation = (uint64_t)version.generation;
    r = board_open(state_fd, on_nfs, &look->board_fd);
    if (r == 0)
        r = board_read(look->board_fd, look->board);
    return r < 0 ? error_set_errno(err, -r, "the board of %s cannot be read", place->path) : 0;
}

static const char *judge(const struct look *look, const struct owner *owner)
{
    const off_t at = (off_t)owner->slot * BOARD_SLOT_BYTES;
    struct slot slot;
    bool readable = slot_decode(look->board + at, &slot) == 0;
    int lock = ofd_query(look->board_fd, F_WRLCK, at, BOARD_SLOT_BYTES);
    switch (owner_judge(owner, look->generation, readable ? &slot : NULL, lock)) {
    case OWNER_ALIVE:
        return "alive";
    case OWNER_GONE:
    case OWNER_LEFT:
        return "orphaned";
    case OWNER_UNKNOWN:
        break;
    }
    return "unknown";
}

static void fill(const struct look *look, int tasks_fd, const char *name, struct task_entry *entry)
{
    _cleanup_close_ int fd =
        openat(tasks_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *entry = (struct task_entry){.state = "unknown"};
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    if (fd < 0 || owner_read(fd, LAYOUT_OWNER, &entry->owner) < 0)
        return;
    entry->has_owner = true;
    entry->state = judge(look, &entry->owner);
}

static int add(struct task_list *list, const struct look *look, int tasks_fd,
               const struct dirent *found)
{
    if (found->d_name[0] == '.' || (found->d_type != DT_DIR && found->d_type != DT_UNKNOWN))
        return 0;
    if (list->n == TASK_LIST_MAX) {
        list->cut = true;
        return 0;
    }
    struct task_entry *larger = reallocarray(list->of, list->n + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    list->of = larger;
    fill(look, tasks_fd, found->d_name, &list->of[list->n++]);
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct task_entry *)a)->name, ((const struct task_entry *)b)->name);
}

static int read_all(const struct place *place, const struct look *look, struct task_list *list,
                    struct error *err)
{
    _cleanup_close_ int root_fd = -1;
    struct statx now;
    int tasks_fd = -1;
    int r = place_open_root(place, &root_fd, err);
    if (r < 0)
        return r;
    r = fs_open_beneath(root_fd, place->settings->tasks_dir, O_RDONLY | O_DIRECTORY, 0, &tasks_fd);
    _cleanup_closedir_ DIR *dir = r < 0 ? NULL : fdopendir(tasks_fd);
    if (!dir && r == 0)
        close(tasks_fd);
    /* Others make directories there: what this client remembers may be old. */
    if (dir && statx(tasks_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &now) < 0)
        r = -errno;
    for (struct dirent *found; dir && r == 0 && (found = readdir(dir));)
        r = add(list, look, tasks_fd, found);
    if (r < 0 && r != -ENOENT)
        return error_set_errno(err, -r, "%s/%s cannot be read", place->path,
                               place->settings->tasks_dir);
    if (list->n > 0)
        qsort(list->of, list->n, sizeof(*list->of), compare);
    return 0;
}

int task_list_read(const struct place *place, bool on_nfs, struct task_list *ret_list,
                   struct error *err)
{
    struct look look = {.board_fd = -1};
    struct task_list list = {0};
    int r = open_look(place, on_nfs, &look, err);
    if (r == 0)
        r = read_all(place, &look, &list, err);
    cleanup_close_p(&look.board_fd);
    if (r < 0)
        task_list_release(&list);
    else
        *ret_list = list;
    return r;
}

void task_list_release(struct task_list *list)
{
    free(take_ptr(list->of));
    list->n = 0;
}
