/* Who may read a copy: never more than may read the file. Checked against all permission bits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/cache_rights.h"

static const struct ids_setting nobody = {0}, app = {.set = true, .uid = 1000, .gid = 2000};

/* What the kernel says to this identity, which is not root. */
static bool may(mode_t mode, uid_t owner, gid_t group, uid_t uid, gid_t gid, mode_t needed)
{
    mode_t bits = uid == owner ? mode >> 6 : gid == group ? mode >> 3 : mode;
    return (bits & needed) == needed;
}

static bool may_read_copy(const struct cache_rights *rights, uid_t uid, gid_t gid)
{
    mode_t mode;
    uid_t owner;
    gid_t group;
    cache_rights_give(rights, &mode, &owner, &group);
    return may(mode, owner == (uid_t)-1 ? 77 : owner, group == (gid_t)-1 ? 77 : group, uid, gid, 4);
}

static const uid_t uids[] = {1000, 1001, 1002};
static const gid_t gids[] = {2000, 2001, 2002};

/* All bits of a directory and a file, of these owners and groups. */
static void check_all(const struct ids_setting *as, uid_t owner, gid_t group)
{
    unsigned given = 0;
    for (mode_t dir = 0; dir < 0200; dir++)
        for (mode_t file = 0; file < 0200; file++) {
            /* only x of the directory, only r of the file */
            mode_t dir_mode = (dir & 1) | (dir & 2) << 2 | (dir & 4) << 4;
            mode_t file_mode = (file & 1) << 2 | (file & 2) << 4 | (file & 4) << 6;
            struct cache_rights rights;
            cache_rights_init(&rights, as);
            if (cache_rights_add(&rights, dir_mode, owner, group, true) < 0 ||
                cache_rights_add(&rights, file_mode, owner, group, false) < 0)
                continue;
            given++;
            for (size_t u = 0; u < 3; u++)
                for (size_t g = 0; g < 3; g++)
                    if (may_read_copy(&rights, uids[u], gids[g]))
                        assert_true(may(dir_mode, owner, group, uids[u], gids[g], 1) &&
                                    may(file_mode, owner, group, uids[u], gids[g], 4));
        }
    assert_true(given > 0);
}

static void test_everybody(void **state)
{
    check_all(&nobody, 1000, 2000);
    check_all(&nobody, 1001, 2001);
}

static void test_as_owner(void **state)
{
    check_all(&app, 1000, 2001);
    check_all(&app, 1000, 2000);
}

static void test_what_is_given(void **state)
{
    struct cache_rights rights;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    cache_rights_init(&rights, &app);
    assert_int_equal(cache_rights_add(&rights, 0755, 0, 0, true), 0);
    cache_rights_give(&rights, &mode, &uid, &gid);
    assert_int_equal(mode, 0444);
    assert_int_equal(uid, (uid_t)-1);
    assert_int_equal(cache_rights_add(&rights, 0750, 0, 2000, true), 0);
    cache_rights_give(&rights, &mode, &uid, &gid);
    assert_int_equal(mode, 0440);
    assert_int_equal(gid, 2000);
    assert_int_equal(cache_rights_add(&rights, 0600, 1000, 0, false), 0);
    cache_rights_give(&rights, &mode, &uid, &gid);
    assert_int_equal(mode, 0400);
    assert_int_equal(uid, 1000);
    assert_int_equal(gid, (gid_t)-1);
    assert_int_equal(cache_rights_add(&rights, 0640, 0, 0, false), -EACCES);
    cache_rights_init(&rights, &nobody);
    assert_int_equal(cache_rights_add(&rights, 0640, 1000, 2000, false), -EACCES);
    assert_int_equal(cache_rights_add(&rights, 0604, 1000, 2000, false),
                     -EACCES); /* not the group */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody),
        cmocka_unit_test(test_as_owner),
        cmocka_unit_test(test_what_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
