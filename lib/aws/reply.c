#include "lib/aws/reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/xml.h"
#include "lib/clock.h"
#include "lib/json.h"

enum { MESSAGE_MAX = 4096, CLOCK_TOLERANCE_MS = 4 * 60 * 1000 /* AWS allows 5 minutes */ };

/* ---- what the body says ---- */

/* "Service#Code:http://..." to "Code"; anything that is not like a code is none. */
static void set_code(struct reply *reply, const char *text)
{
    const char *hash = strrchr(text, '#');
    const char *code = hash ? hash + 1 : text;
    size_t length = strcspn(code, ":;, ");
    size_t good = strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._");
    if (length == 0 || length >= sizeof(reply->code) || good < length)
        return;
    snprintf(reply->code, sizeof(reply->code), "%.*s", (int)length, code);
}

static void hide(char *text, const char *secret)
{
    size_t length = strlen(secret);
    char *at = text;
    while (length > 0 && (at = strstr(at, secret))) {
        memset(at, '*', length);
        at += length;
    }
}

static void set_message(struct reply *reply, const char *text, const struct credentials *keys)
{
    _cleanup_free_ char *line = strndup(text, strcspn(text, "\r\n"));
    if (!line)
        return;
    if (keys) {
        hide(line, keys->secret_access_key);
        hide(line, keys->session_token);
    }
    http_clean_text(line);
    snprintf(reply->message, sizeof(reply->message), "%.*s", (int)sizeof(reply->message) - 1, line);
}

static const char *first_string(const json_t *object, const char *const keys[])
{
    const char *text = NULL;
    for (size_t i = 0; keys[i] && !text; i++)
        json_get_string(object, keys[i], SIZE_MAX, &text, NULL);
    return text;
}

static void read_json(struct reply *reply, const struct credentials *keys)
{
    static const char *const codes[] = {"__type", "ErrorCode", "code", "Code", NULL};
    static const char *const messages[] = {"message", "Message", "errorMessage", NULL};
    _cleanup_json_ json_t *root = NULL;
    if (json_parse(reply->body, reply->length, &root, NULL) < 0)
        return;
    const char *code = first_string(root, codes), *message = first_string(root, messages);
    if (code && !reply->code[0])
        set_code(reply, code);
    if (message)
        set_message(reply, message, keys);
}

static void read_xml(struct reply *reply, const struct credentials *keys)
{
    char code[128], message[MESSAGE_MAX];
    struct xml_field fields[] = {
        {.name = "Code", .text = code, .size = sizeof(code)},
        {.name = "Message", .text = message, .size = sizeof(message)},
    };
    if (xml_read(reply->body, reply->length, fields, ARRAY_LEN(fields), NULL) < 0)
        return;
    if (!reply->code[0])
        set_code(reply, code);
    set_message(reply, message, keys);
}

void reply_read(struct http_response *response, const struct credentials *keys,
                struct reply *ret_reply)
{
    struct reply reply = {
        .status = response->status,
        .body = response->body,
        .length = response->length,
        .retry_after_ms = response->retry_after_ms,
    };
    response->body = NULL;
    if (response->date_wall_ms)
        reply.clock_ahead_ms = clock_wall_ms() - response->date_wall_ms;
    if (reply.status >= 300) {
        size_t blank = strspn(reply.body, " \t\r\n");
        set_code(&reply, response->error_type);
        if (reply.body[blank] == '{')
            read_json(&reply, keys);
        else if (reply.body[blank] == '<')
            read_xml(&reply, keys);
    }
    *ret_reply = reply;
}

void reply_release(struct reply *reply)
{
    free(reply->body);
    *reply = (struct reply){0};
}

/* ---- what follows ---- */

