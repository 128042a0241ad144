/*
 * probe_child: what the child of a probe does; see probe.h. Returns when it is done. Threads: one.
 * What goes wrong stands in the log that it shares with the parent.
 */
#ifndef INIT_PROBE_CHILD_H
#define INIT_PROBE_CHILD_H

#include <sys/types.h>

#include "init/probe.h"
#include "lib/share/layout.h"

#define PROBE_PREFIX     LAYOUT_PROBE_PREFIX
#define PROBE_TAIL_LINK  ".link"
#define PROBE_TAIL_MOVED ".moved"
#define PROBE_TAIL_DIR   ".dir"
enum { PROBE_BOOT_DIGITS = 8, PROBE_RANDOM_DIGITS = 16 };

/* wish: struct probe_wish; shared: struct probe_log. */
void probe_child_run(const void *wish, void *shared, pid_t parent);

#endif
