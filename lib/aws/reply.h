/*
 * reply: what an AWS service answered: its error code and message, whatever protocol it speaks, and
 * what follows from the code.
 *
 *     reply_read(&response, keys, &reply);         // takes the response's body
 *     switch (reply_verdict(&reply)) ...
 *     r = reply_check(&reply, "DescribeMountTargets", &err);   // 0 for 2xx, else -errno and words
 *
 * The code decides before the status does: AWS throttles with 400 as well as with 429. From the
 * message everything behind a line break is left out, and every secret of the keys: AWS quotes the
 * signed headers when a signature is wrong.
 *
 * Ownership: a reply owns its body. Threads: a reply belongs to one at a time. Errors of
 * reply_check(): -EACCES not allowed, -EKEYREJECTED the credentials or the signature, -ENOENT there
 * is no such thing, -EAGAIN throttled, -EREMOTEIO the service failed, -EINVAL everything else.
 */
#ifndef LIB_AWS_REPLY_H
#define LIB_AWS_REPLY_H

#include "lib/aws/credentials.h"
#include "lib/aws/http.h"

struct reply {
    long status;
    char *body; /* ends with a NUL */
    size_t length;
    char code[64]; /* "AccessDenied", "" when none was found */
    char message[320];
    int64_t retry_after_ms; /* -1: not said */
    int64_t clock_ahead_ms; /* of this host before the service; 0 when it did not say its time */
};

enum reply_verdict {
    REPLY_OK,
    REPLY_FINAL, /* it will not help to ask again */
    REPLY_RETRY, /* it may, soon */
    REPLY_THROTTLED,
    REPLY_REFRESH, /* it may with other credentials */
};

void reply_read(struct http_response *response, const struct credentials *keys,
                struct reply *ret_reply);
enum reply_verdict reply_verdict(const struct reply *reply);
int reply_check(const struct reply *reply, const char *what, struct error *err);
void reply_release(struct reply *reply);

static inline void cleanup_reply_p(struct reply *reply)
{
    reply_release(reply);
}
#define _cleanup_reply_ _cleanup_(cleanup_reply_p)

#endif
