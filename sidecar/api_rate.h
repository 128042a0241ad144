/*
 * api_rate: how many requests that cost calls to EFS each user of the API may make.
 *
 *     api_rate_init(&rate, per_second);
 *     if (api_rate_costs(head) && !api_rate_take(&rate, uid, head->body_bytes, clock_now_ms()))
 *         ... 429 ...
 *
 * A loop gone wild in one container must not spend the throughput that others of the task, and of
 * other tasks, need. Each user id has a bucket that API_RATE_BURST_S seconds fill; a long body,
 * which is a list of paths, counts as several requests. What is answered from memory costs nothing,
 * and whoever gives something back is never refused. Threads: one.
 */
#ifndef SIDECAR_API_RATE_H
#define SIDECAR_API_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sidecar/http_head.h"

enum {
    API_RATE_USERS = 16, /* who has been silent for longest makes room */
    API_RATE_BURST_S = 5,
    API_RATE_BODY_BYTES = 128, /* of the body are another request */
};

struct api_rate {
    int64_t per_second; /* 0: no limit */
    struct api_rate_user {
        uid_t uid;
        int64_t left_milli; /* thousandths of a request */
        int64_t seen_ms;    /* 0: nobody's yet */
    } users[API_RATE_USERS];
};

void api_rate_init(struct api_rate *rate, int64_t per_second);
bool api_rate_costs(const struct http_head *head);
bool api_rate_take(struct api_rate *rate, uid_t uid, size_t body_bytes, int64_t now_ms);

#endif
