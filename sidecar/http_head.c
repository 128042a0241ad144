#include "sidecar/http_head.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "lib/parse.h"

/* Cut the text at the first separator; NULL when there is none. */
static char *cut(char *text, const char *separator)
{
    char *at = strstr(text, separator);
    if (!at)
        return NULL;
    *at = '\0';
    return at + strlen(separator);
}

static bool is_token(const char *text)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789"
                                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return *text && text[strspn(text, allowed)] == '\0';
}

static int parse_request_line(char *line, struct http_head *head, struct error *err)
{
    head->method = line;
    char *target = cut(line, " ");
    char *version = target ? cut(target, " ") : NULL;
    if (!version || !is_token(head->method))
        return error_set(err, EINVAL, "the request line is not \"METHOD PATH HTTP/1.1\"");
    if (strcmp(version, "HTTP/1.1") == 0)
        head->chunked_reply = head->keep_alive = true;
    else if (strcmp(version, "HTTP/1.0") != 0)
        return error_set(err, EINVAL, "the HTTP version is not 1.1 or 1.0");
    if (*target != '/')
        return error_set(err, EINVAL, "the request's path does not begin with \"/\"");
    head->path = target;
    head->query = cut(target, "?");
    if (!head->query)
        head->query = target + strlen(target);
    return 0;
}

static int parse_header(const char *name, const char *value, bool *seen_length,
                        struct http_head *head, struct error *err)
{
    if (strcasecmp(name, "Content-Length") == 0) {
        int64_t bytes;
        int r = parse_i64(value, 0, INT64_MAX, &bytes);
        if (r < 0 || *seen_length)
            return error_set(err, EINVAL, "Content-Length is not one number");
        if (bytes > HTTP_BODY_MAX)
            return error_set(err, EMSGSIZE, "the body has %lld bytes, at most %d are taken",
                             (long long)bytes, HTTP_BODY_MAX);
        head->body_bytes = (size_t)bytes;
        *seen_length = true;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        return error_set(err, EINVAL,
                         "Transfer-Encoding is not taken, send the body with Content-Length");
    } else if (strcasecmp(name, "Connection") == 0) {
        if (strcasecmp(value, "close") == 0)
            head->keep_alive = false;
        else if (strcasecmp(value, "keep-alive") == 0)
            head->keep_alive = true;
    } else if (strcasecmp(name, "Expect") == 0) {
        head->expects_continue = strcasecmp(value, "100-continue") == 0;
    }
    return 0;
}

int http_head_parse(char *text, size_t length, struct http_head *ret_head, struct error *err)
{
    struct http_head head = {0};
    bool seen_length = false;
    text[length] = '\0';
    if (strlen(text) != length)
        return error_set(err, EINVAL, "the request's head has a NUL byte");
    char *line = text, *next = cut(text, "\r\n");
    int r = parse_request_line(line, &head, err);
    while (r == 0 && (line = next) != NULL && *line) {
        next = cut(line, "\r\n");
        char *value = cut(line, ":");
        if (!value || !is_token(line))
            return error_set(err, EINVAL, "a header line is not \"Name: value\"");
        value += strspn(value, " \t");
        for (size_t n = strlen(value); n > 0 && strchr(" \t", value[n - 1]); n--)
            value[n - 1] = '\0';
        r = parse_header(line, value, &seen_length, &head, err);
    }
    if (r == 0)
        *ret_head = head;
    return r;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As browsers and most libraries write a query: %XX, and '+' for a space. */
static int decode(const char *name, char *text, bool plus_is_blank, struct error *err)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from != '%') {
            *to++ = *from == '+' && plus_is_blank ? ' ' : *from;
            continue;
        }
        int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0)
            return error_set(err, EINVAL, "%s: \"%%\" is not followed by two hex digits", name);
        if (high == 0 && low == 0)
            return error_set(err, EINVAL, "%s: a NUL byte is not allowed", name);
        *to++ = (char)(high << 4 | low);
        from += 2;
    }
    *to = '\0';
    return 0;
}

static bool is_listed(const char *name, const char *const names[])
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

int http_path_decode(char *text, struct error *err)
{
    return decode("path", text, false, err);
}

int http_query_parse(char *text, const char *const names[], struct http_query *ret_query,
                     struct error *err)
{
    struct http_query query = {0};
    for (char *next; text && *text; text = next) {
        next = cut(text, "&");
        char *value = cut(text, "=");
        if (!is_token(text) || !is_listed(text, names))
            return error_set(err, EINVAL,
                             "the query has a parameter that does not exist: \"%.64s\"", text);
        if (!value)
            return error_set(err, EINVAL, "%s: the value is missing", text);
        if (http_query_get(&query, text) || query.n == HTTP_QUERY_MAX)
            return error_set(err, EINVAL, "%s: given more than once", text);
        int r = decode(text, value, true, err);
        if (r < 0)
            return r;
        query.of[query.n].name = text;
        query.of[query.n++].value = value;
    }
    *ret_query = query;
    return 0;
}

const char *http_query_get(const struct http_query *query, const char *name)
{
    for (size_t i = 0; i < query->n; i++)
        if (strcmp(query->of[i].name, name) == 0)
            return query->of[i].value;
    return NULL;
}

int http_query_bool(const struct http_query *query, const char *name, bool *ret_value,
                    struct error *err)
{
    const char *text = http_query_get(query, name);
    if (text && parse_bool(text, ret_value) < 0)
        return error_set(err, EINVAL, "%s: \"%.32s\" is not 1 or 0", name, text);
    return 0;
}

int http_query_i64(const struct http_query *query, const char *name, int64_t min, int64_t max,
                   int64_t *ret_value, struct error *err)
{
    const char *text = http_query_get(query, name);
    if (text && parse_i64(text, min, max, ret_value) < 0)
        return error_set(err, EINVAL, "%s: \"%.32s\" is not a number from %lld to %lld", name, text,
                         (long long)min, (long long)max);
    return 0;
}
