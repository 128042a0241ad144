/* Each user has a rate of its own, is let in again as time passes, and may always give back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/api_rate.h"

static unsigned take_all(struct api_rate *rate, uid_t uid, size_t body_bytes, int64_t now_ms)
{
    unsigned n = 0;
    while (n < 100000 && api_rate_take(rate, uid, body_bytes, now_ms))
        n++;
    return n;
}

static void test_rate(void **state)
{
    struct api_rate rate;
    api_rate_init(&rate, 10);
    assert_int_equal(take_all(&rate, 1, 0, 1000), 10 * API_RATE_BURST_S);
    assert_int_equal(take_all(&rate, 2, 0, 1000), 10 * API_RATE_BURST_S); /* another user */
    assert_int_equal(take_all(&rate, 1, 0, 1099), 0);
    assert_int_equal(take_all(&rate, 1, 0, 1100), 1); /* also what was refused in between */
    assert_int_equal(take_all(&rate, 1, 0, 2100), 10);
    assert_int_equal(take_all(&rate, 1, 0, INT64_MAX / 2), 10 * API_RATE_BURST_S);
}

static void test_bodies(void **state)
{
    struct api_rate rate;
    api_rate_init(&rate, 10);
    assert_int_equal(take_all(&rate, 1, 4 * API_RATE_BODY_BYTES, 1000), 10 * API_RATE_BURST_S / 5);
    assert_int_equal(take_all(&rate, 2, HTTP_BODY_MAX, 1000), 1); /* the largest, once */
    assert_false(api_rate_take(&rate, 2, 0, 1000));
}

static void test_no_limit(void **state)
{
    struct api_rate rate;
    api_rate_init(&rate, 0);
    assert_int_equal(take_all(&rate, 1, HTTP_BODY_MAX, 1000), 100000);
}

static void test_many_users(void **state)
{
    struct api_rate rate;
    api_rate_init(&rate, 1);
    for (unsigned uid = 0; uid < API_RATE_USERS; uid++)
        assert_int_equal(take_all(&rate, uid, 0, 1000 + uid), API_RATE_BURST_S);
    assert_int_equal(take_all(&rate, 5000, 0, 1500), API_RATE_BURST_S); /* in place of user 0 */
    assert_int_equal(take_all(&rate, 1, 0, 1500), 0);
}

static void test_what_costs(void **state)
{
    static const struct {
        const char *method, *path;
        bool costs;
    } known[] = {
        {"GET", "/healthz", false},
        {"GET", "/metrics", false},
        {"GET", "/v1/changes", false},
        {"GET", "/v1/locks", false},
        {"GET", "/v1/claims", false},
        {"GET", "/v1/cache", false},
        {"POST", "/v1/log", false},
        {"POST", "/v1/locks/a/release", false},
        {"POST", "/v1/claims/12/done", false},
        {"GET", "/v1/locks/a", true},
        {"GET", "/v1/tasks", true},
        {"POST", "/v1/locks/a", true},
        {"POST", "/v1/locks/release", true},
        {"POST", "/v1/claims", true},
        {"POST", "/v1/publish", true},
        {"POST", "/v1/cache/warm", true},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct http_head head = {0};
        head.method = known[i].method;
        head.path = known[i].path;
        assert_int_equal(api_rate_costs(&head), known[i].costs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),       cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_no_limit),   cmocka_unit_test(test_many_users),
        cmocka_unit_test(test_what_costs),
    };
    return cmocka_run_group_tests_name("api_rate", tests, NULL, NULL);
}
