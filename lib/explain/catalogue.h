/*
 * catalogue: the failures of EFS volumes on ECS that people report, as data: how each shows, what
 * causes it, how to be sure, what to change.
 *
 *     for (size_t i = 0; (entry = explain_entry(i)); i++)
 *         ...
 *     entry = explain_entry_by_id("mount-denied");
 *
 * Forms and the {values} in them and in the advice: pattern.h. Advice may name values that a text
 * does not have; what prints it puts a placeholder there (answer.h). Sources are the public threads
 * where people met the failure, as "OWNER/REPOSITORY#NUMBER", or the program whose message it is.
 * Entries and ids are never reused for something else. A new entry comes with a message as somebody
 * met it, in tests/data/stopped-reasons.
 */
#ifndef LIB_EXPLAIN_CATALOGUE_H
#define LIB_EXPLAIN_CATALOGUE_H

#include <stddef.h>

#include "lib/explain/cause.h"

enum {
    EXPLAIN_FORMS_MAX = 12,
    EXPLAIN_CAUSES_MAX = 4,
    EXPLAIN_SOURCES_MAX = 8,
    EXPLAIN_CODES_MAX = 4,
};

enum explain_level {
    LEVEL_CAUSE,       /* names what went wrong */
    LEVEL_CONSEQUENCE, /* happened because something else went wrong */
    LEVEL_SYMPTOM,     /* says that something went wrong, not what */
};

struct explain_cause {
    const char *why;       /* one sentence */
    const char *confirm;   /* commands, a line each, or NULL */
    const char *fix;       /* what to change, sentences */
    const char *cli;       /* the change as commands, or NULL */
    const char *terraform; /* the change as Terraform, or NULL */
    enum cause gate;       /* what efs-init calls it, or CAUSE_NONE */
};

struct explain_entry {
    const char *id;
    enum explain_level level;
    const char *meaning; /* one sentence: what the message says */
    const char *forms[EXPLAIN_FORMS_MAX + 1];
    int exit_codes[EXPLAIN_CODES_MAX + 1];               /* of a container's process, 0 ends */
    struct explain_cause causes[EXPLAIN_CAUSES_MAX + 1]; /* the likeliest first */
    const char *sources[EXPLAIN_SOURCES_MAX + 1];
};

/* NULL behind the last one. */
const struct explain_entry *explain_entry(size_t i);

const struct explain_entry *explain_entry_by_id(const char *id);

/* The first entry of a process exit code, or with a cause that efs-init calls so; NULL. */
const struct explain_entry *explain_entry_by_exit_code(int exit_code);
const struct explain_entry *explain_entry_by_gate(enum cause gate);

/* The parts of the catalogue, one file each; an entry without id ends them. */
extern const struct explain_entry explain_mounting[]; /* mounting: permission, name, network */
extern const struct explain_entry explain_settings[]; /* mounting: how volume and host are set up */
extern const struct explain_entry explain_using[];    /* mounted, but file operations fail */
extern const struct explain_entry explain_working[];  /* locks, databases, speed, metrics */
extern const struct explain_entry explain_running[];  /* the task does not start, or stops */

#endif
