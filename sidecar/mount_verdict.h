/*
 * mount_verdict: what is known of a mount, judged: is it ready, and if not, why and what to do?
 *
 *     struct mount_facts facts = {.path = "/data", .want_write = true, ...};
 *     mount_judge(&facts, &conditions);           // sets MountReady
 *
 * Pure: no calls, no clock. Ownership: facts' pointers are the caller's. Threads: safe.
 */
#ifndef SIDECAR_MOUNT_VERDICT_H
#define SIDECAR_MOUNT_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "sidecar/health.h"

struct mount_facts {
    const char *path;
    bool want_write, allow_local;

    /* from the kernel's list of mounts */
    bool listed;         /* it could be read */
    bool nfs, read_only; /* what path lies on */
    bool own_mount;      /* it is mounted at path itself */
    const char *fstype;
    const char *wanted_id,
        *found_id; /* file system, as configured and as the source names it; "" */

    /* from calls */
    bool answered;              /* some call came back */
    int64_t probe_ms;           /* of the last probe; -1: none */
    struct error probe, canary; /* code 0: the last one worked, or there was none */
    int64_t stalled_ms;         /* age of the oldest call once it is too old; else 0 */
    const char *stalled_call;
    int64_t stall_after_ms;
};

/* May calls be sent to it: is it what was asked for? */
bool mount_is_usable(const struct mount_facts *facts);

void mount_judge(const struct mount_facts *facts, struct conditions *conditions);

#endif
