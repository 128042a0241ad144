#include "lib/aws/sts.h"

#include <errno.h>

#include "lib/aws/xml.h"

int sts_parse_identity(const char *body, size_t length, struct sts_identity *ret_identity,
                       struct error *err)
{
    struct sts_identity identity;
    struct xml_field fields[] = {
        {.name = "Arn", .text = identity.arn, .size = sizeof(identity.arn)},
        {.name = "Account", .text = identity.account, .size = sizeof(identity.account)},
        {.name = "UserId", .text = identity.user_id, .size = sizeof(identity.user_id)},
    };
    int r = xml_read(body, length, fields, ARRAY_LEN(fields), err);
    if (r < 0) {
        error_prefix(err, "GetCallerIdentity");
        return -EBADMSG;
    }
    if (!identity.arn[0] || !identity.account[0])
        return error_set(err, EBADMSG, "GetCallerIdentity: the answer has no Arn or no Account");
    *ret_identity = identity;
    return 0;
}

int sts_get_caller_identity(const struct aws_client *client, int64_t deadline_ms,
                            struct sts_identity *ret_identity, struct error *err)
{
    static const char body[] = "Action=GetCallerIdentity&Version=2011-06-15";
    const struct aws_call call = {
        .action = AWS_GET_CALLER_IDENTITY,
        .path = "/",
        .headers = {"Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
        .body = body,
        .body_length = sizeof(body) - 1,
        .deadline_ms = deadline_ms,
    };
    _cleanup_reply_ struct reply reply = {0};
    int r = aws_request(client, &call, &reply, err);
    if (r == 0)
        r = reply_check(&reply, "GetCallerIdentity", err);
    return r < 0 ? r : sts_parse_identity(reply.body, reply.length, ret_identity, err);
}
