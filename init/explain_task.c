#include "init/explain_task.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/aws/request.h"
#include "lib/clock.h"
#include "lib/json.h"

enum { ARN_MAX = 512, CALL_MS = 15 * 1000 };

/* "arn:PARTITION:ecs:REGION:ACCOUNT:task/CLUSTER/ID", or task/ID as it was before 2018, then the
 * cluster is "default". cluster is of ARN_MAX bytes. */
static bool cluster_of(const char *arn, char *cluster)
{
    if (strlen(arn) >= ARN_MAX || strncmp(arn, "arn:", 4) != 0 || !strstr(arn, ":ecs:"))
        return false;
    const char *name = strstr(arn, ":task/");
    if (!name)
        return false;
    name += strlen(":task/");
    const char *slash = strchr(name, '/');
    snprintf(cluster, ARN_MAX, "%.*s", slash ? (int)(slash - name) : (int)strlen("default"),
             slash ? name : "default");
    return *cluster && *(slash ? slash + 1 : name);
}

/* ECS answers 200 and a list of failures for what it does not know. */
static int check_found(const struct reply *reply, const char *arn, struct error *err)
{
    _cleanup_json_ json_t *answer = NULL;
    int r = json_parse(reply->body, reply->length, &answer, err);
    if (r < 0) {
        error_prefix(err, "DescribeTasks");
        return r;
    }
    if (json_array_size(json_object_get(answer, "tasks")) == 0)
        return error_set(err, ENOENT,
                         "ECS does not know %.200s: it forgets a stopped task after about an hour; "
                         "the service's events (aws ecs describe-services) keep the reason longer",
                         arn);
    return 0;
}

static int describe(const char *arn, const char *cluster, struct reply *reply, struct error *err)
{
    struct aws_client client;
    _cleanup_json_ json_t *wanted = json_pack("{s:s, s:[s]}", "cluster", cluster, "tasks", arn);
    _cleanup_free_ char *body = wanted ? json_dumps(wanted, JSON_COMPACT) : NULL;
    if (!body)
        return error_set(err, EINVAL, "--task: the ARN is not UTF-8");
    int r = aws_client_open(arn, &client, err);
    if (r < 0)
        return r;
    const struct aws_call call = {
        .action = AWS_DESCRIBE_TASKS,
        .path = "/",
        .headers = {"Content-Type: application/x-amz-json-1.1",
                    "X-Amz-Target: AmazonEC2ContainerServiceV20141113.DescribeTasks"},
        .body = body,
        .body_length = strlen(body),
        .deadline_ms = clock_now_ms() + CALL_MS,
    };
    r = aws_request(&client, &call, reply, err);
    if (r == 0)
        r = reply_check(reply, "DescribeTasks", err);
    aws_client_close(&client);
    return r;
}

int explain_fetch_task(const char *arn, char **ret_text, size_t *ret_length, struct error *err)
{
    _cleanup_reply_ struct reply reply = {0};
    char cluster[ARN_MAX];
    if (!cluster_of(arn, cluster))
        return error_set(err, EINVAL,
                         "--task: \"%.200s\" is not the ARN of a task, like "
                         "arn:aws:ecs:eu-west-1:111122223333:task/CLUSTER/ID",
                         arn);
    int r = describe(arn, cluster, &reply, err);
    if (r == 0)
        r = check_found(&reply, arn, err);
    if (r < 0)
        return r == -EINVAL ? -EPROTO : r; /* what AWS did not like is no misuse of ours */
    *ret_text = take_ptr(reply.body);
    *ret_length = reply.length;
    return 0;
}
