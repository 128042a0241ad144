#include "sidecar/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"

const char *const condition_type_names[] = {
    [CONDITION_MOUNT_READY] = "MountReady",
    [CONDITION_FEED_READY] = "FeedReady",
    [CONDITION_LOCKS_READY] = "LocksReady",
    [CONDITION_TASK_DIRECTORY] = "TaskDirectoryReady",
    [CONDITION_CACHE_READY] = "CacheReady",
    [CONDITION_CREDENTIALS_VALID] = "CredentialsValid",
    [CONDITION_METRICS_PUBLISHING] = "MetricsPublishing",
};

const char *const condition_status_names[] = {
    [CONDITION_TRUE] = "True",
    [CONDITION_UNKNOWN] = "Unknown",
    [CONDITION_FALSE] = "False",
};

void health_init(struct health *health)
{
    *health = (struct health){
        .started_ms = clock_now_ms(),
        .started_wall_ms = clock_wall_ms(),
    };
    conditions_init(&health->conditions, NULL);
}

void conditions_init(struct conditions *conditions, const char *subject)
{
    *conditions = (struct conditions){.subject = subject};
    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        struct condition *condition = &conditions->of[i];
        condition->status = CONDITION_UNKNOWN;
        snprintf(condition->reason, sizeof(condition->reason), CONDITION_NOT_ENABLED);
        condition->since_ms = clock_now_ms();
        condition->since_wall_ms = clock_wall_ms();
    }
}

bool conditions_set(struct conditions *conditions, enum condition_type type,
                    enum condition_status status, const char *reason, const char *message, ...)
{
    struct condition *condition = &conditions->of[type];
    bool turned = condition->status != status;
    bool changed = turned || strcmp(condition->reason, reason) != 0;
    va_list args;

    if (turned) {
        condition->status = status;
        condition->since_ms = clock_now_ms();
        condition->since_wall_ms = clock_wall_ms();
    }
    snprintf(condition->reason, sizeof(condition->reason), "%s", reason);
    va_start(args, message);
    vsnprintf(condition->message, sizeof(condition->message), message, args);
    va_end(args);
    if (changed && conditions->subject)
        log_event(status == CONDITION_FALSE ? LOG_WARN : LOG_INFO, condition->message, "mount",
                  conditions->subject, "condition", condition_type_names[type], "status",
                  condition_status_names[status], "reason", reason, NULL);
    if (changed && conditions->changed)
        conditions->changed(conditions->arg);
    return changed;
}

/* How much a condition says about the whole: what is not enabled says nothing. */
static int weight(const struct condition *condition)
{
    if (strcmp(condition->reason, CONDITION_NOT_ENABLED) == 0)
        return -1;
    return (int)condition->status;
}

void conditions_worst(struct conditions *sum, const struct conditions *const sets[], size_t n)
{
    for (enum condition_type type = 0; type <= CONDITION_CACHE_READY && n > 0; type++) {
        const struct conditions *worst = sets[0];
        for (size_t i = 1; i < n; i++)
            if (weight(&sets[i]->of[type]) > weight(&worst->of[type]))
                worst = sets[i];
        const struct condition *condition = &worst->of[type];
        bool name_it = n > 1 && weight(condition) >= 0 && condition->status != CONDITION_TRUE;
        conditions_set(sum, type, condition->status, condition->reason, "%s%s%s",
                       name_it ? worst->subject : "", name_it ? ": " : "", condition->message);
    }
}

json_t *conditions_to_json(const struct conditions *conditions)
{
    _cleanup_json_ json_t *array = json_array();
    for (size_t i = 0; array && i < CONDITION_TYPES; i++) {
        const struct condition *condition = &conditions->of[i];
        char since[CLOCK_TEXT];
        json_t *object =
            json_pack("{s:s, s:s, s:s, s:o, s:s}", "type", condition_type_names[i], "status",
                      condition_status_names[condition->status], "reason", condition->reason,
                      "message", json_string_lossy(condition->message), "lastTransition",
                      clock_format(condition->since_wall_ms, since));
        if (json_array_append_new(array, object) < 0)
            return NULL;
    }
    return take_ptr(array);
}
