#include "sidecar/protection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/http.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
    LINGER_MS = 15 * 1000, /* without work, until the protection goes */
    RENEW_MS = PROTECTION_MINUTES * 60 * 1000 / 2,
    RETRY_MS = 30 * 1000,
    ANSWER_MS = 20 * 1000, /* ECS itself is asked */
    ANSWER_MAX_BYTES = 64 * 1024,
};

struct call {
    struct protection *protection;
    bool on;
    int64_t sent_ms;
    struct error err;
};

static const char *agent_uri(void)
{
    const char *uri = getenv("ECS_AGENT_URI");
    return uri ? uri : "";
}

bool protection_is_possible(void)
{
    return *agent_uri() != '\0';
}

/* {"protection":{...}}, {"failure":{"Reason","Detail"}} or {"error":{"Code","Message"}} */
int protection_parse(const char *body, size_t length, long status, struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    const char *code = "", *words = "";
    if (json_parse(body, length, &root, err) < 0)
        return error_set(err, EREMOTEIO, "the ECS agent answered %ld and no JSON object", status);
    if (status == 200 && json_is_object(json_object_get(root, "protection")))
        return 0;
    const json_t *error = json_object_get(root, "error"),
                 *failure = json_object_get(root, "failure");
    json_get_string(error, "Code", 128, &code, NULL);
    json_get_string(error, "Message", 300, &words, NULL);
    json_get_string(failure, "Reason", 128, &code, NULL);
    json_get_string(failure, "Detail", 300, &words, NULL);
    return error_set(
        err, EREMOTEIO, "the ECS agent answered %ld %s %s%s", status, code, words,
        strstr(code, "AccessDenied") ? "; allow ecs:UpdateTaskProtection in the task role" : "");
}

static int put_run(void *arg)
{
    struct call *call = arg;
    char url[1024], body[96];
    _cleanup_http_response_ struct http_response response = {0};
    snprintf(url, sizeof(url), "%.900s/task-protection/v1/state", agent_uri());
    if (call->on)
        snprintf(body, sizeof(body), "{\"ProtectionEnabled\":true,\"ExpiresInMinutes\":%d}",
                 PROTECTION_MINUTES);
    else
        snprintf(body, sizeof(body), "{\"ProtectionEnabled\":false}");
    const struct http_request request = {
        .method = "PUT",
        .url = url,
        .headers = {"Content-Type: application/json"},
        .body = body,
        .body_length = strlen(body),
        .response_max = ANSWER_MAX_BYTES,
        .deadline_ms = clock_now_ms() + ANSWER_MS,
        .direct = true,
    };
    int r = http_exchange(&request, &response, &call->err);
    return r < 0 ? r
                 : protection_parse(response.body, response.length, response.status, &call->err);
}

static void put_done(void *arg, enum work_outcome outcome, int result)
{
    const struct call *call = arg;
    struct protection *protection = call->protection;
    protection->in_flight = false;
    if (outcome != WORK_DONE)
        return;
    if (result == 0) {
        protection->state = call->on ? PROTECTION_ON : PROTECTION_OFF;
        protection->since_ms = call->sent_ms;
        protection->told = false;
        return;
    }
    protection->next_ms = clock_now_ms() + RETRY_MS;
    if (!protection->told)
        log_warn("the task's scale-in protection could not be switched %s, and it is tried again: "
                 "%s",
                 call->on ? "on" : "off", call->err.text);
    protection->told = true;
}

static const struct job put_job = {
    .what = "asking ECS to protect the task",
    .run = put_run,
    .done = put_done,
    .release = free,
};

static bool is_due(const struct protection *protection, bool on, int64_t now_ms)
{
    if (protection->in_flight || now_ms < protection->next_ms)
        return false;
    if (on)
        return protection->state != PROTECTION_ON || now_ms - protection->since_ms >= RENEW_MS;
    return protection->state != PROTECTION_OFF;
}

void protection_step(struct protection *protection, bool has_work)
{
    int64_t now_ms = clock_now_ms();
    if (has_work)
        protection->work_ms = now_ms;
    bool lingers = protection->state == PROTECTION_ON && now_ms - protection->work_ms < LINGER_MS;
    bool on = has_work || lingers;
    if (!is_due(protection, on, now_ms))
        return;
    struct call *call = calloc(1, sizeof(*call));
    if (!call)
        return;
    *call = (struct call){.protection = protection, .on = on, .sent_ms = now_ms};
    protection->in_flight = work_pool_submit(protection->pool, &put_job, call, CLOCK_NEVER) == 0;
    if (!protection->in_flight)
        free(call);
}
