/* The error answers of AWS services; parsed means that a code was found. */
#include <string.h>

#include "lib/aws/cloudwatch.h"
#include "lib/aws/reply.h"
#include "tests/fuzz/driver.h"

static struct credentials keys = {.secret_access_key = (char[]){"SECRETKEY"},
                                  .session_token = (char[]){"SESSIONTOKEN"}};

int fuzz_parse(const char *text, size_t length)
{
    struct http_response response = {.status = 400, .length = length, .body = malloc(length + 1)};
    struct reply reply;
    struct error err = {0};
    MUST(response.body);
    memcpy(response.body, text, length);
    response.body[length] = '\0';
    reply_read(&response, &keys, &reply);
    MUST(memchr(reply.code, '\0', sizeof(reply.code)));
    MUST(memchr(reply.message, '\0', sizeof(reply.message)));
    MUST(!strpbrk(reply.message, "\r\n\x1b"));
    MUST(!strstr(reply.message, "SECRETKEY") && !strstr(reply.message, "SESSIONTOKEN"));
    MUST(reply_verdict(&reply) != REPLY_OK && reply_check(&reply, "x", &err) < 0);
    MUST(err.text[0]);
    MUST(cloudwatch_check(&reply, &err) < 0);
    int found = reply.code[0] ? 0 : -1;
    reply_release(&reply);
    return found;
}
