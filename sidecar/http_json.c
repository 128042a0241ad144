/* What http.h answers in JSON. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/json.h"
#include "sidecar/http.h"

/* The word for programs, where a caller has none of its own. */
static const char *code_of(int status)
{
    static const struct {
        int status;
        const char *code;
    } known[] = {
        {400, "BadRequest"},    {403, "Forbidden"},   {404, "NotFound"}, {405, "MethodNotAllowed"},
        {409, "NotReady"},      {410, "Gone"},        {413, "TooLarge"}, {429, "TooManyRequests"},
        {500, "InternalError"}, {503, "Unavailable"},
    };
    size_t i = 0;
    while (known[i].status != status && i + 1 < ARRAY_LEN(known))
        i++;
    return known[i].code;
}

void http_refuse(struct http_request *request, int status, const char *code, const char *hint,
                 const char *message)
{
    _cleanup_json_ json_t *body = json_pack("{s:s, s:o, s:s}", "code", code, "message",
                                            json_string_lossy(message), "hint", hint ? hint : "");
    _cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    http_reply(request, status, "application/json", text ? text : "{}", text ? strlen(text) : 2);
}

void http_error(struct http_request *request, int status, const char *hint, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    http_refuse(request, status, code_of(status), hint, message);
}

void http_reply_json(struct http_request *request, json_t *body)
{
    _cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (text)
        http_reply(request, 200, "application/json", text, strlen(text));
    else
        http_error(request, 503, NULL, "no memory");
}
