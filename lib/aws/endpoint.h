/*
 * endpoint: in which region this task runs and at which URL a service answers there.
 *
 *     char region[ENDPOINT_REGION];
 *     r = endpoint_region(task_arn, region, &err);             // environment, else the ARN
 *     r = endpoint_url(&aws_efs, region, url, sizeof(url), &err);
 *
 * AWS_ENDPOINT_URL_STS, _EFS, _ECS and _CLOUDWATCH go before AWS_ENDPOINT_URL, unless
 * AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true. Otherwise the host is SERVICE.REGION and the domain
 * of the partition that the region belongs to. Threads: any, while nobody changes the environment.
 */
#ifndef LIB_AWS_ENDPOINT_H
#define LIB_AWS_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

enum { ENDPOINT_REGION = 64, ENDPOINT_URL = 512 };

struct aws_service {
    const char *name;    /* as in variables: "EFS" */
    const char *host;    /* first part of the host name */
    const char *signing; /* what signatures call it */
};

extern const struct aws_service aws_sts, aws_efs, aws_ecs, aws_cloudwatch;

/* AWS_REGION, AWS_DEFAULT_REGION, else the region of the ARN (may be NULL). -ENOENT, -EINVAL. */
int endpoint_region(const char *arn, char ret_region[ENDPOINT_REGION], struct error *err);

/* Without a trailing slash. -EINVAL: the region or the configured URL cannot be right. */
int endpoint_url(const struct aws_service *service, const char *region, char *ret_url, size_t size,
                 struct error *err);

/* Whether a variable names the endpoint: then it may be anything that plays the service. */
bool endpoint_is_configured(const struct aws_service *service);

/* "amazonaws.com" and its like in other partitions. */
const char *endpoint_domain(const char *region);

#endif
