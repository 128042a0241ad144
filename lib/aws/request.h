/*
 * request: one signed call of an AWS service, repeated as long as that makes sense.
 *
 *     struct aws_client client;
 *     r = aws_client_open(task_arn, &client, &err);
 *     struct aws_call call = {
 *         .action = AWS_DESCRIBE_MOUNT_TARGETS, .path = "/2015-02-01/mount-targets",
 *         .deadline_ms = deadline_ms, .query = {{"FileSystemId", "fs-0123456789abcdef0"}}};
 *     _cleanup_reply_ struct reply reply = {0};
 *     r = aws_request(&client, &call, &reply, &err);           // 0: AWS answered, perhaps with no
 *     if (r == 0)
 *         r = reply_check(&reply, "DescribeMountTargets", &err);
 *     ...
 *     aws_client_close(&client);
 *
 * With a body it is a POST, else a GET. Throttling, server errors and broken connections are
 * retried, at most 5 attempts, with full jitter and what the service asks for in Retry-After; when
 * AWS does not take the credentials they are fetched anew once. All of it ends at the deadline. The
 * result is that of the last attempt.
 *
 * Ownership: the client keeps nothing of a call. Threads: a client may be used by several; each
 * blocks, so no loop thread. Errors: those of http.h, credentials.h, endpoint.h and sign.h.
 */
#ifndef LIB_AWS_REQUEST_H
#define LIB_AWS_REQUEST_H

#include "lib/aws/action.h"
#include "lib/aws/credentials.h"
#include "lib/aws/reply.h"

enum { AWS_QUERY_MAX = 8, AWS_ATTEMPTS_MAX = 5, AWS_ANSWER_MAX_BYTES = 1024 * 1024 };

struct aws_client {
    struct credentials_store *credentials;
    char region[ENDPOINT_REGION];
};

struct aws_parameter {
    const char *name, *value; /* not encoded */
};

struct aws_call {
    enum aws_action_id action;
    const char *path;                              /* of unreserved characters */
    struct aws_parameter query[AWS_QUERY_MAX + 1]; /* in any order, ends with {NULL, NULL} */
    const char *headers[4];                        /* "Content-Type: ..." ..., NULL-terminated */
    const char *body;
    size_t body_length;
    int64_t deadline_ms;
};

/* task_arn: where the region comes from if no variable names it; may be NULL. */
int aws_client_open(const char *task_arn, struct aws_client *ret_client, struct error *err);
void aws_client_close(struct aws_client *client);

int aws_request(const struct aws_client *client, const struct aws_call *call,
                struct reply *ret_reply, struct error *err);

#endif
