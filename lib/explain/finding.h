/*
 * finding: one thing that explain found out, as JSON, its advice filled in with the values known.
 *
 *     json_t *finding = explain_finding(entry, &values);
 *     json_t *finding = explain_gate_finding(cause_from_exit_code(21), &values);
 *
 *     {"id", "level": "cause|consequence|symptom", "meaning",
 *      "causes": [{"why", "confirm", "fix", "cli", "terraform",          // the likeliest first
 *                  "gate": {"cause", "exit_code"}}],                     // what efs-init calls it
 *      "sources": [...], "values": {"fs": ...}}
 *
 * NULL when memory is out. The caller owns what is returned. Threads: safe.
 */
#ifndef LIB_EXPLAIN_FINDING_H
#define LIB_EXPLAIN_FINDING_H

#include <jansson.h>

#include "lib/explain/catalogue.h"
#include "lib/explain/match.h"

json_t *explain_finding(const struct explain_entry *entry, const struct explain_values *values);

/* An exit code of efs-init: its own words, then the causes that it calls so. */
json_t *explain_gate_finding(const struct cause_info *gate, const struct explain_values *values);

/* [{"id", "meaning"}] of the entries that come near an unknown text. */
json_t *explain_nearest(const struct explain_result *result);

#endif
