/*
 * gate: the checks of all requested mounts and of the task at once, each in a child of its own,
 * within one deadline.
 *
 *     struct report report = {0};
 *     gate_run(&settings, &expect, stderr, &report);
 *     report_print_answer(&report, stderr);
 *     report_release(&report);
 *
 * The EFS API is asked as settings.aws_checks says; to explain a failure, only about the mounts
 * that failed or have not come back in half of the time. With settings.wait it begins anew while
 * all that is wrong may heal, and tells progress, once per change, what it waits for.
 *
 * SIGTERM and SIGINT end it within a second, with CAUSE_INTERRUPTED. Whatever goes wrong stands in
 * the report. Takes as long as the slowest mount, at most the longer of deadline and wait, plus
 * lock_hold and 0.3 s. Threads: call it while there is only one.
 */
#ifndef INIT_GATE_H
#define INIT_GATE_H

#include "init/expect.h"
#include "init/report.h"
#include "lib/settings.h"

void gate_run(const struct settings *settings, const struct expectations *expect, FILE *progress,
              struct report *report);

#endif
