#include "lib/aws/metadata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/http.h"
#include "lib/json.h"

enum { ANSWER_MAX_BYTES = 512 * 1024, TRY_MS = 2000, URL_MAX = 1024 };

static void get_text(const json_t *object, const char *key, char *buf, size_t size)
{
    const char *text = "";
    json_get_string(object, key, size - 1, &text, NULL);
    snprintf(buf, size, "%s", text);
}

/* The last part of a path or an ARN. */
static void get_last_part(const char *text, char *buf, size_t size)
{
    const char *slash = strrchr(text, '/');
    const char *part = slash ? slash + 1 : text;
    size_t length = strlen(part);
    snprintf(buf, size, "%.*s", length < size ? (int)length : 0, part);
}

static void get_limits(const json_t *object, double *cpu, int64_t *memory_mib)
{
    const json_t *limits = json_object_get(object, "Limits");
    const json_t *value = json_object_get(limits, "CPU");
    *cpu = json_is_number(value) && json_number_value(value) > 0 ? json_number_value(value) : 0;
    *memory_mib = 0;
    json_get_i64(limits, "Memory", 0, INT64_MAX, memory_mib, NULL);
}

#define GET(object, key, field) get_text(object, key, field, sizeof(field))

int metadata_parse_task(const char *body, size_t length, struct metadata *metadata,
                        struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    int r = json_parse(body, length, &root, err);
    if (r < 0)
        return r;
    GET(root, "Cluster", metadata->cluster);
    GET(root, "TaskARN", metadata->task_arn);
    get_last_part(metadata->task_arn, metadata->task_id, sizeof(metadata->task_id));
    GET(root, "Family", metadata->family);
    GET(root, "Revision", metadata->revision);
    GET(root, "AvailabilityZone", metadata->availability_zone);
    GET(root, "AvailabilityZoneID", metadata->availability_zone_id);
    GET(root, "LaunchType", metadata->launch_type);
    GET(root, "ServiceName", metadata->service);
    GET(root, "DesiredStatus", metadata->desired_status);
    get_limits(root, &metadata->cpu_limit, &metadata->memory_limit_mib);
    return 0;
}

int metadata_parse_container(const char *body, size_t length, struct metadata *metadata,
                             struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    int r = json_parse(body, length, &root, err);
    if (r < 0)
        return r;
    GET(root, "Name", metadata->container);
    GET(root, "ContainerARN", metadata->container_arn);
    GET(root, "Image", metadata->image);
    get_limits(root, &metadata->container_cpu_limit, &metadata->container_memory_limit_mib);
    return 0;
}

static int read_one(const char *base, const char *path, int64_t deadline_ms,
                    int (*parse)(const char *, size_t, struct metadata *, struct error *),
                    struct metadata *metadata, struct error *err)
{
    char url[URL_MAX];
    _cleanup_http_response_ struct http_response response = {0};
    if (snprintf(url, sizeof(url), "%s%s", base, path) >= URL_MAX)
        return error_set(err, EINVAL, "ECS_CONTAINER_METADATA_URI_V4 is longer than %d bytes",
                         URL_MAX - 1);
    struct http_request request = {
        .method = "GET",
        .url = url,
        .response_max = ANSWER_MAX_BYTES,
        .deadline_ms = deadline_ms,
        .direct = true,
    };
    int r = http_exchange_patiently(&request, TRY_MS, 404, &response, err);
    if (r == 0 && response.status != 200)
        r = error_set(err, EIO, "%s answered %ld", url, response.status);
    else if (r == 0 && (r = parse(response.body, response.length, metadata, err)) < 0)
        error_prefix(err, "%s", url);
    if (r < 0)
        error_prefix(err, "ECS task metadata");
    return r;
}

static int find_base(const char **ret_base, struct error *err)
{
    *ret_base = getenv("ECS_CONTAINER_METADATA_URI_V4");
    if (*ret_base && **ret_base)
        return 0;
    return error_set(err, ENOENT,
                     "ECS_CONTAINER_METADATA_URI_V4 is not set: this is no ECS task, or its "
                     "platform version or agent is older than version 4 of the endpoint");
}

int metadata_read_task(int64_t deadline_ms, struct metadata *ret_metadata, struct error *err)
{
    struct metadata metadata = {0};
    const char *base;
    int r = find_base(&base, err);
    if (r == 0)
        r = read_one(base, "/task", deadline_ms, metadata_parse_task, &metadata, err);
    if (r == 0)
        *ret_metadata = metadata;
    return r;
}

int metadata_read(int64_t deadline_ms, struct metadata *ret_metadata, struct error *err)
{
    struct metadata metadata;
    const char *base;
    int r = metadata_read_task(deadline_ms, &metadata, err);
    if (r == 0)
        r = find_base(&base, err);
    if (r == 0)
        r = read_one(base, "", deadline_ms, metadata_parse_container, &metadata, err);
    if (r == 0)
        *ret_metadata = metadata;
    return r;
}
