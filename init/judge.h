/*
 * judge: from what the children of one attempt found out to the checks of the report.
 *
 *     judge_mounts(&findings, report);     // when the probes have been stopped
 *     judge_aws(&findings, report);        // when the child that asked AWS has been stopped
 *
 * Pure judgement of what the findings own. Threads: one. Nothing can fail but what is judged.
 */
#ifndef INIT_JUDGE_H
#define INIT_JUDGE_H

#include "init/ask_aws.h"
#include "init/expect.h"
#include "init/probe.h"
#include "init/report.h"
#include "lib/mountinfo.h"
#include "lib/settings.h"

struct findings {
    const struct settings *settings;
    const struct expectations *expect;
    struct mountinfo *table; /* NULL: could not be read */
    struct child probes[CONFIG_MOUNTS_MAX];
    int64_t stopped_ms, limit_ms; /* when the probes were stopped; how long they had */
    struct child aws;             /* struct aws_facts */
    bool asked_api;               /* not only for credentials: */
    bool explaining;              /* because of a failure */
    bool asked_about[CONFIG_MOUNTS_MAX];
};

void judge_mounts(const struct findings *findings, struct report *report);
void judge_aws(const struct findings *findings, struct report *report);

/* The file system that the settings or the mount name; false: neither does. */
bool judge_file_system_id(const struct findings *findings, size_t i, char id[EFS_ID]);

#endif
