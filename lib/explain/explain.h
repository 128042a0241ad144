/*
 * explain: what a message, an exit code or a stopped task means, and what to change.
 *
 *     json_t *answer = NULL;
 *     r = explain(text, length, gate_name, &answer, &err);
 *     explain_print(answer, stdout);              // 80 columns; or json_dumpf(answer, ...)
 *     code = explain_known(answer) ? 0 : 1;
 *
 * text is one of: an exit code ("143"), the id of an entry ("mount-denied"), a message in any
 * surroundings, or JSON: the answer of `aws ecs describe-tasks` or `stop-task`, an EventBridge
 * event of a task, or one task. Any bytes, at most EXPLAIN_TEXT_MAX.
 *
 * The answer: {"format": 1, "asked": "text|exit code|entry|tasks", "known": bool,
 *              "findings": [...] (finding.h), "nearest": [{"id", "meaning"}],
 *              "tasks": [...] (task.h), "missing": [{"task", "reason"}]}
 *
 * Errors: -EFBIG, -ENOMEM, -EINVAL (nothing to explain), as a sentence. Threads: safe.
 */
#ifndef LIB_EXPLAIN_EXPLAIN_H
#define LIB_EXPLAIN_EXPLAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "lib/error.h"

/* gate_name: the container that runs efs-init, or NULL to guess. */
int explain(const char *text, size_t length, const char *gate_name, json_t **ret_answer,
            struct error *err);

bool explain_known(const json_t *answer);

void explain_print(const json_t *answer, FILE *out);

/* A line for each entry of the catalogue, as Markdown: docs/errors.md. */
void explain_print_list(FILE *out);

/* What a program is asked on its command line: the arguments, joined with blanks, or with none or
 * "-" all of in. */
int explain_read(int n_arguments, char **arguments, FILE *in, char **ret_text, size_t *ret_length,
                 struct error *err);

#endif
