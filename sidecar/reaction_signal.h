/*
 * reaction_signal: a signal to the processes of a name, as far as this process sees them.
 *
 *     r = reaction_signal_send("nginx", SIGHUP, &n, &err);
 *
 * The name is what /proc/PID/comm says (at most 15 bytes), or the last part of the program's path.
 * Of a process and its descendants with the same name only the first gets it: a master passes it on
 * to its workers itself. A process that neither handles nor ignores HUP, USR1 or USR2 would be
 * ended by it: it is left alone. Nothing here waits, and the file system of the data is not
 * touched: /proc/PID/exe is read, not followed.
 *
 * 0 when at least one got it. Else, with a sentence: -ESRCH there is none of that name, -EPERM it
 * may not be signalled, -EAGAIN it does not handle the signal (yet). Threads: safe.
 */
#ifndef SIDECAR_REACTION_SIGNAL_H
#define SIDECAR_REACTION_SIGNAL_H

#include <stddef.h>

#include "lib/error.h"

int reaction_signal_send(const char *name, int signal_number, size_t *ret_sent, struct error *err);

#endif
