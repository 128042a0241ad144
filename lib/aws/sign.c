#include "lib/aws/sign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char digits_upper[] = "0123456789ABCDEF";
static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/* What curl sends itself, and x-amz-content-sha256, which changes what it hashes. */
static const char *const curls_own[] = {
    "Host",   "X-Amz-Date", "Authorization",    "Content-Length",       "Transfer-Encoding",
    "Expect", "Connection", "Proxy-Connection", "X-Amz-Content-Sha256", "User-Agent",
};

bool sign_unreserved(char c)
{
    return c != '\0' && (strchr(alnum, c) || strchr("-._~", c));
}

static int check_key(const struct sign_key *key, struct error *err)
{
    size_t id = strlen(key->access_key_id);
    if (id == 0 || id > 128 || strspn(key->access_key_id, alnum) != id)
        return error_set(err, EINVAL, "the access key id is not made of letters and digits");
    if (!key->secret_access_key[0])
        return error_set(err, EINVAL, "the secret access key is empty");
    const char *const names[] = {key->region, key->service};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t length = strlen(names[i]), good = 0;
        while (good < length && (strchr(alnum, names[i][good]) || names[i][good] == '-'))
            good++;
        if (length == 0 || length > SIGN_NAME_MAX || good < length)
            return error_set(err, EINVAL, "\"%.64s\" is no region or service", names[i]);
    }
    return 0;
}

static int check_body(const struct http_request *request, struct error *err)
{
    if (strcmp(request->method, "GET") == 0 && !request->body)
        return 0;
    if (strcmp(request->method, "POST") != 0 || !request->body)
        return error_set(err, EINVAL, "only GET without and POST with a body can be signed");
    if (request->body_length < 1 || request->body_length > SIGN_BODY_MAX_BYTES)
        return error_set(err, EINVAL, "a body of %zu bytes cannot be signed, only 1 to %d",
                         request->body_length, SIGN_BODY_MAX_BYTES);
    return 0;
}

static int check_path(const char *path, size_t length, struct error *err)
{
    for (size_t i = 0; i < length; i++) {
        const char *rest = path + i + 1;
        bool slash = path[i] == '/';
        if (!slash && !sign_unreserved(path[i]))
            return error_set(err, EINVAL, "a path with '%c' in it cannot be signed",
                             (unsigned char)path[i] < 0x21 ? '?' : path[i]);
        if (slash && (*rest == '/' || *rest == '.'))
            return error_set(err, EINVAL, "a path with \"/%c\" in it cannot be signed", *rest);
    }
    return 0;
}

static bool encoded(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (sign_unreserved(text[i]))
            continue;
        if (text[i] != '%' || length - i < 3 || !text[i + 1] || !text[i + 2])
            return false;
        const char *high = strchr(digits_upper, text[i + 1]);
        const char *low = strchr(digits_upper, text[i + 2]);
        if (!high || !low ||
            sign_unreserved((char)((high - digits_upper) << 4 | (low - digits_upper))))
            return false;
        i += 2;
    }
    return length > 0;
}

static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int check_query(const char *query, struct error *err)
{
    const char *last = "";
    size_t last_length = 0;
    for (const char *name = query;; name++) {
        const char *end = strchrnul(name, '&');
        const char *equals = memchr(name, '=', (size_t)(end - name));
        size_t length = equals ? (size_t)(equals - name) : 0;
        if (!equals || !encoded(name, length) || !encoded(equals + 1, (size_t)(end - equals) - 1))
            return error_set(err, EINVAL,
                             "a query that is not of percent-encoded name=value pairs cannot be "
                             "signed");
        if (compare(last, last_length, name, length) >= 0)
            return error_set(err, EINVAL,
                             "a query that is not in the order of its names, each once, cannot be "
                             "signed");
        last = name;
        last_length = length;
        if (!*end)
            return 0;
        name = end;
    }
}

static int check_url(const char *url, struct error *err)
{
    const char *scheme = strstr(url, "://");
    const char *authority = scheme ? scheme + 3 : url;
    const char *path = authority + strcspn(authority, "/?#");
    size_t length = strcspn(path, "?#");
    if (strchr(path, '#'))
        return error_set(err, EINVAL, "an URL with a fragment cannot be signed");
    if (length == 0)
        return error_set(err, EINVAL, "an URL without a path cannot be signed");
    int r = check_path(path, length, err);
    return r < 0 || !path[length] ? r : check_query(path + length + 1, err);
}

static int check_header(const char *header, struct error *err)
{
    size_t name = strcspn(header, ":");
    for (size_t i = 0; i < name; i++) {
        if (!strchr(alnum, header[i]) && header[i] != '-')
            return error_set(err, EINVAL, "header name \"%.*s\" cannot be signed", (int)name,
                             header);
    }
    const char *value = header + name + 2;
    if (name == 0 || strncmp(header + name, ": ", 2) != 0 || !*value || *value == ' ' ||
        value[strlen(value) - 1] == ' ')
        return error_set(err, EINVAL, "header \"%.*s\" is empty or padded: it cannot be signed",
                         (int)name, header);
    for (; *value; value++) {
        if (*value < 0x20 || *value > 0x7e)
            return error_set(err, EINVAL, "header \"%.*s\" is not printable ASCII", (int)name,
                             header);
    }
    return 0;
}

/* One name begins with the other: then curl sorts them wrongly, or they are the same. */
static bool clash(const char *a, const char *b)
{
    size_t a_length = strcspn(a, ":"), b_length = strcspn(b, ":");
    return strncasecmp(a, b, a_length < b_length ? a_length : b_length) == 0;
}

int sign_check(const struct http_request *request, struct error *err)
{
    const char *const *headers = request->headers;
    int r = check_key(request->sign, err);
    if (r == 0)
        r = check_body(request, err);
    if (r == 0)
        r = check_url(request->url, err);
    for (size_t i = 0; r == 0 && headers[i]; i++) {
        r = check_header(headers[i], err);
        for (size_t k = 0; r == 0 && k < ARRAY_LEN(curls_own); k++) {
            if (clash(headers[i], curls_own[k]))
                r = error_set(err, EINVAL, "header \"%.*s\" clashes with one that curl sends",
                              (int)strcspn(headers[i], ":"), headers[i]);
        }
        for (size_t k = 0; r == 0 && k < i; k++) {
            if (clash(headers[i], headers[k]))
                r = error_set(err, EINVAL, "header \"%.*s\" and another begin alike",
                              (int)strcspn(headers[i], ":"), headers[i]);
        }
    }
    return r;
}

int sign_set_up(CURL *curl, const struct sign_key *key)
{
    char scope[2 * SIGN_NAME_MAX + 16];
    snprintf(scope, sizeof(scope), "aws:amz:%s:%s", key->region, key->service);
    if (curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, scope) != CURLE_OK)
        return -ENOSYS; /* a libcurl without it */
    if (curl_easy_setopt(curl, CURLOPT_USERNAME, key->access_key_id) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_PASSWORD, key->secret_access_key) != CURLE_OK)
        return -ENOMEM;
    return 0;
}
