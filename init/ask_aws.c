#include "init/ask_aws.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/aws/credential_sources.h"
#include "lib/clock.h"
#include "lib/json.h"

enum {
    THREADS_MAX = 8,
    JOBS_MAX = 2 + 4 * CONFIG_MOUNTS_MAX,
    METADATA_FIRST_MAX_MS = 5000,
    CREDITS_SPAN_S = 15 * 60,
};

struct asking {
    const struct aws_wish *wish;
    struct aws_facts *facts;
    struct aws_client client;
    struct {
        void (*run)(struct asking *asking, size_t i);
        size_t i;
    } jobs[JOBS_MAX];
    size_t n_jobs;
    atomic_size_t next;
};

static void begin(struct aws_answer *answer)
{
    atomic_store(&answer->state, 1);
}

static void end(struct aws_answer *answer, int r, const struct error *err)
{
    answer->error = -r;
    if (r < 0)
        snprintf(answer->text, sizeof(answer->text), "%s", err->text);
    atomic_store(&answer->state, 2);
}

/* ---- the questions ---- */

static void ask_credentials(struct asking *a, struct credentials_store *store)
{
    struct error err = {0};
    struct credentials *keys = NULL;
    begin(&a->facts->credentials);
    int r = credentials_get(store, a->wish->deadline_ms, &keys, &err);
    if (r == 0) {
        snprintf(a->facts->source, sizeof(a->facts->source), "%s", keys->source);
        snprintf(a->facts->role_arn, sizeof(a->facts->role_arn), "%s", keys->role_arn);
        credentials_unref(keys);
    }
    end(&a->facts->credentials, r, &err);
}

static void ask_task(struct asking *a, int64_t deadline_ms)
{
    struct error err = {0};
    begin(&a->facts->placed);
    end(&a->facts->placed, metadata_read(deadline_ms, &a->facts->task, &err), &err);
}

static void ask_task_job(struct asking *a, size_t i)
{
    ask_task(a, a->wish->deadline_ms);
}

static void ask_identity(struct asking *a, size_t i)
{
    struct error err = {0};
    begin(&a->facts->identity);
    end(&a->facts->identity,
        sts_get_caller_identity(&a->client, a->wish->deadline_ms, &a->facts->caller, &err), &err);
}

static void ask_targets(struct asking *a, size_t i)
{
    struct aws_file_system_facts *facts = &a->facts->file_systems[i];
    struct efs_mount_targets targets = {0};
    struct error err = {0};
    begin(&facts->listed);
    int r = efs_describe_mount_targets(&a->client, facts->id, a->wish->deadline_ms, &targets, &err);
    for (size_t t = 0; t < targets.n && t < ASK_TARGETS_MAX; t++)
        facts->targets[facts->n_targets++] = targets.items[t];
    efs_mount_targets_release(&targets);
    end(&facts->listed, r, &err);
}

static void ask_policy(struct asking *a, size_t i)
{
    struct aws_file_system_facts *facts = &a->facts->file_systems[i];
    _cleanup_free_ char *policy = NULL;
    struct error err = {0};
    begin(&facts->policed);
    int r =
        efs_describe_file_system_policy(&a->client, facts->id, a->wish->deadline_ms, &policy, &err);
    facts->has_policy = policy != NULL;
    if (r == 0 && policy && strlen(policy) >= sizeof(facts->policy))
        r = error_set(&err, EFBIG, "the policy has more than %d bytes", ASK_POLICY_MAX_BYTES);
    else if (policy)
        memcpy(facts->policy, policy, strlen(policy) + 1);
    end(&facts->policed, r, &err);
}

static void ask_access_point(struct asking *a, size_t i)
{
    struct efs_access_points points = {0};
    struct error err = {0};
    begin(&a->facts->pointed[i]);
    int r = efs_describe_access_points(&a->client, a->wish->mounts[i].access_point,
                                       a->wish->deadline_ms, &points, &err);
    if (r == 0 && points.n == 0)
        r = error_set(&err, ENOENT, "there is no such access point");
    if (r == 0)
        a->facts->points[i] = points.items[0];
    efs_access_points_release(&points);
    end(&a->facts->pointed[i], r, &err);
}

/* ---- burst credits ---- */

static char *credits_question(const char *file_system_id)
{
    int64_t now_s = clock_wall_ms() / 1000;
    _cleanup_json_ json_t *body =
        json_pack("{s:s, s:s, s:[{s:s, s:s}], s:I, s:I, s:i, s:[s]}", "Namespace", "AWS/EFS",
                  "MetricName", "BurstCreditBalance", "Dimensions", "Name", "FileSystemId", "Value",
                  file_system_id, "StartTime", (json_int_t)(now_s - CREDITS_SPAN_S), "EndTime",
                  (json_int_t)(now_s + 60), "Period", 60, "Statistics", "Minimum");
    return body ? json_dumps(body, JSON_COMPACT) : NULL;
}

/* The least of the span; false: CloudWatch has none. */
static int parse_credits(const struct reply *reply, bool *ret_any, double *ret_bytes,
                         struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    int r = json_parse(reply->body, reply->length, &root, err);
    if (r < 0)
        return r;
    size_t i;
    const json_t *point;
    *ret_any = false;
    json_array_foreach(json_object_get(root, "Datapoints"), i, point)
    {
        const json_t *value = json_object_get(point, "Minimum");
        if (!json_is_number(value) || (*ret_any && json_number_value(value) >= *ret_bytes))
            continue;
        *ret_any = true;
        *ret_bytes = json_number_value(value);
    }
    return 0;
}

