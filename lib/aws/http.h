/*
 * http: one blocking HTTP exchange with a deadline.
 *
 *     struct http_request request = {
 *         .method = "GET", .url = url, .response_max = 64 * 1024, .deadline_ms = deadline_ms};
 *     _cleanup_http_response_ struct http_response response = {0};
 *     r = http_exchange(&request, &response, &err);      // 0: answered, whatever the status
 *     if (r == 0 && response.status == 200)
 *         ... response.body, response.length ...
 *
 * The call ends at its deadline, also while a name is being resolved. A redirect is never followed:
 * it is an error that names where it wanted to go. TLS certificates are always verified, against
 * the file that AWS_CA_BUNDLE names or else the system's. Proxies are taken from the usual
 * variables unless the request is .direct: what is asked of a link-local address is nobody else's
 * business.
 *
 * Ownership: a response owns its body, which ends with a NUL behind length bytes and is wiped on
 * release, because some bodies are credentials. Threads: any but a loop thread, it blocks.
 * Errors: -ETIMEDOUT, what connect(2) says, -EHOSTUNREACH (the name has no address), -EKEYREJECTED
 * (the certificate), -EFBIG (the answer is over response_max), -EPROTO (a redirect), -EINVAL (the
 * request), else -EIO. No error text contains a header or a body.
 */
#ifndef LIB_AWS_HTTP_H
#define LIB_AWS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "lib/error.h"

struct sign_key; /* sign.h */

enum { HTTP_HEADERS_MAX = 16, HTTP_RESPONSE_HEADERS_MAX_BYTES = 64 * 1024 };

struct http_request {
    const char *method; /* GET, POST or PUT */
    const char *url;
    const char *headers[HTTP_HEADERS_MAX + 1]; /* "Name: value", NULL-terminated */
    const char *body;                          /* or NULL */
    size_t body_length;
    size_t response_max; /* bytes of body */
    int64_t deadline_ms; /* on clock_now_ms() */
    bool direct;         /* through no proxy */
    const struct sign_key *sign;
};

struct http_response {
    long status;
    char *body;
    size_t length;
    int64_t date_wall_ms;   /* the server's Date, or 0 */
    int64_t retry_after_ms; /* -1: not said */
    char error_type[128];   /* x-amzn-query-error, else x-amzn-errortype, else "" */
};

int http_exchange(const struct http_request *request, struct http_response *ret_response,
                  struct error *err);

/*
 * Repeat the exchange while it fails to connect, times out or answers 429, 5xx or also_retry (0:
 * nothing more), with pauses of up to a second, until the deadline: for services of this host that
 * may not be up yet. One attempt gets at most try_ms. The last answer or error is returned.
 */
int http_exchange_patiently(const struct http_request *request, int64_t try_ms, long also_retry,
                            struct http_response *ret_response, struct error *err);

/* Can an exchange that failed with r (-errno) succeed when it is repeated? */
bool http_may_heal(int r);

/* Sleep ms, but not beyond deadline_ms: -ETIMEDOUT, at once, when it would be. */
int http_pause(int64_t ms, int64_t deadline_ms);

void http_response_release(struct http_response *response);

static inline void cleanup_http_response_p(struct http_response *response)
{
    http_response_release(response);
}
#define _cleanup_http_response_ _cleanup_(cleanup_http_response_p)

/* Words of others, for messages: control characters become '?'. */
void http_clean_text(char *text);

/* "NAME: VALUE" for a header that is a secret; NULL: out of memory. */
char *http_secret_header(const char *name, const char *value);

/* Overwrite, then free. NULL is fine. */
void http_wipe_text(char *text);

static inline void cleanup_wiped_text_p(char **text)
{
    http_wipe_text(*text);
}

#endif
