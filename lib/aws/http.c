#include "lib/aws/http.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/curl.h"
#include "lib/aws/sign.h"
#include "lib/backoff.h"
#include "lib/clock.h"
#include "lib/parse.h"

enum {
    CONNECT_TIMEOUT_MS = 3500, /* one SYN may be lost */
    RETRY_AFTER_MAX_MS = 60 * 1000,
    PAUSE_MAX_MS = 1000,
};

static void cleanup_curl_p(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

static void cleanup_slist_p(struct curl_slist **list)
{
    /* A header may carry a session token. */
    for (struct curl_slist *item = *list; item; item = item->next)
        explicit_bzero(item->data, strlen(item->data));
    curl_slist_free_all(*list);
}

struct transfer {
    const struct http_request *request;
    struct http_response response;
    size_t allocated, header_bytes;
    bool too_big;
};

void http_wipe_text(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void http_clean_text(char *text)
{
    for (char *p = text; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
}

char *http_secret_header(const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + sizeof(": ");
    char *header = malloc(size);
    if (header)
        snprintf(header, size, "%s: %s", name, value);
    return header;
}

void http_response_release(struct http_response *response)
{
    if (response->body)
        explicit_bzero(response->body, response->length);
    free(response->body);
    *response = (struct http_response){0};
}

/* Not realloc(): it would leave a copy of the old bytes behind. */
static int grow(struct transfer *t, size_t wanted)
{
    size_t size = t->allocated ? t->allocated : 4096;
    while (size < wanted)
        size *= 2;
    char *larger = malloc(size);
    if (!larger)
        return -ENOMEM;
    if (t->response.body) {
        memcpy(larger, t->response.body, t->response.length);
        explicit_bzero(t->response.body, t->response.length);
        free(t->response.body);
    }
    t->response.body = larger;
    t->allocated = size;
    return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t length = size * n, used = t->response.length;
    if (length > t->request->response_max - used) {
        t->too_big = true;
        return 0;
    }
    if (used + length + 1 > t->allocated && grow(t, used + length + 1) < 0)
        return 0;
    memcpy(t->response.body + used, data, length);
    t->response.length = used + length;
    t->response.body[t->response.length] = '\0';
    return length;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    t->header_bytes += size * n;
    t->too_big = t->header_bytes > HTTP_RESPONSE_HEADERS_MAX_BYTES;
    return t->too_big ? 0 : size * n;
}

static const char *header(CURL *curl, const char *name)
{
    struct curl_header *found;
    return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value
                                                                                  : NULL;
}

/* Seconds or, in the header that AWS services have of their own, milliseconds. */
static int64_t retry_after_ms(CURL *curl)
{
    int64_t value;
    const char *text = header(curl, "x-amz-retry-after");
    if (text && parse_i64(text, 0, RETRY_AFTER_MAX_MS, &value) == 0)
        return value;
    text = header(curl, "Retry-After");
    if (text && parse_i64(text, 0, RETRY_AFTER_MAX_MS / 1000, &value) == 0)
        return value * 1000;
    return -1;
}

static void keep_headers(CURL *curl, struct http_response *response)
{
    const char *type = header(curl, "x-amzn-query-error");
    if (!type)
        type = header(curl, "x-amzn-errortype");
    if (type)
        snprintf(response->error_type, sizeof(response->error_type), "%s", type);
    const char *date = header(curl, "Date");
    time_t seconds = date ? curl_getdate(date, NULL) : -1;
    response->date_wall_ms = seconds > 0 ? (int64_t)seconds * 1000 : 0;
    response->retry_after_ms = retry_after_ms(curl);
}

/* The URL without its query, which is long and says little, for messages. */
static int url_length(const char *url)
{
    return (int)strcspn(url, "?#");
}

static int check_request(const struct http_request *request, struct error *err)
{
    CURLU *parsed = curl_url();
    char *user = NULL;
    CURLUcode bad = curl_url_set(parsed, CURLUPART_URL, request->url, 0);
    bool secret = !bad && (curl_url_get(parsed, CURLUPART_USER, &user, 0) == CURLUE_OK ||
                           curl_url_get(parsed, CURLUPART_PASSWORD, &user, 0) == CURLUE_OK);
    curl_free(user);
    curl_url_cleanup(parsed);
    if (secret)
        return error_set(err, EINVAL, "an URL with a user name or password in it is not used");
    bool http =
        strncmp(request->url, "http://", 7) == 0 || strncmp(request->url, "https://", 8) == 0;
    if (bad || !http)
        return error_set(err, EINVAL, "\"%.*s\" is no http or https URL", url_length(request->url),
                         request->url);
    for (size_t i = 0; request->headers[i]; i++) {
        if (strpbrk(request->headers[i], "\r\n"))
            return error_set(err, EINVAL, "a header of a request to %.*s has a line break in it",
                             url_length(request->url), request->url);
    }
    return request->sign ? sign_check(request, err) : 0;
}

static int transfer_error(CURL *curl, CURLcode code, const struct transfer *t, const char *detail,
                          struct error *err)
{
    const struct http_request *request = t->request;
    const char *words = detail[0] ? detail : curl_easy_strerror(code);
    long os_errno = 0;
    int r = EIO;
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        r = ETIMEDOUT;
        break;
    case CURLE_COULDNT_CONNECT:
        r = os_errno > 0 ? (int)os_errno : ECONNREFUSED;
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        r = EHOSTUNREACH;
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        r = EKEYREJECTED;
        break;
    case CURLE_OUT_OF_MEMORY:
        r = ENOMEM;
        break;
    case CURLE_WRITE_ERROR:
        r = t->too_big ? EFBIG : ENOMEM;
        words = t->too_big ? "the answer is larger than allowed" : "out of memory";
        break;
    default:
        break;
    }
    return error_set(err, r, "%s %.*s: %s", request->method, url_length(request->url), request->url,
                     words);
}

static int refuse_redirect(CURL *curl, const struct transfer *t, struct error *err)
{
    const struct http_request *request = t->request;
    const char *location = header(curl, "Location");
    char where[256];
    snprintf(where, sizeof(where), "%.*s", location ? url_length(location) : 7,
             location ? location : "nowhere");
    http_clean_text(where);
    return error_set(err, EPROTO, "%s %.*s answered %ld and wanted to send this on to %s: refused",
                     request->method, url_length(request->url), request->url, t->response.status,
                     where);
}

static int set_up(CURL *curl, struct transfer *t, struct curl_slist *headers, char *detail)
{
    const struct http_request *request = t->request;
    const char *bundle = getenv("AWS_CA_BUNDLE");
    long timeout_ms = clock_poll_timeout(request->deadline_ms);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "efs-sidecar/" EFS_SIDECAR_VERSION);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (bundle && *bundle)
        curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
    if (request->direct)
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
    }
    if (timeout_ms >= 0)
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? timeout_ms : 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    /* At the deadline leave a thread that still resolves the name behind; it ends by itself. */
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    return request->sign ? sign_set_up(curl, request->sign) : 0;
}

