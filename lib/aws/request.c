#include "lib/aws/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/sign.h"
#include "lib/clock.h"

enum {
    TRY_MAX_MS = 10 * 1000,
    BACKOFF_MAX_MS = 20 * 1000,
    BACKOFF_MS = 50,
    BACKOFF_THROTTLED_MS = 1000,
    URL_MAX = 4096,
};

int aws_client_open(const char *task_arn, struct aws_client *ret_client, struct error *err)
{
    struct aws_client client = {0};
    int r = endpoint_region(task_arn, client.region, err);
    if (r < 0)
        return r;
    r = credentials_store_open(&client.credentials);
    if (r < 0)
        return error_set_errno(err, -r, "credentials");
    *ret_client = client;
    return 0;
}

void aws_client_close(struct aws_client *client)
{
    credentials_store_close(client->credentials);
    *client = (struct aws_client){0};
}

/* ---- the URL ---- */

static int by_name(const void *a, const void *b)
{
    const struct aws_parameter *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* -EMSGSIZE when it does not fit. */
static int append(char *url, size_t *used, const char *text, bool encode)
{
    for (; *text; text++) {
        bool plain = !encode || sign_unreserved(*text);
        if (*used + 4 > URL_MAX)
            return -EMSGSIZE;
        *used += (size_t)snprintf(url + *used, URL_MAX - *used, plain ? "%c" : "%%%02X",
                                  (unsigned char)*text);
    }
    return 0;
}

/* Query parameters in the order of their names, percent-encoded: what sign.h wants. */
static int build_url(const struct aws_call *call, const char *endpoint, char url[URL_MAX])
{
    struct aws_parameter sorted[AWS_QUERY_MAX];
    size_t n = 0, used = 0;
    while (n < AWS_QUERY_MAX && call->query[n].name) {
        sorted[n] = call->query[n];
        n++;
    }
    qsort(sorted, n, sizeof(*sorted), by_name);
    int r = append(url, &used, endpoint, false);
    if (r == 0)
        r = append(url, &used, call->path, false);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = append(url, &used, i ? "&" : "?", false);
        if (r == 0)
            r = append(url, &used, sorted[i].name, true);
        if (r == 0)
            r = append(url, &used, "=", false);
        if (r == 0)
            r = append(url, &used, sorted[i].value, true);
    }
    return r;
}

/* ---- one attempt ---- */

static int attempt(const struct aws_client *client, const struct aws_call *call, const char *url,
                   const struct credentials *keys, struct reply *ret_reply, struct error *err)
{
    _cleanup_(cleanup_wiped_text_p) char *token = NULL;
    _cleanup_http_response_ struct http_response response = {0};
    struct sign_key sign = {
        .access_key_id = keys->access_key_id,
        .secret_access_key = keys->secret_access_key,
        .region = client->region,
        .service = aws_actions[call->action].service->signing,
    };
    int64_t try_end_ms = clock_now_ms() + TRY_MAX_MS;
    struct http_request request = {
        .method = call->body ? "POST" : "GET",
        .url = url,
        .body = call->body,
        .body_length = call->body_length,
        .response_max = AWS_ANSWER_MAX_BYTES,
        .deadline_ms = try_end_ms < call->deadline_ms ? try_end_ms : call->deadline_ms,
        .sign = &sign,
    };
    size_t n = 0;
    while (n < ARRAY_LEN(call->headers) && call->headers[n]) {
        request.headers[n] = call->headers[n];
        n++;
    }
    if (*keys->session_token) {
        token = http_secret_header("X-Amz-Security-Token", keys->session_token);
        if (!token)
            return error_set_errno(err, ENOMEM, "%s", url);
        request.headers[n] = token;
    }
    int r = http_exchange(&request, &response, err);
    if (r == 0)
        reply_read(&response, keys, ret_reply);
    return r;
}

/* ---- again? ---- */

static int64_t pause_ms(enum reply_verdict verdict, unsigned tries, int64_t asked_ms)
{
    uint32_t base_ms = verdict == REPLY_THROTTLED ? BACKOFF_THROTTLED_MS : BACKOFF_MS;
    uint32_t top_ms = base_ms << (tries < 10 ? tries : 10);
    int64_t jittered_ms = arc4random_uniform(top_ms < BACKOFF_MAX_MS ? top_ms : BACKOFF_MAX_MS);
    return asked_ms > jittered_ms ? asked_ms : jittered_ms;
}

static bool sleep_before_next(const struct aws_call *call, enum reply_verdict verdict,
                              unsigned tries, int64_t asked_ms)
{
    return tries + 1 < AWS_ATTEMPTS_MAX &&
           http_pause(pause_ms(verdict, tries, asked_ms), call->deadline_ms) == 0;
}

static int request_until_final(const struct aws_client *client, const struct aws_call *call,
                               const char *url, struct reply *ret_reply, struct error *err)
{
    bool refreshed = false;
    for (unsigned tries = 0;; tries++) {
        _cleanup_credentials_ struct credentials *keys = NULL;
        _cleanup_reply_ struct reply reply = {0};
        enum reply_verdict verdict = REPLY_RETRY;
        int r = credentials_get(client->credentials, call->deadline_ms, &keys, err);
        if (r < 0)
            return r;
        r = attempt(client, call, url, keys, &reply, err);
        if (r == 0)
            verdict = reply_verdict(&reply);
        else if (!http_may_heal(r))
            return r;
        bool again = false;
        if (verdict == REPLY_REFRESH && !refreshed) {
            credentials_reject(client->credentials, keys);
            again = refreshed = true;
        } else if (verdict == REPLY_RETRY || verdict == REPLY_THROTTLED) {
            again = sleep_before_next(call, verdict, tries, r == 0 ? reply.retry_after_ms : -1);
        }
        if (again)
            continue;
        if (r == 0) {
            *ret_reply = reply;
            reply = (struct reply){0};
        }
        return r;
    }
}

int aws_request(const struct aws_client *client, const struct aws_call *call,
                struct reply *ret_reply, struct error *err)
{
    char endpoint[ENDPOINT_URL], url[URL_MAX];
    int r = endpoint_url(aws_actions[call->action].service, client->region, endpoint,
                         sizeof(endpoint), err);
    if (r < 0)
        return r;
    r = build_url(call, endpoint, url);
    if (r < 0)
        return error_set_errno(err, -r, "the URL of a request to %s", endpoint);
    return request_until_final(client, call, url, ret_reply, err);
}
