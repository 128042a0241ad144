/*
 * harden: what a program gives up once it has started, so that whoever takes it over by a hostile
 * answer or file gains little.
 *
 *     r = harden_process(settings.seccomp, &err);      // before threads are made
 *     if (r < 0)
 *         log_warn("%s", err.text);                    // it runs on with less of it
 *
 * No new privileges by executing anything; no capabilities but those that ids are about, and these
 * only where it runs as root; no core file, which would hold credentials; and with `filter` only
 * the system calls that the programs make: others fail with ENOSYS, as on an older kernel. All of
 * it goes on to children. Where what was asked for cannot be had the rest is done all the same.
 *
 * Threads: of the caller alone. Errors: -errno and words for the first that failed.
 */
#ifndef LIB_HARDEN_H
#define LIB_HARDEN_H

#include <stdbool.h>

#include "lib/error.h"

int harden_process(bool filter, struct error *err);

#endif
