/*
 * gate: the checks of all requested mounts at once, each in a child of its own, within one
 * deadline.
 *
 *     struct report report = {0};
 *     gate_run(&settings, &report);
 *     report_print_answer(&report, stderr);
 *     report_release(&report);
 *
 * SIGTERM and SIGINT end it within a second, with CAUSE_INTERRUPTED. Whatever goes wrong stands in
 * the report. Takes as long as the slowest mount, at most deadline + lock_hold and 0.2 s. Threads:
 * call it while there is only one.
 */
#ifndef INIT_GATE_H
#define INIT_GATE_H

#include "init/report.h"
#include "lib/settings.h"

void gate_run(const struct settings *settings, struct report *report);

#endif