/* From the retry tables of AWS's own SDKs. */
static const struct {
    const char *code;
    enum reply_verdict verdict;
    int code_errno;
} known[] = {
    {"Throttling", REPLY_THROTTLED, EAGAIN},
    {"ThrottlingException", REPLY_THROTTLED, EAGAIN},
    {"ThrottledException", REPLY_THROTTLED, EAGAIN},
    {"RequestThrottled", REPLY_THROTTLED, EAGAIN},
    {"RequestThrottledException", REPLY_THROTTLED, EAGAIN},
    {"TooManyRequests", REPLY_THROTTLED, EAGAIN},
    {"TooManyRequestsException", REPLY_THROTTLED, EAGAIN},
    {"RequestLimitExceeded", REPLY_THROTTLED, EAGAIN},
    {"BandwidthLimitExceeded", REPLY_THROTTLED, EAGAIN},
    {"LimitExceededException", REPLY_THROTTLED, EAGAIN},
    {"SlowDown", REPLY_THROTTLED, EAGAIN},
    {"PriorRequestNotComplete", REPLY_THROTTLED, EAGAIN},
    {"ProvisionedThroughputExceededException", REPLY_THROTTLED, EAGAIN},
    {"TransactionInProgressException", REPLY_THROTTLED, EAGAIN},
    {"EC2ThrottledException", REPLY_THROTTLED, EAGAIN},
    {"RequestTimeout", REPLY_RETRY, EAGAIN},
    {"RequestTimeoutException", REPLY_RETRY, EAGAIN},
    {"InternalServiceError", REPLY_RETRY, EREMOTEIO},
    {"InternalServiceFault", REPLY_RETRY, EREMOTEIO},
    {"InternalFailure", REPLY_RETRY, EREMOTEIO},
    {"InternalServerError", REPLY_RETRY, EREMOTEIO},
    {"ServiceUnavailable", REPLY_RETRY, EREMOTEIO},
    {"ExpiredToken", REPLY_REFRESH, EKEYREJECTED},
    {"ExpiredTokenException", REPLY_REFRESH, EKEYREJECTED},
    {"InvalidClientTokenId", REPLY_REFRESH, EKEYREJECTED},
    {"UnrecognizedClientException", REPLY_REFRESH, EKEYREJECTED},
    {"RequestExpired", REPLY_REFRESH, EKEYREJECTED},
    {"SignatureDoesNotMatch", REPLY_REFRESH, EKEYREJECTED},
    {"InvalidSignatureException", REPLY_REFRESH, EKEYREJECTED},
    {"IncompleteSignature", REPLY_FINAL, EKEYREJECTED},
    {"MissingAuthenticationToken", REPLY_FINAL, EKEYREJECTED},
    {"MissingAuthenticationTokenException", REPLY_FINAL, EKEYREJECTED},
    {"RequestTimeTooSkewed", REPLY_FINAL, EKEYREJECTED},
    {"AccessDenied", REPLY_FINAL, EACCES},
    {"AccessDeniedException", REPLY_FINAL, EACCES},
    {"UnauthorizedOperation", REPLY_FINAL, EACCES},
};

static int find(const struct reply *reply)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(known[i].code, reply->code) == 0)
            return (int)i;
    }
    return -1;
}

enum reply_verdict reply_verdict(const struct reply *reply)
{
    if (reply->status >= 200 && reply->status < 300)
        return REPLY_OK;
    int i = find(reply);
    if (i >= 0)
        return known[i].verdict;
    if (reply->status == 429)
        return REPLY_THROTTLED;
    return reply->status >= 500 && reply->status != 501 ? REPLY_RETRY : REPLY_FINAL;
}

static int errno_of(const struct reply *reply)
{
    int i = find(reply);
    if (i >= 0)
        return known[i].code_errno;
    switch (reply->status) {
    case 401:
        return EKEYREJECTED;
    case 403:
        return EACCES;
    case 404:
        return ENOENT;
    case 429:
        return EAGAIN;
    default:
        return reply->status >= 500 ? EREMOTEIO : EINVAL;
    }
}

int reply_check(const struct reply *reply, const char *what, struct error *err)
{
    if (reply_verdict(reply) == REPLY_OK)
        return 0;
    int code = errno_of(reply);
    int64_t ahead_ms = reply->clock_ahead_ms, off_ms = ahead_ms < 0 ? -ahead_ms : ahead_ms;
    char answered[64];
    snprintf(answered, sizeof(answered), "answered %ld", reply->status);
    error_set(err, code, "%s: %s%s%s", what, reply->code[0] ? reply->code : answered,
              reply->message[0] ? ": " : "", reply->message);
    if (code == EKEYREJECTED && off_ms > CLOCK_TOLERANCE_MS)
        error_prefix(err, "the clock of this host is %lld s %s the one of AWS, which allows 300 s",
                     (long long)(off_ms / 1000), ahead_ms > 0 ? "ahead of" : "behind");
    return -code;
}
