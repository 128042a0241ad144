/* The envelope: which requests may be signed, and that nothing else may. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/aws/sign.h"

static const struct sign_key key = {"AKIAEXAMPLE", "secret", "eu-west-1", "elasticfilesystem"};

static struct http_request get(const char *url)
{
    return (struct http_request){.method = "GET", .url = url, .sign = &key};
}

static struct http_request post(const char *header, const char *other)
{
    return (struct http_request){.method = "POST",
                                 .url = "https://sts.eu-west-1.amazonaws.com/",
                                 .headers = {header, other},
                                 .body = "x",
                                 .body_length = 1,
                                 .sign = &key};
}

static void allow(struct http_request request)
{
    struct error err = {0};
    if (sign_check(&request, &err) < 0)
        fail_msg("%s: %s", request.url, err.text);
}

static void refuse(struct http_request request, const char *words)
{
    struct error err = {0};
    if (sign_check(&request, &err) != -EINVAL)
        fail_msg("%s: was not refused", request.headers[0] ? request.headers[0] : request.url);
    if (!strstr(err.text, words))
        fail_msg("no \"%s\" in: %s", words, err.text);
}

static void test_urls(void **state)
{
    allow(get("https://h/"));
    allow(get("http://[::1]:8080/2015-02-01/file-systems/fs-0123/policy"));
    allow(get("http://h/a-b_c~d.e/F?A=1&A-b=%20%2F&a=~"));
    refuse(get("http://h"), "without a path");
    refuse(get("http://h?a=b"), "without a path");
    refuse(get("http://h/a%20b"), "'%'");
    refuse(get("http://h/a;b"), "';'");
    refuse(get("http://h/a:b"), "':'");
    refuse(get("http://h/a\xc3\xa4"), "cannot be signed");
    refuse(get("http://h//"), "\"//\"");
    refuse(get("http://h/./a"), "\"/.\"");
    refuse(get("http://h/a/.."), "\"/.\"");
    refuse(get("http://h/a#b"), "fragment");
    refuse(get("http://h/?a=b#c"), "fragment");
    refuse(get("http://h/?"), "name=value");
    refuse(get("http://h/?a"), "name=value");
    refuse(get("http://h/?a="), "name=value");
    refuse(get("http://h/?=a"), "name=value");
    refuse(get("http://h/?a=b&"), "name=value");
    refuse(get("http://h/?a=b c"), "name=value");
    refuse(get("http://h/?a=b+c"), "name=value");
    refuse(get("http://h/?a=%2f"), "name=value");
    refuse(get("http://h/?a=%41"), "name=value");
    refuse(get("http://h/?a=%2"), "name=value");
    refuse(get("http://h/?a=%"), "name=value");
    refuse(get("http://h/?a=%g0"), "name=value");
    refuse(get("http://h/?a=b=c"), "name=value");
    refuse(get("http://h/?b=1&a=1"), "order");
    refuse(get("http://h/?a=1&a=2"), "order");
    refuse(get("http://h/?a-b=1&a=2"), "order");
}

static void test_headers(void **state)
{
    allow(post("Content-Type: application/x-amz-json-1.0", "X-Amz-Target: A.B"));
    allow(post("X-Amz-Security-Token: a/b+c==", NULL));
    allow(post("X-Meta: a  b", NULL));
    refuse(post("X-Meta:", NULL), "empty or padded");
    refuse(post("X-Meta: ", NULL), "empty or padded");
    refuse(post("X-Meta;", NULL), "cannot be signed");
    refuse(post("X-Meta", NULL), "empty or padded");
    refuse(post(": x", NULL), "empty or padded");
    refuse(post("X Meta: x", NULL), "cannot be signed");
    refuse(post("X-Meta:x", NULL), "empty or padded");
    refuse(post("X-Meta:  x", NULL), "empty or padded");
    refuse(post("X-Meta: x ", NULL), "empty or padded");
    refuse(post("X-Meta: \x7f", NULL), "ASCII");
    refuse(post("X-Meta: a\tb", NULL), "ASCII");
    refuse(post("X-Meta: \xc3\xa4", NULL), "ASCII");
    static const char *const curls[] = {"Host: h",
                                        "host: h",
                                        "X-Amz-Date: x",
                                        "X-Amz-D: x",
                                        "X-Amz-Date-Too: x",
                                        "Authorization: x",
                                        "Expect: x",
                                        "Content-Length: 1",
                                        "Transfer-Encoding: chunked",
                                        "x-amz-content-sha256: x",
                                        "Connection: close"};
    for (size_t i = 0; i < ARRAY_LEN(curls); i++)
        refuse(post(curls[i], NULL), "clashes");
    refuse(post("X-Meta: 1", "x-meta: 2"), "begin alike");
    refuse(post("X-Meta: 1", "X-Meta-B: 2"), "begin alike");
    refuse(post("X-Meta-B: 1", "X-Meta: 2"), "begin alike");
}

static void test_bodies_and_keys(void **state)
{
    struct http_request request = post(NULL, NULL);
    request.body_length = SIGN_BODY_MAX_BYTES;
    allow(request);
    request.body_length++;
    refuse(request, "1048576");
    request.body_length = 0;
    refuse(request, "0 bytes");
    request = post(NULL, NULL);
    request.body = NULL;
    refuse(request, "only GET");
    request = post(NULL, NULL);
    request.method = "PUT";
    refuse(request, "only GET");
    request.method = "GET";
    refuse(request, "only GET");

    static const struct sign_key bad[] = {
        {"", "s", "eu-west-1", "sts"},    {"AKIA/x", "s", "eu-west-1", "sts"},
        {"AKIA", "", "eu-west-1", "sts"}, {"AKIA", "s", "", "sts"},
        {"AKIA", "s", "eu:west", "sts"},  {"AKIA", "s", "eu-west-1", "s ts"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        request = get("http://h/");
        request.sign = &bad[i];
        refuse(request, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_bodies_and_keys),
    };
    return cmocka_run_group_tests_name("aws_sign", tests, NULL, NULL);
}
