/*
 * CloudWatch itself, by PutMetricData: for tasks whose stdout does not go to CloudWatch Logs. Each
 * call is paid for, so data wait for metrics.cloudwatch_flush; each keeps the time of its interval.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/cloudwatch.h"
#include "lib/aws/metadata.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "sidecar/sender.h"
#include "sidecar/sinks.h"

struct cloudwatch_sink {
    const struct settings *settings;
    struct sender *sender;
    /* the sender's thread alone */
    struct aws_client client;
    bool connected, gzip;
    /* what that thread tells the loop about the credentials */
    pthread_mutex_t lock;
    enum condition_status keys_status;
    char keys_reason[32], keys_words[300];
    int64_t keys_expire_ms; /* 0: not known, or never */
};

/* ---- in the sender's thread ---- */

/* The region comes from a variable, or from the task's ARN, which has to be asked for. */
static int connect_client(struct cloudwatch_sink *sink, int64_t deadline_ms, struct error *err)
{
    struct error none;
    int r = aws_client_open(NULL, &sink->client, err);
    if (r == -ENOENT) {
        struct metadata metadata;
        if (metadata_read(deadline_ms, &metadata, &none) == 0)
            r = aws_client_open(metadata.task_arn, &sink->client, err);
    }
    sink->connected = r == 0;
    return r == -ENOENT ? -EINVAL : r;
}

static void tell_keys(struct cloudwatch_sink *sink, enum condition_status status,
                      const char *reason, const struct credentials *keys, const char *words)
{
    pthread_mutex_lock(&sink->lock);
    sink->keys_status = status;
    snprintf(sink->keys_reason, sizeof(sink->keys_reason), "%s", reason);
    snprintf(sink->keys_words, sizeof(sink->keys_words), "%s", words);
    if (keys)
        sink->keys_expire_ms = keys->expires_ms == CLOCK_NEVER ? 0 : keys->expires_ms;
    pthread_mutex_unlock(&sink->lock);
}

static int get_keys(struct cloudwatch_sink *sink, int64_t deadline_ms,
                    struct credentials **ret_keys, struct error *err)
{
    int r = credentials_get(sink->client.credentials, deadline_ms, ret_keys, err);
    if (r == -ENOENT)
        error_set(err, ENOKEY,
                  "there are no credentials: give the task definition a task role (taskRoleArn)");
    if (r < 0)
        tell_keys(sink, CONDITION_FALSE, r == -ENOENT ? "NoCredentials" : "FetchFailed", NULL,
                  err->text);
    return r == -ENOENT ? -ENOKEY : r;
}

static int put(void *arg, const struct iovec data[], size_t n, int64_t deadline_ms,
               struct error *err)
{
    struct cloudwatch_sink *sink = arg;
    _cleanup_credentials_ struct credentials *keys = NULL;
    int r = sink->connected ? 0 : connect_client(sink, deadline_ms, err);
    if (r == 0)
        r = get_keys(sink, deadline_ms, &keys, err);
    if (!keys)
        return r;
    r = cloudwatch_put(&sink->client, sink->settings->metrics_namespace, data, n, &sink->gzip,
                       deadline_ms, err);
    if (r == -ENOKEY) {
        tell_keys(sink, CONDITION_FALSE, "Refused", keys, err->text);
    } else if (r == 0 || r == -EACCES || r == -EBADMSG) { /* AWS has looked at them */
        char words[300];
        snprintf(words, sizeof(words), "AWS takes the credentials (%s%s%s)", keys->source,
                 *keys->role_arn ? ", " : "", keys->role_arn);
        tell_keys(sink, CONDITION_TRUE, "Valid", keys, words);
    }
    return r;
}

/* ---- what is sent ---- */

static void set_dimensions(struct cloudwatch_datum *datum, const struct metrics_view *view,
                           const struct metric_group *group)
{
    size_t n = 0;
    for (size_t i = 0; i < DIMENSIONS; i++) {
        const char *value = metric_dimension(view, group, i);
        if (*value)
            datum->dimensions[n++] = (struct aws_parameter){dimension_names[i], value};
    }
}

static void push(struct cloudwatch_sink *sink, const struct cloudwatch_datum *datum)
{
    _cleanup_free_ char *text = NULL;
    size_t length;
    if (cloudwatch_encode(datum, &text, &length) == 0)
        sender_push(sink->sender, datum->wall_ms, text, length);
    else
        sender_drop(sink->sender);
}

static int cloudwatch_write(void *state, const struct metrics_view *view,
                            const struct metric_group *group)
{
    struct cloudwatch_sink *sink = state;
    struct cloudwatch_datum datum = {.wall_ms = view->wall_ms,
                                     .high_resolution = view->settings->metrics_high_resolution};
    set_dimensions(&datum, view, group);
    for (size_t i = 0; i < view->n_metrics; i++) {
        const struct metric_cell *cell = &group->cells[i];
        const struct distribution *values = cell->values;
        bool many = view->table[i].kind == METRIC_DISTRIBUTION;
        if (!cell->known || !cell->sent || (many && values->n == 0))
            continue;
        datum.name = view->table[i].name;
        datum.unit = metric_unit_names[view->table[i].unit];
        datum.values = many ? values->values : &cell->interval;
        datum.counts = many ? values->counts : NULL;
        datum.n = many ? values->n : 1;
        push(sink, &datum);
    }
    return 0; /* what the sender has to drop it counts */
}

