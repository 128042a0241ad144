/*
 * metadata: what ECS says about this task and this container (task metadata endpoint, version 4).
 *
 *     struct metadata metadata;
 *     r = metadata_read(deadline_ms, &metadata, &err);      // -ENOENT: this is no ECS task
 *
 * While the agent does not know the container yet (404) or is busy (429, 5xx) it is asked again,
 * until the deadline. Nearly every field may be missing: texts are then "", numbers 0. What does
 * not fit counts as missing, because half an ARN is worse than none.
 *
 * Threads: any but a loop thread. Errors: -ENOENT the variable is not set; -EINVAL the answer is
 * not a JSON object; those of http.h.
 */
#ifndef LIB_AWS_METADATA_H
#define LIB_AWS_METADATA_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

struct metadata {
    /* of the task */
    char cluster[512]; /* ARN or name, as ECS says it */
    char task_arn[512];
    char task_id[256]; /* last part of the ARN */
    char family[256];
    char revision[32];
    char availability_zone[64];
    char availability_zone_id[64];
    char launch_type[32]; /* "FARGATE", "EC2", "EXTERNAL" ... */
    char service[256];
    char desired_status[32];
    double cpu_limit; /* vCPU */
    int64_t memory_limit_mib;

    /* of the container */
    char container[256];
    char container_arn[512];
    char image[512];
    double container_cpu_limit; /* CPU units of 1/1024 */
    int64_t container_memory_limit_mib;
};

int metadata_read(int64_t deadline_ms, struct metadata *ret_metadata, struct error *err);

/* Only the task's part: one question. */
int metadata_read_task(int64_t deadline_ms, struct metadata *ret_metadata, struct error *err);

/* The answers themselves: each fills its part of *metadata. */
int metadata_parse_task(const char *body, size_t length, struct metadata *metadata,
                        struct error *err);
int metadata_parse_container(const char *body, size_t length, struct metadata *metadata,
                             struct error *err);

#endif
