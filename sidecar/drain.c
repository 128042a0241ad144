#include "sidecar/drain.h"

#include <stdlib.h>
#include <string.h>

#include "lib/aws/metadata.h"
#include "lib/clock.h"
#include "lib/log.h"

enum { INTERVAL_MS = 5 * 1000, ANSWER_MS = 4 * 1000 };

struct question {
    struct drain *drain;
    bool stopped;
    struct error err;
};

bool drain_is_possible(void)
{
    const char *base = getenv("ECS_CONTAINER_METADATA_URI_V4");
    return base && *base;
}

static int ask_run(void *arg)
{
    struct question *question = arg;
    struct metadata metadata;
    int r = metadata_read_task(clock_now_ms() + ANSWER_MS, &metadata, &question->err);
    question->stopped = r == 0 && strcmp(metadata.desired_status, "STOPPED") == 0;
    return r;
}

static void ask_done(void *arg, enum work_outcome outcome, int result)
{
    const struct question *question = arg;
    struct drain *drain = question->drain;
    drain->in_flight = false;
    drain->next_ms = clock_now_ms() + INTERVAL_MS;
    if (outcome != WORK_DONE)
        return;
    if (result < 0 && !drain->told)
        log_warn("whether ECS wants this task to stop is not known, so it claims files until "
                 "SIGTERM comes: %s",
                 question->err.text);
    drain->told = result < 0;
    if (!question->stopped || drain->draining)
        return;
    drain->draining = true;
    log_info("ECS wants this task to stop (DesiredStatus): no files are claimed any more");
}

static const struct job ask_job = {
    .what = "asking ECS whether the task is to stop",
    .run = ask_run,
    .done = ask_done,
    .release = free,
};

bool drain_step(struct drain *drain, bool wanted)
{
    if (drain->draining || drain->in_flight || !wanted || clock_now_ms() < drain->next_ms)
        return drain->draining;
    struct question *question = calloc(1, sizeof(*question));
    if (!question)
        return false;
    question->drain = drain;
    drain->in_flight = work_pool_submit(drain->pool, &ask_job, question, CLOCK_NEVER) == 0;
    if (!drain->in_flight)
        free(question);
    return false;
}
