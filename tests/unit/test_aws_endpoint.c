/* Where the region comes from, and which host answers for a service. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/aws/endpoint.h"
#include "lib/cleanup.h"

static int no_variables(void **state)
{
    static const char *const names[] = {"AWS_REGION",
                                        "AWS_DEFAULT_REGION",
                                        "AWS_ENDPOINT_URL",
                                        "AWS_ENDPOINT_URL_STS",
                                        "AWS_ENDPOINT_URL_EFS",
                                        "AWS_ENDPOINT_URL_ECS",
                                        "AWS_ENDPOINT_URL_CLOUDWATCH",
                                        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    return 0;
}

static void test_region(void **state)
{
    static const char arn[] = "arn:aws-cn:ecs:cn-north-1:111122223333:task/default/158d1c80";
    char region[ENDPOINT_REGION] = "untouched";
    struct error err = {0};
    assert_int_equal(endpoint_region(NULL, region, &err), -ENOENT);
    assert_non_null(strstr(err.text, "AWS_REGION"));
    static const char *const bad[] = {"arn:aws:ecs",           "arn:aws:ecs:us-east-1",
                                      "x:aws:ecs:us-east-1:1", "arn:aws:ecs::1:task/x",
                                      "arn:aws:ecs:a.b-1:1:t", "arn:aws:ecs:-us-east:1:t"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(endpoint_region(bad[i], region, &err), -EINVAL);
    assert_string_equal(region, "untouched");

    assert_int_equal(endpoint_region(arn, region, &err), 0);
    assert_string_equal(region, "cn-north-1");
    setenv("AWS_DEFAULT_REGION", "eu-central-1", 1);
    assert_int_equal(endpoint_region(arn, region, &err), 0);
    assert_string_equal(region, "eu-central-1");
    setenv("AWS_REGION", "us-gov-east-1", 1);
    assert_int_equal(endpoint_region(arn, region, &err), 0);
    assert_string_equal(region, "us-gov-east-1");
    setenv("AWS_REGION", "evil.example.com/", 1);
    assert_int_equal(endpoint_region(arn, region, &err), -EINVAL);
    assert_non_null(strstr(err.text, "AWS_REGION: \"evil.example.com/\""));
    setenv("AWS_REGION", "", 1);
    assert_int_equal(endpoint_region(arn, region, &err), 0);
    assert_string_equal(region, "eu-central-1");
}

static void test_partitions(void **state)
{
    static const struct {
        const char *region, *url;
    } cases[] = {
        {"eu-west-1", "https://elasticfilesystem.eu-west-1.amazonaws.com"},
        {"us-gov-west-1", "https://elasticfilesystem.us-gov-west-1.amazonaws.com"},
        {"cn-northwest-1", "https://elasticfilesystem.cn-northwest-1.amazonaws.com.cn"},
        {"eusc-de-east-1", "https://elasticfilesystem.eusc-de-east-1.amazonaws.eu"},
        {"us-iso-east-1", "https://elasticfilesystem.us-iso-east-1.c2s.ic.gov"},
        {"us-isob-east-1", "https://elasticfilesystem.us-isob-east-1.sc2s.sgov.gov"},
        {"eu-isoe-west-1", "https://elasticfilesystem.eu-isoe-west-1.cloud.adc-e.uk"},
        {"us-isof-south-1", "https://elasticfilesystem.us-isof-south-1.csp.hci.ic.gov"},
    };
    char url[ENDPOINT_URL];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(endpoint_url(&aws_efs, cases[i].region, url, sizeof(url), NULL), 0);
        assert_string_equal(url, cases[i].url);
    }
    assert_int_equal(endpoint_url(&aws_cloudwatch, "eu-west-1", url, sizeof(url), NULL), 0);
    assert_string_equal(url, "https://monitoring.eu-west-1.amazonaws.com");
    assert_int_equal(endpoint_url(&aws_sts, "eu-west-1.evil", url, sizeof(url), NULL), -EINVAL);
}

static void test_configured(void **state)
{
    char url[ENDPOINT_URL], small[16];
    struct error err = {0};
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566/", 1);
    setenv("AWS_ENDPOINT_URL_STS", "https://vpce.example.com", 1);
    assert_int_equal(endpoint_url(&aws_sts, "eu-west-1", url, sizeof(url), NULL), 0);
    assert_string_equal(url, "https://vpce.example.com");
    assert_int_equal(endpoint_url(&aws_ecs, "eu-west-1", url, sizeof(url), NULL), 0);
    assert_string_equal(url, "http://127.0.0.1:4566");
    assert_int_equal(endpoint_url(&aws_ecs, "eu-west-1", small, sizeof(small), NULL), -EINVAL);
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE", 1);
    assert_int_equal(endpoint_url(&aws_sts, "eu-west-1", url, sizeof(url), NULL), 0);
    assert_string_equal(url, "https://sts.eu-west-1.amazonaws.com");
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false", 1);
    static const char *const bad[] = {"vpce.example.com", "ftp://x",    "http://u:p@x",
                                      "http://x?y",       "http://x#y", "http://x y",
                                      "http://x\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        setenv("AWS_ENDPOINT_URL_STS", bad[i], 1);
        assert_int_equal(endpoint_url(&aws_sts, "eu-west-1", url, sizeof(url), &err), -EINVAL);
        assert_non_null(strstr(err.text, "AWS_ENDPOINT_URL_STS"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_region, no_variables),
        cmocka_unit_test_setup(test_partitions, no_variables),
        cmocka_unit_test_setup(test_configured, no_variables),
    };
    return cmocka_run_group_tests_name("aws_endpoint", tests, NULL, no_variables);
}
