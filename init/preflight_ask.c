#include "init/preflight_ask.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"

enum { ANSWER_BEFORE_END_MS = 200 }; /* so that what timed out can still say what it was doing */

struct inquiry {
    const struct question *question;
    struct preflight_facts *facts; /* of the dispatching thread */
    struct preflight_answer *answer;
    const struct aws_client *client;
    char about[PREFLIGHT_NAME];
    int64_t deadline_ms;
    struct error err;
    struct {
        struct metadata metadata;
        struct preflight_lookup lookup;
        struct credentials *credentials;
        struct efs_file_system file_system;
        struct efs_mount_targets targets;
        struct efs_access_points points;
        char groups[PREFLIGHT_GROUPS];
        char *policy;
    } found;
};

struct question {
    int (*run)(struct inquiry *inquiry);    /* on a worker */
    void (*store)(struct inquiry *inquiry); /* what was found, into the facts */
};

/* ---- the task ---- */

static int run_metadata(struct inquiry *inquiry)
{
    return metadata_read(inquiry->deadline_ms, &inquiry->found.metadata, &inquiry->err);
}

static void store_metadata(struct inquiry *inquiry)
{
    inquiry->facts->metadata = inquiry->found.metadata;
}

static int run_credentials(struct inquiry *inquiry)
{
    return credentials_get(inquiry->client->credentials, inquiry->deadline_ms,
                           &inquiry->found.credentials, &inquiry->err);
}

static void store_credentials(struct inquiry *inquiry)
{
    struct preflight_facts *facts = inquiry->facts;
    const struct credentials *keys = inquiry->found.credentials;
    snprintf(facts->role_arn, sizeof(facts->role_arn), "%s", keys->role_arn);
}

/* ---- names ---- */

static int name_error(const char *name, int code, int saved_errno, struct error *err)
{
    switch (code) {
    case EAI_NONAME:
    case EAI_NODATA:
        return error_set(err, ENOENT, "there is no name %s with an address", name);
    case EAI_AGAIN:
        return error_set(err, EAGAIN, "the name servers do not answer for %s", name);
    case EAI_FAIL:
        return error_set(err, EIO, "the name servers fail for %s", name);
    case EAI_SYSTEM:
        return error_set_errno(err, saved_errno ? saved_errno : EIO, "looking up %s", name);
    default:
        return error_set(err, EIO, "looking up %s: %s", name, gai_strerror(code));
    }
}

static int run_name(struct inquiry *inquiry)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    struct preflight_lookup *lookup = &inquiry->found.lookup;
    int code = getaddrinfo(inquiry->about, NULL, &hints, &list);
    if (code != 0)
        return name_error(inquiry->about, code, errno, &inquiry->err);
    for (struct addrinfo *one = list; one && lookup->n < ARRAY_LEN(lookup->addresses);
         one = one->ai_next)
        lookup->n += nfs_address_from(one->ai_addr, &lookup->addresses[lookup->n]);
    freeaddrinfo(list);
    return 0;
}

static void store_name(struct inquiry *inquiry)
{
    struct preflight_facts *facts = inquiry->facts;
    for (size_t i = 0; i < LOOKUPS; i++) {
        struct preflight_lookup *lookup = &facts->lookups[i];
        if (inquiry->answer != &lookup->answer)
            continue;
        lookup->n = inquiry->found.lookup.n;
        memcpy(lookup->addresses, inquiry->found.lookup.addresses, sizeof(lookup->addresses));
    }
}

/* ---- EFS ---- */

static int run_file_system(struct inquiry *inquiry)
{
    return efs_describe_file_system(inquiry->client, inquiry->about, inquiry->deadline_ms,
                                    &inquiry->found.file_system, &inquiry->err);
}

static void store_file_system(struct inquiry *inquiry)
{
    inquiry->facts->file_system = inquiry->found.file_system;
}

static int run_targets(struct inquiry *inquiry)
{
    return efs_describe_mount_targets(inquiry->client, inquiry->about, inquiry->deadline_ms,
                                      &inquiry->found.targets, &inquiry->err);
}

static void store_targets(struct inquiry *inquiry)
{
    inquiry->facts->targets = inquiry->found.targets;
    inquiry->found.targets = (struct efs_mount_targets){0};
}

static int parse_groups(const struct reply *reply, char groups[PREFLIGHT_GROUPS], struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    size_t i, used = 0;
    json_t *group;
    if (json_parse(reply->body, reply->length, &root, err) < 0)
        return -EBADMSG;
    json_array_foreach(json_object_get(root, "SecurityGroups"), i, group)
    {
        int n = json_is_string(group) ? snprintf(groups + used, PREFLIGHT_GROUPS - used, "%s%s",
                                                 i ? ", " : "", json_string_value(group))
                                      : 0;
        if (n < 0 || used + (size_t)n >= PREFLIGHT_GROUPS)
            break;
        used += (size_t)n;
    }
    return 0;
}