static int read_credits(struct asking *a, struct aws_file_system_facts *facts, struct error *err)
{
    _cleanup_free_ char *body = credits_question(facts->id);
    if (!body)
        return error_set_errno(err, ENOMEM, "GetMetricStatistics");
    const struct aws_call call = {
        .action = AWS_GET_METRIC_STATISTICS,
        .path = "/",
        .headers = {"Content-Type: application/x-amz-json-1.0",
                    "X-Amz-Target: GraniteServiceVersion20100801.GetMetricStatistics"},
        .body = body,
        .body_length = strlen(body),
        .deadline_ms = a->wish->deadline_ms,
    };
    _cleanup_reply_ struct reply reply = {0};
    int r = aws_request(&a->client, &call, &reply, err);
    if (r == 0)
        r = reply_check(&reply, "GetMetricStatistics", err);
    return r < 0 ? r : parse_credits(&reply, &facts->has_credits, &facts->credits_bytes, err);
}

static void ask_file_system(struct asking *a, size_t i)
{
    struct aws_file_system_facts *facts = &a->facts->file_systems[i];
    struct error err = {0};
    begin(&facts->described);
    int r = efs_describe_file_system(&a->client, facts->id, a->wish->deadline_ms,
                                     &facts->file_system, &err);
    end(&facts->described, r, &err);
    /* Only who bursts has credits. */
    if (r < 0 || strcmp(facts->file_system.throughput_mode, "bursting") != 0)
        return;
    begin(&facts->metered);
    end(&facts->metered, read_credits(a, facts, &err), &err);
}

/* ---- the run ---- */

static void add_job(struct asking *a, void (*run)(struct asking *a, size_t i), size_t i)
{
    a->jobs[a->n_jobs].run = run;
    a->jobs[a->n_jobs++].i = i;
}

static void *work(void *arg)
{
    struct asking *a = arg;
    for (size_t i; (i = atomic_fetch_add(&a->next, 1)) < a->n_jobs;)
        a->jobs[i].run(a, a->jobs[i].i);
    return NULL;
}

static void work_on_all(struct asking *a)
{
    pthread_t threads[THREADS_MAX];
    size_t n = 0;
    while (n < THREADS_MAX && n < a->n_jobs && pthread_create(&threads[n], NULL, work, a) == 0)
        n++;
    (void)work(a); /* also when there are no threads to be had */
    while (n > 0)
        pthread_join(threads[--n], NULL);
}

static void ask_only_credentials(struct asking *a)
{
    struct credentials_store *store;
    struct error err = {0};
    int r = credentials_store_open(&store);
    if (r == 0) {
        ask_credentials(a, store);
        credentials_store_close(store);
        return;
    }
    (void)error_set_errno(&err, -r, "credentials");
    end(&a->facts->credentials, r, &err);
}

/* The region is in a variable, or else in the task's ARN. */
static int open_client(struct asking *a, struct error *err)
{
    char region[ENDPOINT_REGION];
    if (endpoint_region(NULL, region, NULL) == 0) {
        add_job(a, ask_task_job, 0);
    } else {
        int64_t first_ms = clock_now_ms() + METADATA_FIRST_MAX_MS;
        ask_task(a, first_ms < a->wish->deadline_ms ? first_ms : a->wish->deadline_ms);
    }
    int r = aws_client_open(a->facts->task.task_arn, &a->client, err);
    if (r == 0)
        snprintf(a->facts->region, sizeof(a->facts->region), "%s", a->client.region);
    return r;
}

static void ask_api(struct asking *a)
{
    struct error err = {0};
    int r = open_client(a, &err);
    end(&a->facts->opened, r, &err);
    if (r < 0) {
        ask_only_credentials(a);
        return;
    }
    if (a->wish->sts)
        add_job(a, ask_identity, 0);
    for (size_t i = 0; i < a->facts->n_file_systems; i++) {
        add_job(a, ask_file_system, i);
        add_job(a, ask_targets, i);
        add_job(a, ask_policy, i);
    }
    for (size_t i = 0; i < a->wish->n; i++)
        if (a->wish->mounts[i].access_point)
            add_job(a, ask_access_point, i);
    ask_credentials(a, a->client.credentials);
    if (a->facts->credentials.error == 0) /* else each job would say so again */
        work_on_all(a);
    aws_client_close(&a->client);
}

static void run(const void *wish, void *shared, pid_t parent)
{
    struct asking a = {.wish = wish, .facts = shared};
    if (!child_die_with(parent))
        return;
    if (a.wish->api || a.wish->sts)
        ask_api(&a);
    else
        ask_only_credentials(&a);
}

/* Every file system once, however many mounts it has. */
static void list_file_systems(const struct aws_wish *wish, struct aws_facts *facts)
{
    for (size_t i = 0; i < wish->n; i++) {
        const char *id = wish->mounts[i].file_system_id;
        size_t n = 0;
        facts->file_system_of[i] = -1;
        if (!*id)
            continue;
        while (n < facts->n_file_systems && strcmp(facts->file_systems[n].id, id) != 0)
            n++;
        if (n == facts->n_file_systems)
            snprintf(facts->file_systems[facts->n_file_systems++].id, EFS_ID, "%s", id);
        facts->file_system_of[i] = (int)n;
    }
}

int ask_aws_start(const struct aws_wish *wish, struct child *ret_child, struct error *err)
{
    struct child child = {0};
    const struct credential_source *source = credential_source_find();
    int r = child_open(sizeof(struct aws_facts), &child, err);
    if (r < 0)
        return r;
    struct aws_facts *facts = child.shared;
    facts->no_source = !source || !source->of_task;
    list_file_systems(wish, facts);
    if (!facts->no_source || (source && wish->instance))
        r = child_start(&child, run, wish, err);
    else
        child.ended = true;
    if (r < 0) {
        child_close(&child);
        return r;
    }
    *ret_child = child;
    return 0;
}
