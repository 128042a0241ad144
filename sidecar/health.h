/*
 * health: what the sidecar knows about its state, as conditions in the manner of Kubernetes: a
 * type, a status, a reason for programs, a message for people and the time of the last change.
 *
 *     struct conditions conditions;
 *     conditions_init(&conditions, "/data");               // every type Unknown, NotEnabled
 *     conditions_set(&conditions, CONDITION_MOUNT_READY, CONDITION_FALSE, "MountStalled",
 *                    "the server has not answered for %lld s", ...);
 *     conditions_worst(&health.conditions, sets, n);        // over all mounts
 *     json_t *array = conditions_to_json(&conditions);
 *
 * A change of status or reason is logged once; a new message alone is not. There is one struct
 * health in the process. Ownership: everything is in the structures; the subject is the caller's.
 * Threads: the loop's.
 */
#ifndef SIDECAR_HEALTH_H
#define SIDECAR_HEALTH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum condition_type {
    CONDITION_MOUNT_READY,
    CONDITION_FEED_READY,
    CONDITION_LOCKS_READY,
    CONDITION_TASK_DIRECTORY,
    CONDITION_CACHE_READY,
    CONDITION_CREDENTIALS_VALID,
    CONDITION_METRICS_PUBLISHING,
    CONDITION_TYPES,
};

/* In the order of what is worse when several mounts are summed up. */
enum condition_status { CONDITION_TRUE, CONDITION_UNKNOWN, CONDITION_FALSE };

struct condition {
    enum condition_status status;
    char reason[32];                 /* CamelCase */
    char message[480];               /* "" or sentences that say what to do */
    int64_t since_ms, since_wall_ms; /* of the last change of status */
};

struct conditions {
    const char *subject; /* the mount's path; NULL for the sidecar as a whole, which does not log */
    void (*changed)(void *arg); /* a status or reason did; or NULL */
    void *arg;
    struct condition of[CONDITION_TYPES];
};

struct health {
    int64_t started_ms, started_wall_ms;
    struct conditions conditions; /* over all mounts, and those of the sidecar itself */
};

extern const char *const condition_type_names[];   /* "MountReady" ... */
extern const char *const condition_status_names[]; /* "True" ... */

#define CONDITION_NOT_ENABLED "NotEnabled" /* the profile does not have it: always Unknown */

void health_init(struct health *health);

void conditions_init(struct conditions *conditions, const char *subject);

/* Returns whether status or reason changed. */
bool conditions_set(struct conditions *conditions, enum condition_type type,
                    enum condition_status status, const char *reason, const char *message, ...)
    __attribute__((format(printf, 5, 6)));

/* For the types that belong to mounts (the first five): the worst of the sets, its subject in
 * front of the message when there are several. NotEnabled only counts when all are. */
void conditions_worst(struct conditions *sum, const struct conditions *const sets[], size_t n);

/* [{"type","status","reason","message","lastTransition"}, ...]; NULL: no memory. */
json_t *conditions_to_json(const struct conditions *conditions);

#endif