static int run_groups(struct inquiry *inquiry)
{
    char path[128];
    snprintf(path, sizeof(path), "/2015-02-01/mount-targets/%.60s/security-groups", inquiry->about);
    const struct aws_call call = {.action = AWS_DESCRIBE_MOUNT_TARGET_GROUPS,
                                  .path = path,
                                  .deadline_ms = inquiry->deadline_ms};
    _cleanup_reply_ struct reply reply = {0};
    int r = aws_request(inquiry->client, &call, &reply, &inquiry->err);
    if (r == 0)
        r = reply_check(&reply, "DescribeMountTargetSecurityGroups", &inquiry->err);
    return r < 0 ? r : parse_groups(&reply, inquiry->found.groups, &inquiry->err);
}

static void store_groups(struct inquiry *inquiry)
{
    memcpy(inquiry->facts->groups, inquiry->found.groups, sizeof(inquiry->facts->groups));
}

static int run_point(struct inquiry *inquiry)
{
    int r = efs_describe_access_points(inquiry->client, inquiry->about, inquiry->deadline_ms,
                                       &inquiry->found.points, &inquiry->err);
    if (r == 0 && inquiry->found.points.n == 0)
        return error_set(&inquiry->err, ENOENT, "there is no access point %s", inquiry->about);
    return r;
}

static void store_point(struct inquiry *inquiry)
{
    inquiry->facts->point = inquiry->found.points.items[0];
}

static int run_policy(struct inquiry *inquiry)
{
    return efs_describe_file_system_policy(inquiry->client, inquiry->about, inquiry->deadline_ms,
                                           &inquiry->found.policy, &inquiry->err);
}

static void store_policy(struct inquiry *inquiry)
{
    inquiry->facts->policy = take_ptr(inquiry->found.policy);
}

static const struct question questions[] = {
    [PREFLIGHT_ASK_METADATA] = {run_metadata, store_metadata},
    [PREFLIGHT_ASK_NAME] = {run_name, store_name},
    [PREFLIGHT_ASK_CREDENTIALS] = {run_credentials, store_credentials},
    [PREFLIGHT_ASK_FILE_SYSTEM] = {run_file_system, store_file_system},
    [PREFLIGHT_ASK_TARGETS] = {run_targets, store_targets},
    [PREFLIGHT_ASK_GROUPS] = {run_groups, store_groups},
    [PREFLIGHT_ASK_POINT] = {run_point, store_point},
    [PREFLIGHT_ASK_POLICY] = {run_policy, store_policy},
};

/* ---- in the pool ---- */

static int run(void *arg)
{
    struct inquiry *inquiry = arg;
    return inquiry->question->run(inquiry);
}

static void done(void *arg, enum work_outcome outcome, int result)
{
    struct inquiry *inquiry = arg;
    struct preflight_answer *answer = inquiry->answer;
    answer->took_ms = clock_now_ms() - answer->started_ms;
    if (outcome != WORK_DONE) {
        answer->state = PREFLIGHT_LATE;
        return;
    }
    answer->r = result;
    answer->err = inquiry->err;
    answer->state = result < 0 ? PREFLIGHT_FAILED : PREFLIGHT_ANSWERED;
    if (result == 0)
        inquiry->question->store(inquiry);
}

static void release(void *arg)
{
    struct inquiry *inquiry = arg;
    credentials_unref(inquiry->found.credentials);
    efs_mount_targets_release(&inquiry->found.targets);
    efs_access_points_release(&inquiry->found.points);
    free(inquiry->found.policy);
    free(inquiry);
}

void preflight_ask(struct work_pool *pool, enum preflight_question question,
                   struct preflight_facts *facts, const struct aws_client *client,
                   const char *about, struct preflight_answer *answer)
{
    static const struct job job = {
        .what = "preflight", .run = run, .done = done, .release = release};
    if (answer->state != PREFLIGHT_NOT_ASKED)
        return;
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));
    int r = -ENOMEM;
    answer->started_ms = clock_now_ms();
    if (inquiry) {
        inquiry->question = &questions[question];
        inquiry->facts = facts;
        inquiry->answer = answer;
        inquiry->client = client;
        inquiry->deadline_ms = facts->deadline_ms - ANSWER_BEFORE_END_MS;
        snprintf(inquiry->about, sizeof(inquiry->about), "%s", about);
        r = work_pool_submit(pool, &job, inquiry, facts->deadline_ms);
    }
    answer->state = r < 0 ? PREFLIGHT_FAILED : PREFLIGHT_ASKING;
    if (r < 0) {
        answer->r = error_set_errno(&answer->err, -r, "not asked");
        free(inquiry);
    }
}
