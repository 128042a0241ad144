/*
 * check_content: what the probe saw of the user's expectations inside a mount, and of databases
 * that do not work on a share. Pure judgement.
 *
 *     check_content(&question, report);     // adds marker, create, require and database, each only
 *                                           // when there is something to say
 *
 * What is found goes into the report, which owns its own copy. Threads: one. Errors: none.
 */
#ifndef INIT_CHECK_CONTENT_H
#define INIT_CHECK_CONTENT_H

#include "init/expect.h"
#include "init/probe.h"
#include "init/report.h"

struct content_question {
    const struct expectations *expect;
    size_t mount;
    const struct probe_log *log;
};

void check_content(const struct content_question *question, struct mount_report *report);

#endif
