/*
 * check_posix: what the probe's log says about one requested directory. Pure judgement: an errno,
 * the ids, the mode and the mount table become a cause and a remedy.
 *
 *     check_path(&question, report);      // adds path, and what kept the probe from getting there
 *     check_posix(&question, report);     // adds write, names, lock, owner, list, groups and
 *                                         // leftovers
 *
 * check_path() comes first and says whether there is anything more to judge. What is found goes
 * into the report, which owns its own copy. Threads: one. Errors: none.
 */
#ifndef INIT_CHECK_POSIX_H
#define INIT_CHECK_POSIX_H

#include "init/probe.h"
#include "init/report.h"
#include "lib/mountinfo.h"

enum probe_end {
    PROBE_ENDED, /* went to its end, or to the step that failed */
    PROBE_HUNG,  /* had to be stopped at the deadline */
    PROBE_DIED,  /* neither: it crashed, or something killed it */
};

struct posix_question {
    const struct probe_log *log;
    enum probe_end end;
    int64_t now_ms, deadline_ms; /* when it was stopped, and the limit that it had */
    const struct mount *mount;   /* that the directory lies on, or probably lies on; NULL unknown */
    const struct ids_setting *expect_owner;
    const struct host_identity *host;
    int64_t lock_hold_ms, lease_ms; /* lease: what the server grants; 0 unknown */
};

/* True: the directory was opened. */
bool check_path(const struct posix_question *question, struct mount_report *report);
void check_posix(const struct posix_question *question, struct mount_report *report);

#endif
