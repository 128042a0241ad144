/* SIEVE: who goes first, who is spared, and that it ends whatever applications say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/cache_sieve.h"

struct item {
    struct sieve_node node;
    char name;
    bool visited;
};

static bool always;

static bool was_visited(void *arg, struct sieve_node *node)
{
    struct item *item = (struct item *)(void *)node;
    bool visited = item->visited || always;
    item->visited = false;
    return visited;
}

static char evict(struct sieve *sieve)
{
    struct sieve_node *node = sieve_choose(sieve);
    if (!node)
        return '-';
    sieve_remove(sieve, node);
    return ((struct item *)(void *)node)->name;
}

static void insert(struct sieve *sieve, struct item *item, char name)
{
    *item = (struct item){.name = name};
    sieve_insert(sieve, &item->node);
}

/* The example of the paper: the hand stays where it is, new ones come in behind its back. */
static void test_hand(void **state)
{
    struct sieve sieve;
    struct item a, b, c, d, e;
    sieve_init(&sieve, was_visited, NULL);
    insert(&sieve, &a, 'a');
    insert(&sieve, &b, 'b');
    insert(&sieve, &c, 'c');
    a.visited = b.visited = true;
    assert_int_equal(evict(&sieve), 'c'); /* a and b are spared, and forgotten */
    insert(&sieve, &d, 'd');
    assert_false(a.visited || b.visited);
    assert_int_equal(evict(&sieve), 'a'); /* the hand went round */
    insert(&sieve, &e, 'e');
    assert_int_equal(evict(&sieve), 'b');
    d.visited = true;
    assert_int_equal(evict(&sieve), 'e');
    assert_int_equal(evict(&sieve), 'd');
    assert_int_equal(evict(&sieve), '-');
    assert_int_equal(sieve.n, 0);
}

static void test_removed_under_the_hand(void **state)
{
    struct sieve sieve;
    struct item a, b, c;
    sieve_init(&sieve, was_visited, NULL);
    insert(&sieve, &a, 'a');
    insert(&sieve, &b, 'b');
    insert(&sieve, &c, 'c');
    a.visited = true;
    assert_ptr_equal(sieve_choose(&sieve), &b.node);
    sieve_remove(&sieve, &b.node);
    assert_int_equal(evict(&sieve), 'c');
    assert_int_equal(evict(&sieve), 'a');
}

static void test_all_visited(void **state)
{
    struct sieve sieve;
    struct item items[10];
    sieve_init(&sieve, was_visited, NULL);
    for (int i = 0; i < 10; i++)
        insert(&sieve, &items[i], (char)('0' + i));
    always = true;
    for (int i = 0; i < 10; i++)
        assert_int_not_equal(evict(&sieve), '-');
    always = false;
    assert_int_equal(evict(&sieve), '-');
}

/* A working set that is visited survives a scan of files that are read once. */
static void test_scan(void **state)
{
    enum { HOT = 50, SIZE = 100, SCAN = 1000 };
    static struct item items[HOT + SCAN];
    struct sieve sieve;
    sieve_init(&sieve, was_visited, NULL);
    for (int i = 0; i < HOT + SCAN; i++) {
        if (sieve.n == SIZE) {
            struct sieve_node *node = sieve_choose(&sieve);
            sieve_remove(&sieve, node);
            assert_true((struct item *)(void *)node - items >= HOT);
        }
        insert(&sieve, &items[i], 'x');
        for (int hot = 0; hot < HOT; hot++)
            items[hot].visited = true;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand),
        cmocka_unit_test(test_removed_under_the_hand),
        cmocka_unit_test(test_all_visited),
        cmocka_unit_test(test_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
