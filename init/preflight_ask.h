/*
 * preflight_ask: the questions of a survey that block: names, the task's metadata, credentials,
 * EFS.
 *
 *     preflight_ask(pool, PREFLIGHT_ASK_TARGETS, facts, &client, "fs-...", &facts->targets_answer);
 *     ... work_pool_dispatch(pool) ...        // fills facts->targets and the answer
 *
 * A question is asked once; asking again does nothing. What was found goes into the facts on the
 * thread that dispatches, and only if it came in time. Ownership: a question keeps copies of what
 * it was given, and a pointer to the client. Threads: that of the pool's loop.
 */
#ifndef INIT_PREFLIGHT_ASK_H
#define INIT_PREFLIGHT_ASK_H

#include "init/preflight_survey.h"
#include "lib/work_pool.h"

enum preflight_question {
    PREFLIGHT_ASK_METADATA,
    PREFLIGHT_ASK_NAME, /* about a DNS name */
    PREFLIGHT_ASK_CREDENTIALS,
    PREFLIGHT_ASK_FILE_SYSTEM,
    PREFLIGHT_ASK_TARGETS,
    PREFLIGHT_ASK_GROUPS, /* about a mount target */
    PREFLIGHT_ASK_POINT,
    PREFLIGHT_ASK_POLICY,
};

void preflight_ask(struct work_pool *pool, enum preflight_question question,
                   struct preflight_facts *facts, const struct aws_client *client,
                   const char *about, struct preflight_answer *answer);

#endif
