/*
 * sts: who AWS takes this task for. GetCallerIdentity needs no permission, so it tells valid
 * credentials from a missing permission.
 *
 * Threads: any but a loop thread. Errors: as request.h and reply.h, each a sentence; -EBADMSG when
 * the answer is not what STS answers.
 */
#ifndef LIB_AWS_STS_H
#define LIB_AWS_STS_H

#include "lib/aws/request.h"

struct sts_identity {
    char account[16];
    char arn[512]; /* of the session: arn:aws:sts::123456789012:assumed-role/ROLE/SESSION */
    char user_id[256];
};

int sts_get_caller_identity(const struct aws_client *client, int64_t deadline_ms,
                            struct sts_identity *ret_identity, struct error *err);

int sts_parse_identity(const char *body, size_t length, struct sts_identity *ret_identity,
                       struct error *err);

#endif
