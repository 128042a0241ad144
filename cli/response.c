#include "cli/response.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/parse.h"

enum { HEADER_VALUE_MAX = 32 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.x NNN reason" */
static int parse_status_line(const char *line, size_t length, int *ret_status)
{
    if (length < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ' ||
        (length > 12 && line[12] != ' '))
        return -EPROTO;
    const char *digits = line + 9;
    if (digits[0] < '1' || digits[0] > '5' || !is_digit(digits[1]) || !is_digit(digits[2]))
        return -EPROTO;
    *ret_status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0';
    return 0;
}

/* The value of a header, trimmed, when the line is of that name. */
static bool header_value(const char *line, size_t length, const char *name, char *buf, size_t size)
{
    size_t n = strlen(name);
    if (length <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    const char *value = line + n + 1, *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    snprintf(buf, size, "%.*s", (int)(end - value), value);
    return true;
}

static int parse_header(const char *line, size_t length, struct response *response,
                        struct error *err)
{
    char value[HEADER_VALUE_MAX];
    if (header_value(line, length, "Transfer-Encoding", value, sizeof(value)))
        return error_set(err, EPROTO, "the answer has a Transfer-Encoding, which HTTP/1.0 lacks");
    if (!header_value(line, length, "Content-Length", value, sizeof(value)))
        return 0;
    int64_t bytes;
    if (parse_i64(value, 0, INT64_MAX, &bytes) < 0 ||
        (response->body_bytes >= 0 && response->body_bytes != bytes))
        return error_set(err, EPROTO, "the answer has a Content-Length that is none");
    response->body_bytes = bytes;
    return 0;
}

int response_parse(const char *data, size_t length, struct response *ret_response,
                   struct error *err)
{
    struct response response = {.body_bytes = -1};
    for (size_t at = 0; at < length;) {
        const char *line = data + at, *end = memchr(line, '\n', length - at);
        if (!end)
            break;
        size_t bytes = (size_t)(end - line);
        at += bytes + 1;
        if (bytes > 0 && line[bytes - 1] == '\r')
            bytes--;
        int r = 0;
        if (response.status == 0) {
            if (parse_status_line(line, bytes, &response.status) < 0)
                return error_set(err, EPROTO, "the answer does not begin as HTTP does");
        } else if (bytes > 0) {
            r = parse_header(line, bytes, &response, err);
        } else {
            response.head_bytes = at;
            *ret_response = response;
            return 0;
        }
        if (r < 0)
            return r;
    }
    /* What cannot become HTTP any more need not be waited for. */
    if (response.status == 0 && memcmp(data, "HTTP/1.", length < 7 ? length : 7) != 0)
        return error_set(err, EPROTO, "the answer does not begin as HTTP does");
    if (length >= RESPONSE_HEAD_MAX)
        return error_set(err, EPROTO, "the answer's head is longer than %d bytes",
                         RESPONSE_HEAD_MAX);
    return -EAGAIN;
}

int response_add_query(char *target, size_t size, const char *name, const char *value)
{
    size_t used = strlen(target);
    int n = snprintf(target + used, size - used, "%c%s=", strchr(target, '?') ? '&' : '?', name);
    size_t at = used + (n < 0 ? size : (size_t)n);
    for (const char *p = value; *p && at < size; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || is_digit(*p) ||
                     strchr("-._~/", *p);
        n = snprintf(target + at, size - at, plain ? "%c" : "%%%02X", (unsigned char)*p);
        at += (size_t)n;
    }
    if (at < size)
        return 0;
    target[used] = '\0';
    return -ENAMETOOLONG;
}
