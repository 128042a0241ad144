/*
 * sign: the one place that decides which requests libcurl may sign with AWS signature version 4.
 *
 * The signer of libcurl 7.88.1 is right for a part of what HTTP allows and silently wrong for the
 * rest (a query that is not sorted, a path with %XX, a header that is removed ...). Inside the part
 * that is described here every shape is compared with botocore's signer by
 * tests/integration/test_aws_request.py; everything else is refused with -EINVAL:
 *
 *     GET without a body, or POST with one of 1 byte to less than 1 MiB;
 *     a path of unreserved characters and single slashes;
 *     a query of name=value pairs in the order of their names, percent-encoded where it is needed
 *     and only there, with upper-case digits;
 *     headers "Name: value" of printable ASCII, none empty, none twice, none that begins with the
 *     whole name of another, and none that curl sets itself.
 *
 * http_exchange() calls both functions; nothing else has to. Threads: safe. Nothing is kept of what
 * is passed.
 */
#ifndef LIB_AWS_SIGN_H
#define LIB_AWS_SIGN_H

#include "lib/aws/curl.h"
#include "lib/aws/http.h"

enum { SIGN_BODY_MAX_BYTES = 1024 * 1024 - 1, SIGN_NAME_MAX = 63 };

struct sign_key {
    const char *access_key_id, *secret_access_key;
    const char *region, *service;
};

int sign_check(const struct http_request *request, struct error *err);
int sign_set_up(CURL *curl, const struct sign_key *key); /* 0 or -errno */

/* Is c never percent-encoded? */
bool sign_unreserved(char c);

#endif
