#include "lib/aws/endpoint.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/cleanup.h"

const struct aws_service aws_sts = {"STS", "sts", "sts"};
const struct aws_service aws_efs = {"EFS", "elasticfilesystem", "elasticfilesystem"};
const struct aws_service aws_ecs = {"ECS", "ecs", "ecs"};
const struct aws_service aws_cloudwatch = {"CLOUDWATCH", "monitoring", "monitoring"};

/* By how the region's name begins; aws and aws-us-gov share theirs. */
static const struct {
    const char *prefix, *domain;
} partitions[] = {
    {"cn-", "amazonaws.com.cn"},   {"eusc-", "amazonaws.eu"},      {"us-iso-", "c2s.ic.gov"},
    {"us-isob-", "sc2s.sgov.gov"}, {"eu-isoe-", "cloud.adc-e.uk"}, {"us-isof-", "csp.hci.ic.gov"},
    {"", "amazonaws.com"},
};

const char *endpoint_domain(const char *region)
{
    size_t i = 0;
    while (strncmp(region, partitions[i].prefix, strlen(partitions[i].prefix)) != 0)
        i++;
    return partitions[i].domain;
}

/* It becomes part of a host name: "eu-west-1", nothing that could lead elsewhere. */
static bool is_region(const char *text, size_t length)
{
    if (length < 4 || length >= ENDPOINT_REGION || text[0] == '-' || text[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') &&
            text[i] != '-')
            return false;
    }
    return true;
}

/* The fourth field of arn:partition:service:region:... */
static const char *region_of_arn(const char *arn, size_t *ret_length)
{
    const char *at = arn;
    for (int field = 0; field < 3; field++) {
        at = strchr(at, ':');
        if (!at)
            return NULL;
        at++;
    }
    *ret_length = strcspn(at, ":");
    return at[*ret_length] == ':' && strncmp(arn, "arn:", 4) == 0 ? at : NULL;
}

int endpoint_region(const char *arn, char ret_region[ENDPOINT_REGION], struct error *err)
{
    static const char *const variables[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = getenv(variables[i]);
        if (!value || !*value)
            continue;
        if (!is_region(value, strlen(value)))
            return error_set(err, EINVAL, "%s: \"%.64s\" is not the name of a region", variables[i],
                             value);
        snprintf(ret_region, ENDPOINT_REGION, "%s", value);
        return 0;
    }
    if (!arn || !*arn)
        return error_set(err, ENOENT, "the region is not known: set AWS_REGION");
    size_t length = 0;
    const char *region = region_of_arn(arn, &length);
    if (!region || !is_region(region, length))
        return error_set(err, EINVAL, "there is no region in \"%.128s\": set AWS_REGION", arn);
    snprintf(ret_region, ENDPOINT_REGION, "%.*s", (int)length, region);
    return 0;
}

static const char *configured(const struct aws_service *service, char *variable, size_t size)
{
    const char *ignore = getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if (ignore && strcasecmp(ignore, "true") == 0)
        return NULL;
    snprintf(variable, size, "AWS_ENDPOINT_URL_%s", service->name);
    const char *url = getenv(variable);
    if (url && *url)
        return url;
    snprintf(variable, size, "AWS_ENDPOINT_URL");
    url = getenv(variable);
    return url && *url ? url : NULL;
}

bool endpoint_is_configured(const struct aws_service *service)
{
    char variable[64];
    return configured(service, variable, sizeof(variable)) != NULL;
}

int endpoint_url(const struct aws_service *service, const char *region, char *ret_url, size_t size,
                 struct error *err)
{
    char variable[64];
    if (!is_region(region, strlen(region)))
        return error_set(err, EINVAL, "\"%.64s\" is not the name of a region", region);
    const char *url = configured(service, variable, sizeof(variable));
    if (!url) {
        int n = snprintf(ret_url, size, "https://%s.%s.%s", service->host, region,
                         endpoint_domain(region));
        return n < (int)size ? 0 : -ENAMETOOLONG;
    }
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/')
        length--;
    bool http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    if (!http || length >= size || strpbrk(url, "?#@ \r\n"))
        return error_set(err, EINVAL,
                         "%s: wants http://HOST or https://HOST, without user name and query",
                         variable);
    snprintf(ret_url, size, "%.*s", (int)length, url);
    return 0;
}
