/* Entries against a model: a plain table of numbered names. */
#include "watchers/entries.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

enum { MODEL_NAMES = 3000, MODEL_STEPS = 60 * 1000 };

static struct entries entries;
static struct entries_total total;

static int setup(void **state)
{
    entries = (struct entries){0};
    total = (struct entries_total){.max = MODEL_NAMES};
    return 0;
}

static int teardown(void **state)
{
    entries_release(&entries, &total);
    return 0;
}

static void model_name(unsigned i, char *name)
{
    /* some long, so that chunks hold few */
    snprintf(name, NAME_MAX + 1, "%0*u", i % 7 == 0 ? 180 : 9, i * 2654435761u);
}

static unsigned value_of(const uint8_t *entry)
{
    unsigned value;
    memcpy(&value, entry + ENTRY_VALUE, sizeof(value));
    return value;
}

static void set(const char *name, unsigned value)
{
    struct entries_place place = entries_find(&entries, name);
    uint8_t *entry = place.found ? entries_at(&entries, place) : NULL;
    if (!entry)
        assert_int_equal(entries_insert(&entries, &total, name, &entry), 0);
    memcpy(entry + ENTRY_VALUE, &value, sizeof(value));
}

static void erase(const char *name)
{
    struct entries_place place = entries_find(&entries, name);
    if (place.found)
        entries_erase(&entries, &total, place);
}

static void assert_sorted(size_t count)
{
    struct entries_place place = {0};
    char name[NAME_MAX + 1], previous[NAME_MAX + 1] = "";
    size_t walked = 0;
    for (; entries_forward(&entries, &place); walked++) {
        const uint8_t *entry = entries_at(&entries, place);
        snprintf(name, sizeof(name), "%.*s", (int)entry[ENTRY_LENGTH],
                 (const char *)entry + ENTRY_NAME);
        assert_true(strcmp(previous, name) < 0);
        memcpy(previous, name, sizeof(previous));
        place = entries_behind(&entries, place);
    }
    assert_int_equal(walked, count);
}

static void test_against_a_model(void **state)
{
    static unsigned values[MODEL_NAMES];
    char name[NAME_MAX + 1];
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : 20261123;
    size_t count = 0;
    print_message("SEED=%u\n", seed);
    memset(values, 0, sizeof(values));
    for (unsigned step = 1; step <= MODEL_STEPS; step++) {
        unsigned i = (unsigned)rand_r(&seed) % MODEL_NAMES;
        model_name(i, name);
        struct entries_place place = entries_find(&entries, name);
        assert_int_equal(place.found, values[i] != 0);
        if (values[i])
            assert_int_equal(value_of(entries_at(&entries, place)), values[i]);
        if (rand_r(&seed) % 3) {
            set(name, step);
            count += values[i] == 0;
            values[i] = step;
        } else {
            erase(name);
            count -= values[i] != 0;
            values[i] = 0;
        }
    }
    assert_int_equal(total.count, count);
    assert_sorted(count);
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        model_name(i, name);
        erase(name);
    }
    assert_int_equal(total.count, 0);
    assert_int_equal(total.bytes, 0);
}

static void test_limits(void **state)
{
    uint8_t *entry;
    char name[NAME_MAX + 2];
    memset(name, 'n', sizeof(name) - 1);
    name[NAME_MAX + 1] = '\0';
    total.max = 1;
    assert_int_equal(entries_insert(&entries, &total, name, &entry), -ENAMETOOLONG);
    assert_int_equal(entries_insert(&entries, &total, "", &entry), -ENAMETOOLONG);
    assert_int_equal(entries_insert(&entries, &total, name + 1, &entry), 0);
    assert_int_equal(entries_insert(&entries, &total, "b", &entry), -EDQUOT);
    assert_int_equal(total.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_against_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
