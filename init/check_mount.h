/*
 * check_mount: what the kernel's mount table says about one requested directory. Pure judgement: no
 * file of the mount is touched.
 *
 *     check_mount(&question, report);     // adds the checks mount, source, access and options
 *
 * What is found goes into the report, which owns its own copy. Threads: one. Errors: none.
 */
#ifndef INIT_CHECK_MOUNT_H
#define INIT_CHECK_MOUNT_H

#include "init/report.h"
#include "lib/mountinfo.h"

struct mount_question {
    const struct mount *mount; /* what lies at the path */
    const struct mount
        *another; /* an NFS mount elsewhere, to name when the path has none; or NULL */
    bool allow_local;
};

void check_mount(const struct mount_question *question, struct mount_report *report);

#endif
