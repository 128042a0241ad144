/*
 * orphans: what becomes of the write directory of a task that ended: the settings orphans.*.
 *
 *     orphans_check(&settings, &report);                  // tells all that is wrong with them
 *     policy = orphans_policy(&settings, "/data");
 *
 * orphans.policy is a list of POLICY, for all mounts, and PATH=POLICY, for one. Threads: safe.
 */
#ifndef SIDECAR_ORPHANS_H
#define SIDECAR_ORPHANS_H

#include "lib/settings.h"

enum orphans_policy {
    ORPHANS_KEEP,    /* it stays where it is */
    ORPHANS_ADOPT,   /* a live task gets it */
    ORPHANS_ARCHIVE, /* it goes to orphans.archive */
    ORPHANS_DELETE,  /* after orphans.retention */
};

extern const char *const orphans_policy_names[]; /* NULL-terminated */

void orphans_check(const struct settings *settings, struct config_report *report);
enum orphans_policy orphans_policy(const struct settings *settings, const char *mount);

#endif
