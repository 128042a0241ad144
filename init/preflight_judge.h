/*
 * preflight_judge: what the facts of a survey mean for a mount from here.
 *
 *     struct mount_report report = {0};
 *     preflight_judge(facts, &report);
 *     const struct check *failure = preflight_failure(&report);   // NULL: a mount should work
 *
 * Checks are in the order of cause and effect: the first that fails explains those behind it. What
 * could not be looked at is `skip` or `unknown`, never a failure. Nothing is asked here. Threads:
 * safe. The report owns nothing.
 */
#ifndef INIT_PREFLIGHT_JUDGE_H
#define INIT_PREFLIGHT_JUDGE_H

#include "init/preflight_survey.h"
#include "init/report.h"

void preflight_judge(const struct preflight_facts *facts, struct mount_report *report);
const struct check *preflight_failure(const struct mount_report *report);

/* ---- for preflight_judge.c: preflight_judge_efs.c's share of the steps ---- */

void preflight_judge_file_system(const struct preflight_facts *facts, struct mount_report *report);
void preflight_judge_targets(const struct preflight_facts *facts, struct mount_report *report);
void preflight_judge_access(const struct preflight_facts *facts, struct mount_report *report);

#endif
