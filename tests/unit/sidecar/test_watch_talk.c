#include "sidecar/watch_talk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka needs these */
#include <cmocka.h>

static int hello_of(struct watch_talk *talk, uint32_t version)
{
    uint8_t payload[WATCH_HELLO_BYTES];
    const struct watch_hello hello = {.version = version, .epoch = 5};
    int n = watch_hello_encode(&hello, payload, sizeof(payload));
    return watch_talk_take(talk, &(struct frame){WATCH_FRAME_HELLO, (uint32_t)n, payload});
}

/* READY, with which a listener would be believed. */
static int ready_of(struct watch_talk *talk)
{
    uint8_t payload[WATCH_STATUS_MAX];
    const struct watch_status status = {.directories = 3};
    int n = watch_status_encode(&status, payload, sizeof(payload));
    return watch_talk_take(talk, &(struct frame){WATCH_FRAME_READY, (uint32_t)n, payload});
}

static void test_another_version_is_named(void **state)
{
    struct watch_talk talk = {0};
    assert_int_equal(hello_of(&talk, WATCH_FRAMES_VERSION + 1), -EPROTO);
    assert_non_null(strstr(talk.refused.text, "version 4 of"));
    assert_non_null(strstr(talk.refused.text, "(" EFS_SIDECAR_VERSION ") version 3"));
    assert_int_equal(ready_of(&talk), -EBADMSG);
    assert_int_equal(talk.status.directories, 0);

    watch_talk_forget(&talk); /* it is told why, until another one is better */
    assert_int_equal(talk.refused.code, EPROTO);
    assert_int_equal(hello_of(&talk, WATCH_FRAMES_VERSION), 0);
    assert_int_equal(talk.refused.code, 0);
    assert_int_equal(ready_of(&talk), 0);
    assert_int_equal(talk.status.directories, 3);
}

static void test_who_does_not_greet_is_not_heard(void **state)
{
    struct watch_talk talk = {0};
    assert_int_equal(ready_of(&talk), -EBADMSG);
    assert_int_equal(hello_of(&talk, WATCH_FRAMES_VERSION), 0);
    assert_int_equal(ready_of(&talk), 0);
    watch_talk_forget(&talk); /* the next child begins anew */
    assert_int_equal(ready_of(&talk), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_version_is_named),
        cmocka_unit_test(test_who_does_not_greet_is_not_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
