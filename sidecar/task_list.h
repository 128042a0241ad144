/*
 * task_list: every task's write directory on a mount, with what its record and the board say.
 *
 *     r = task_list_read(&place, on_nfs, &list, &err);
 *     ... list.of[0 .. list.n-1] ...
 *     task_list_release(&list);
 *
 * For people: nothing is decided from it. A task is alive, orphaned (it left, or its slot is free)
 * or unknown (nobody said whose the directory is, or the board does not know him). Threads:
 * it may hang with the mount: for workers. Errors: -errno and words.
 */
#ifndef SIDECAR_TASK_LIST_H
#define SIDECAR_TASK_LIST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "lib/share/owner.h"
#include "sidecar/place.h"

enum { TASK_LIST_MAX = 1000 };

struct task_entry {
    char name[NAME_MAX + 1];
    const char *state;
    bool has_owner;
    struct owner owner;
};

struct task_list {
    bool cut; /* there are more than TASK_LIST_MAX */
    size_t n;
    struct task_entry *of;
};

int task_list_read(const struct place *place, bool on_nfs, struct task_list *ret_list,
                   struct error *err);
void task_list_release(struct task_list *list);

/* list NULL: err says why. */
typedef void task_listed_fn(void *arg, const struct task_list *list, const struct error *err);

#endif
