#include "sidecar/claim_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the three above */
#include <cmocka.h>

static void add(struct claim_window *window, int number, int64_t mtime_ns)
{
    char path[32];
    snprintf(path, sizeof(path), "%05d", number);
    assert_int_equal(claim_window_add(window, path, mtime_ns, 0), 0);
}

static int next(struct claim_window *window)
{
    struct claim_candidate *candidate = claim_window_next(window);
    int number = candidate ? (int)strtol(candidate->path, NULL, 10) : -1;
    claim_candidate_free(candidate);
    return number;
}

static void test_oldest_first_and_no_more_than_fit(void **state)
{
    enum { MANY = 3 * CLAIM_WINDOW_MAX };
    struct claim_window window = {0};
    for (int i = 0; i < MANY; i++) /* newest first */
        add(&window, MANY - i, MANY - i);
    claim_window_seal(&window, false);
    for (int i = 1; i <= CLAIM_WINDOW_MAX; i++) {
        assert_int_equal(next(&window), i);
        claim_window_tell(&window, true);
    }
    assert_int_equal(next(&window), -1);
    claim_window_clear(&window);
}

/* Four that find the same: together they take each once, and few tries are in vain. */
static void test_several_share_a_queue(void **state)
{
    enum { FILES = 2000, CLAIMERS = 4 };
    static bool taken[FILES];
    struct claim_window windows[CLAIMERS] = {0};
    int done = 0, in_vain = 0, listings = 0;
    memset(taken, 0, sizeof(taken));
    while (done < FILES) {
        for (int c = 0; c < CLAIMERS; c++) {
            struct claim_window *window = &windows[c];
            if (window->left == 0) {
                bool contended = window->contended;
                claim_window_clear(window);
                for (int i = 0; i < FILES; i++)
                    if (!taken[i])
                        add(window, i, i);
                claim_window_seal(window, contended);
                listings++;
            }
            int number = next(window);
            if (number < 0)
                continue;
            claim_window_tell(window, !taken[number]);
            in_vain += taken[number];
            done += !taken[number];
            taken[number] = true;
        }
    }
    print_message("%d files, %d tries in vain, %d listings\n", FILES, in_vain, listings);
    assert_true(in_vain < FILES / 3);
    assert_true(listings < FILES / 20);
    for (int c = 0; c < CLAIMERS; c++)
        claim_window_clear(&windows[c]);
}

static void test_a_window_that_is_out_of_date_ends(void **state)
{
    struct claim_window window = {0};
    int tries = 0;
    for (int i = 0; i < 1000; i++)
        add(&window, i, 0);
    claim_window_seal(&window, false);
    assert_int_equal(next(&window), 0);
    while (next(&window) >= 0) {
        claim_window_tell(&window, false);
        tries++;
    }
    assert_true(tries < 20);
    assert_true(window.contended);
    claim_window_clear(&window);
}

static void test_names(void **state)
{
    struct claim_window window = {0};
    assert_int_equal(claim_window_add(&window, ".retry/2.ab/x", 1, 2), 0);
    claim_window_seal(&window, true);
    struct claim_candidate *candidate = claim_window_next(&window);
    assert_string_equal(claim_candidate_name(candidate), "x");
    assert_int_equal(candidate->attempts, 2);
    claim_candidate_free(candidate);
    assert_null(claim_window_next(&window));
    claim_window_clear(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oldest_first_and_no_more_than_fit),
        cmocka_unit_test(test_several_share_a_queue),
        cmocka_unit_test(test_a_window_that_is_out_of_date_ends),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