static int exchange(CURL *curl, struct transfer *t, struct error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    _cleanup_(cleanup_slist_p) struct curl_slist *headers = NULL;
    for (size_t i = 0; t->request->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(headers, t->request->headers[i]);
        if (!longer)
            return error_set_errno(err, ENOMEM, "%s", t->request->url);
        headers = longer;
    }
    int r = set_up(curl, t, headers, detail);
    if (r < 0)
        return error_set_errno(err, -r, "setting up a request to %s", t->request->url);
    if (grow(t, 1) < 0)
        return error_set_errno(err, ENOMEM, "%s", t->request->url);
    t->response.body[0] = '\0';
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        return transfer_error(curl, code, t, detail, err);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &t->response.status);
    if (t->response.status >= 300 && t->response.status < 400)
        return refuse_redirect(curl, t, err);
    keep_headers(curl, &t->response);
    return 0;
}

int http_exchange(const struct http_request *request, struct http_response *ret_response,
                  struct error *err)
{
    struct transfer t = {.request = request};
    int r = curl_load(err);
    if (r == 0)
        r = check_request(request, err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_curl_p) CURL *curl = curl_easy_init();
    if (!curl)
        return error_set_errno(err, ENOMEM, "%s", request->url);
    r = exchange(curl, &t, err);
    if (r < 0)
        http_response_release(&t.response);
    else
        *ret_response = t.response;
    return r;
}

int http_pause(int64_t ms, int64_t deadline_ms)
{
    int64_t until_ms = clock_now_ms() + ms;
    if (until_ms >= deadline_ms)
        return -ETIMEDOUT;
    for (;;) {
        int left_ms = clock_poll_timeout(until_ms);
        if (left_ms == 0)
            return 0;
        poll(NULL, 0, left_ms);
    }
}

bool http_may_heal(int r)
{
    return r != -EINVAL && r != -EPROTO && r != -EFBIG && r != -EKEYREJECTED && r != -ENOMEM &&
           r != -ENOSYS;
}

static bool worth_repeating(int r, const struct http_response *response, long also_retry)
{
    if (r < 0)
        return http_may_heal(r);
    return response->status == 429 || response->status >= 500 || response->status == also_retry;
}

int http_exchange_patiently(const struct http_request *request, int64_t try_ms, long also_retry,
                            struct http_response *ret_response, struct error *err)
{
    struct http_request attempt = *request;
    struct backoff backoff = {.first_ms = 100, .most_ms = PAUSE_MAX_MS};
    for (;;) {
        struct http_response response = {0};
        int64_t try_end_ms = clock_now_ms() + try_ms;
        attempt.deadline_ms = try_end_ms < request->deadline_ms ? try_end_ms : request->deadline_ms;
        int r = http_exchange(&attempt, &response, err);
        if (!worth_repeating(r, &response, also_retry) ||
            http_pause(backoff_next_ms(&backoff), request->deadline_ms) < 0) {
            if (r == 0)
                *ret_response = response;
            return r;
        }
        http_response_release(&response);
    }
}
