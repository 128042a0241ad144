#include "lib/aws/efs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/efs_parse.h"

enum { PAGES_MAX = 32 };

/* "fs-" or "fsap-" and 8 to 40 hexadecimal digits: safe in a path. */
static int check_id(const char *prefix, const char *id, struct error *err)
{
    size_t skip = strlen(prefix);
    if (strncmp(id, prefix, skip) == 0) {
        size_t digits = strspn(id + skip, "0123456789abcdef");
        if (digits >= 8 && digits <= 40 && id[skip + digits] == '\0')
            return 0;
    }
    return error_set(err, EINVAL, "\"%.80s\" is not an id like %s0123456789abcdef0", id, prefix);
}

static int get(const struct aws_client *client, const struct aws_call *call, const char *what,
               struct reply *ret_reply, struct error *err)
{
    int r = aws_request(client, call, ret_reply, err);
    return r < 0 ? r : reply_check(ret_reply, what, err);
}

int efs_describe_file_system(const struct aws_client *client, const char *file_system_id,
                             int64_t deadline_ms, struct efs_file_system *ret_file_system,
                             struct error *err)
{
    int r = check_id("fs-", file_system_id, err);
    if (r < 0)
        return r;
    const struct aws_call call = {
        .action = AWS_DESCRIBE_FILE_SYSTEMS,
        .path = "/2015-02-01/file-systems",
        .query = {{"FileSystemId", file_system_id}},
        .deadline_ms = deadline_ms,
    };
    _cleanup_reply_ struct reply reply = {0};
    r = get(client, &call, "DescribeFileSystems", &reply, err);
    return r < 0 ? r : efs_parse_file_system(reply.body, reply.length, ret_file_system, err);
}

/* What differs between the two lists; parse appends to the list behind list. */
struct paging {
    enum aws_action_id action;
    const char *what, *path;
    const char *id_name, *size_name, *size, *next_name;
    int (*parse)(const char *body, size_t length, void *list, char next[EFS_MARKER],
                 struct error *err);
};

static int read_pages(const struct aws_client *client, const struct paging *paging, const char *id,
                      int64_t deadline_ms, void *list, const bool *full, struct error *err)
{
    char next[EFS_MARKER] = "";
    for (int page = 0; page < PAGES_MAX && !*full; page++) {
        const struct aws_call call = {
            .action = paging->action,
            .path = paging->path,
            .query = {{paging->id_name, id},
                      {paging->size_name, paging->size},
                      {next[0] ? paging->next_name : NULL, next}},
            .deadline_ms = deadline_ms,
        };
        _cleanup_reply_ struct reply reply = {0};
        int r = get(client, &call, paging->what, &reply, err);
        if (r == 0)
            r = paging->parse(reply.body, reply.length, list, next, err);
        if (r < 0 || !next[0])
            return r;
    }
    return *full ? 0 : error_set(err, EBADMSG, "%s: more than %d pages", paging->what, PAGES_MAX);
}

static int parse_targets(const char *body, size_t length, void *list, char next[EFS_MARKER],
                         struct error *err)
{
    return efs_parse_mount_targets(body, length, list, next, err);
}

int efs_describe_mount_targets(const struct aws_client *client, const char *file_system_id,
                               int64_t deadline_ms, struct efs_mount_targets *ret_targets,
                               struct error *err)
{
    static const struct paging paging = {AWS_DESCRIBE_MOUNT_TARGETS,
                                         "DescribeMountTargets",
                                         "/2015-02-01/mount-targets",
                                         "FileSystemId",
                                         "MaxItems",
                                         "100",
                                         "Marker",
                                         parse_targets};
    struct efs_mount_targets targets = {0};
    int r = check_id("fs-", file_system_id, err);
    if (r == 0)
        r = read_pages(client, &paging, file_system_id, deadline_ms, &targets, &targets.more, err);
    if (r < 0)
        efs_mount_targets_release(&targets);
    else
        *ret_targets = targets;
    return r;
}

static int parse_points(const char *body, size_t length, void *list, char next[EFS_MARKER],
                        struct error *err)
{
    return efs_parse_access_points(body, length, list, next, err);
}

int efs_describe_access_points(const struct aws_client *client, const char *id, int64_t deadline_ms,
                               struct efs_access_points *ret_points, struct error *err)
{
    bool one = strncmp(id, "fsap-", 5) == 0;
    const struct paging paging = {AWS_DESCRIBE_ACCESS_POINTS,
                                  "DescribeAccessPoints",
                                  "/2015-02-01/access-points",
                                  one ? "AccessPointId" : "FileSystemId",
                                  "MaxResults",
                                  "100",
                                  "NextToken",
                                  parse_points};
    struct efs_access_points points = {0};
    int r = check_id(one ? "fsap-" : "fs-", id, err);
    if (r == 0)
        r = read_pages(client, &paging, id, deadline_ms, &points, &points.more, err);
    if (r < 0)
        efs_access_points_release(&points);
    else
        *ret_points = points;
    return r;
}

int efs_describe_file_system_policy(const struct aws_client *client, const char *file_system_id,
                                    int64_t deadline_ms, char **ret_policy, struct error *err)
{
    char path[128];
    int r = check_id("fs-", file_system_id, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/2015-02-01/file-systems/%s/policy", file_system_id);
    const struct aws_call call = {
        .action = AWS_DESCRIBE_FILE_SYSTEM_POLICY, .path = path, .deadline_ms = deadline_ms};
    _cleanup_reply_ struct reply reply = {0};
    r = get(client, &call, "DescribeFileSystemPolicy", &reply, err);
    if (r == -ENOENT && strcmp(reply.code, "PolicyNotFound") == 0) {
        *ret_policy = NULL;
        return 0;
    }
    return r < 0 ? r : efs_parse_policy(reply.body, reply.length, ret_policy, err);
}