/* ---- state ---- */

static void cloudwatch_count(void *state, struct sink_counts *sum)
{
    struct cloudwatch_sink *sink = state;
    struct sender_state now;
    sender_look(sink->sender, &now);
    sum->data_dropped += now.dropped;
    sum->calls += now.calls;
    pthread_mutex_lock(&sink->lock);
    sum->credentials_expire_ms = sink->keys_expire_ms;
    pthread_mutex_unlock(&sink->lock);
}

static const char *reason_of(int code)
{
    static const struct {
        int code;
        const char *reason;
    } reasons[] = {
        {EACCES, "AccessDenied"},    {ENOKEY, "NoCredentials"}, {EAGAIN, "Throttled"},
        {EREMOTEIO, "ServiceError"}, {EBADMSG, "Refused"},      {EINVAL, "Refused"},
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].code == code)
            return reasons[i].reason;
    return "Unreachable";
}

static void tell_publishing(const struct cloudwatch_sink *sink, const struct sender_state *now,
                            struct conditions *conditions)
{
    char statement[420];
    enum condition_type type = CONDITION_METRICS_PUBLISHING;
    if (now->problem.code == EACCES)
        conditions_set(
            conditions, type, CONDITION_FALSE, "AccessDenied",
            "%zu values wait: %.160s. Add to the policy of the task role: %s", now->waiting,
            now->problem.text,
            cloudwatch_statement(sink->settings->metrics_namespace, statement, sizeof(statement)));
    else if (now->problem.code)
        conditions_set(conditions, type, CONDITION_FALSE, reason_of(now->problem.code),
                       "%zu values wait for CloudWatch: %s", now->waiting, now->problem.text);
    else if (now->sent == 0)
        conditions_set(conditions, type, CONDITION_UNKNOWN, "NotSentYet",
                       "the first call of PutMetricData has not been made yet");
    else
        conditions_set(conditions, type, CONDITION_TRUE, "Publishing",
                       "CloudWatch has taken %llu values", (unsigned long long)now->sent);
}

static void cloudwatch_tell(void *state, bool lost, struct conditions *conditions)
{
    struct cloudwatch_sink *sink = state;
    struct sender_state now;
    sender_look(sink->sender, &now);
    tell_publishing(sink, &now, conditions);
    pthread_mutex_lock(&sink->lock);
    conditions_set(conditions, CONDITION_CREDENTIALS_VALID, sink->keys_status, sink->keys_reason,
                   "%s", sink->keys_words);
    pthread_mutex_unlock(&sink->lock);
}

/* ---- open and close ---- */

/* Tasks of a service start together; their calls are spread over the time between two of them. */
static void set_times(const struct settings *settings, struct sender_options *options)
{
    int64_t interval_ms = settings->metrics_interval_ms;
    int64_t flush_ms = settings->metrics_high_resolution ? interval_ms : settings->metrics_flush_ms;
    int64_t spread_ms = flush_ms > interval_ms ? flush_ms - interval_ms : interval_ms / 10;
    options->flush_ms = flush_ms;
    options->first_ms = interval_ms + arc4random_uniform((uint32_t)spread_ms + 1);
}

static void release(struct cloudwatch_sink *sink)
{
    if (sink->connected)
        aws_client_close(&sink->client);
    pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static int cloudwatch_open(const struct settings *settings, void **ret_state, struct error *err)
{
    struct cloudwatch_sink *sink = calloc(1, sizeof(*sink));
    if (!sink)
        return error_set(err, ENOMEM, "metrics.sinks: no memory for cloudwatch");
    sink->settings = settings;
    sink->gzip = true;
    sink->keys_status = CONDITION_UNKNOWN;
    snprintf(sink->keys_reason, sizeof(sink->keys_reason), "NotUsedYet");
    snprintf(sink->keys_words, sizeof(sink->keys_words), "no call of AWS has been answered yet");
    pthread_mutex_init(&sink->lock, NULL);
    struct sender_options options = {
        .put = put, .arg = sink, .buffer_bytes = (size_t)settings->metrics_buffer_bytes};
    set_times(settings, &options);
    int r = sender_open(&options, &sink->sender);
    if (r == 0)
        r = sender_start(sink->sender);
    if (r < 0) {
        sender_close(sink->sender, 0, NULL);
        release(sink);
        return error_set_errno(err, -r, "metrics.sinks: cloudwatch cannot start its thread");
    }
    *ret_state = sink;
    return 0;
}

static void cloudwatch_flush(void *state)
{
    struct cloudwatch_sink *sink = state;
    sender_flush(sink->sender);
}

static int cloudwatch_close(void *state, int64_t timeout_ms)
{
    struct cloudwatch_sink *sink = state;
    struct sender_state last;
    size_t lost = 0;
    sender_look(sink->sender, &last);
    int r = sender_close(sink->sender, timeout_ms, &lost);
    if (lost > 0)
        log_error("%zu values for CloudWatch could not be sent before the end and are lost%s%s",
                  lost, last.problem.code ? ": " : "", last.problem.code ? last.problem.text : "");
    if (r == 0)
        release(sink);
    return r;
}

const struct sink sink_cloudwatch = {
    .name = "cloudwatch",
    .open = cloudwatch_open,
    .write = cloudwatch_write,
    .count = cloudwatch_count,
    .tell = cloudwatch_tell,
    .flush = cloudwatch_flush,
    .close = cloudwatch_close,
};
