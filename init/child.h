/*
 * child: a process that does what may hang, and writes what it finds out into memory that it shares
 * with its parent.
 *
 *     struct child child;
 *     r = child_open(sizeof(struct probe_log), &child, &err);
 *     ... prepare child.shared ...
 *     r = child_start(&child, run, wish, &err);     // run(wish, shared, parent) in the child
 *     poll(child.done_fd ...);                      // readable when it is gone
 *     child_stop(&child);                           // now child.shared no longer changes
 *     ... read child.shared ...
 *     child_close(&child);
 *
 * child_stop() kills it and does not wait longer than a moment: a process in an uninterruptible
 * sleep cannot be reaped. Ownership: child_close() unmaps the memory; it is fine on what was never
 * opened (all zero). Threads: the parent must have only one, since the child goes on after fork().
 * Errors: -errno.
 */
#ifndef INIT_CHILD_H
#define INIT_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/error.h"

struct child {
    void *shared; /* zeroed; NULL: not open */
    size_t size;
    pid_t pid; /* 0 when it does not run */
    int done_fd;
    bool ended; /* for who waits: done_fd was readable */
};

int child_open(size_t size, struct child *ret_child, struct error *err);
int child_start(struct child *child, void (*run)(const void *wish, void *shared, pid_t parent),
                const void *wish, struct error *err);
void child_stop(struct child *child);
void child_close(struct child *child);

/* In the child: die when the parent does. False: it is dead already. The kernel forgets it when ids
 * change. */
bool child_die_with(pid_t parent);

#endif
