/* The kernel's counters of NFS mounts become metrics: each once, from when a mount is followed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/mountstats.h"
#include "sidecar/nfs_metrics.h"

static char file[] = "/tmp/test_nfs_metrics.XXXXXX";
static struct metric_group data, config, third;
static struct metric_cell cells[3][METRIC_N];
static struct nfs_metrics *nfs;

static void write_file(const char *text)
{
    _cleanup_close_ int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void show(const char *name)
{
    char path[128];
    size_t length;
    _cleanup_free_ char *text = NULL;
    snprintf(path, sizeof(path), "tests/data/mountstats/%s", name);
    assert_int_equal(fs_read_file(AT_FDCWD, path, 65536, &text, &length), 0);
    write_file(text);
}

static int set_up(void **state)
{
    memset(cells, 0, sizeof(cells));
    int r = metric_group_init(&data, cells[0], "/data", "fs-1");
    if (r == 0)
        r = metric_group_init(&config, cells[1], "/config", "fs-2");
    if (r == 0)
        r = metric_group_init(&third, cells[2], "/third", "fs-1");
    return r == 0 ? nfs_metrics_new(file, &nfs) : r;
}

static int tear_down(void **state)
{
    nfs_metrics_free(nfs);
    metric_group_release(&data);
    metric_group_release(&config);
    metric_group_release(&third);
    return 0;
}

static void follow(struct metric_group *group, const char *target, dev_t device)
{
    assert_int_equal(nfs_metrics_follow(nfs, group, target, device), 0);
}

static double value(const struct metric_group *group, enum metric_id id)
{
    if (!group->cells[id].known)
        fail_msg("%s is not known", metrics_table[id].name);
    return group->cells[id].interval;
}

#define assert_value(group, id, wanted)                                                            \
    do {                                                                                           \
        if (value(group, id) != (double)(wanted))                                                  \
            fail_msg("%s is %g, not %g", metrics_table[id].name, value(group, id),                 \
                     (double)(wanted));                                                            \
    } while (0)

static void assert_mean(enum metric_id id, double mean, uint64_t count)
{
    const struct distribution *d = data.cells[id].values;
    if (d->n != 1 || d->values[0] != mean || d->counts[0] != count)
        fail_msg("%s is %g x %llu of %zu", metrics_table[id].name, d->values[0],
                 (unsigned long long)d->counts[0], d->n);
}

/* Two mounts through the proxy of efs-utils have the same source, a bind mount repeats one. */
static void test_deltas(void **state)
{
    show("two-proxies-before");
    follow(&data, "/data", 40);
    follow(&config, "/config", 41);
    follow(&third, "/bind of data", 40);
    assert_value(&data, METRIC_NFS_READS, 0); /* what was before is not the sidecar's time */
    show("two-proxies-after");
    nfs_metrics_collect(nfs);

    static const struct {
        enum metric_id id;
        double value;
    } wanted[] = {
        {METRIC_NFS_READS, 10},
        {METRIC_NFS_WRITES, 5},
        {METRIC_NFS_METADATA, 50},
        {METRIC_NFS_LOCKS, 2},
        {METRIC_NFS_SESSION, 3},
        {METRIC_NFS_FAILED, 3},
        {METRIC_NFS_ERRORS, 4}, /* READ 1, WRITE 1, timeouts 2; that a lock was busy is none */
        {METRIC_NFS_TIMEOUTS, 2},
        {METRIC_NFS_RETRANSMISSIONS, 3},
        {METRIC_NFS_DELAYS, 5},
        {METRIC_NFS_OUTSTANDING, 0}, /* connected again, and answers came */
        {METRIC_NFS_BACKLOG, 0.5},
        {METRIC_NFS_RECONNECTS, 1},
        {METRIC_NFS_LEASE_TIME, 90},
        {METRIC_NFS_LEASE_EXPIRED, 0},
        {METRIC_APP_READ_BYTES, 1100},
        {METRIC_APP_WRITTEN_BYTES, 1100},
        {METRIC_NFS_READ_BYTES, 40000},
        {METRIC_NFS_WRITTEN_BYTES, 20000},
        {METRIC_METERED_BYTES, 15 * 32768 + 52 * 4096},
        {METRIC_METERED_WRITTEN_BYTES, 5 * 32768},
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_value(&data, wanted[i].id, wanted[i].value);
    assert_mean(METRIC_NFS_READ_TIME, 12, 10);
    assert_mean(METRIC_NFS_READ_ROUND_TRIP, 10, 10);
    assert_mean(METRIC_NFS_READ_QUEUE, 2, 10);
    assert_mean(METRIC_NFS_WRITE_TIME, 101, 5);
    assert_mean(METRIC_NFS_METADATA_QUEUE, 0.2, 50); /* LOOKUP was not called */
    assert_mean(METRIC_NFS_LOCK_TIME, 4, 2);
    const struct distribution *all = data.cells[METRIC_NFS_TIME].values;
    assert_int_equal(all->count, 67);
    assert_true(all->values[0] == 2 && all->values[all->n - 1] == 101);
    assert_int_equal(mountstats_op(data.nfs, "READ")->calls, 20);

    assert_value(&config, METRIC_NFS_READS, 0);
    assert_value(&config, METRIC_METERED_BYTES, 0);
    assert_null(config.shared_with);

    /* The same file system instance: it is said where it is counted, and not counted again. */
    assert_string_equal(third.shared_with, "/data");
    assert_null(third.nfs);
    for (size_t i = 0; i < METRIC_N; i++)
        assert_false(third.cells[i].known);
}

static void test_the_first_goes(void **state)
{
    show("two-proxies-before");
    follow(&data, "/data", 40);
    follow(&third, "/bind of data", 40);
    follow(&data, NULL, 0);
    assert_null(third.shared_with);
    assert_false(data.cells[METRIC_NFS_OUTSTANDING].known);
    show("two-proxies-after");
    nfs_metrics_collect(nfs);
    assert_value(&third, METRIC_NFS_READS, 10);
    assert_value(&data, METRIC_NFS_READS, 0);
    /* and comes back */
    follow(&data, "/data", 40);
    assert_string_equal(third.shared_with, "/data");
    assert_value(&data, METRIC_NFS_READS, 0);
    assert_non_null(data.nfs);
    assert_null(third.nfs);
}

static const char line[] = "device 127.0.0.1:/ mounted on /data with fstype nfs4 statvers=1.1\n";

static void show_reads(int age_s, int reads, int connects, int sends, int receives)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "%s\tage:\t%d\n\txprt:\ttcp 1 1 %d 0 0 %d %d 0 0 0 2 0 0\n\tper-op statistics\n"
             "\tREAD: %d %d 0 0 0 0 0 0\n",
             line, age_s, connects, sends, receives, reads, reads);
    write_file(text);
    nfs_metrics_collect(nfs);
}

/* Counters that go back belong to another mount: they are a new beginning, not a leap. */
static void test_another_mount(void **state)
{
    write_file(line);
    follow(&data, "/data", 40);
    show_reads(100, 50, 1, 60, 60);
    assert_value(&data, METRIC_NFS_READS, 50);
    show_reads(110, 30, 1, 60, 60);
    show_reads(5, 70, 1, 60, 60);
    assert_value(&data, METRIC_NFS_READS, 50);
    show_reads(6, 71, 1, 60, 60);
    assert_value(&data, METRIC_NFS_READS, 51);
    show_reads(7, 72, 1, 60, 60);
    follow(&data, "/data", 77); /* another device */
    assert_value(&data, METRIC_NFS_READS, 52);
    write_file("device proc mounted on /proc with fstype proc\n"); /* gone for a moment */
    nfs_metrics_collect(nfs);
    assert_value(&data, METRIC_NFS_READS, 52);
    show_reads(9, 80, 1, 60, 60);
    assert_value(&data, METRIC_NFS_READS, 60);
}

static void test_outstanding(void **state)
{
    show_reads(10, 10, 2, 107, 100); /* seven were lost before it was looked */
    follow(&data, "/data", 40);
    static const struct {
        int connects, sends, receives, outstanding;
    } steps[] = {
        {2, 110, 103, 0},  {2, 120, 103, 10}, /* nothing comes back */
        {3, 130, 103, 20},                    /* a new connection, on which all is sent again */
        {4, 140, 103, 30}, /* and again: a proxy without a server takes them all */
        {5, 150, 113, 0},  /* answers come: what is left is lost */
        {5, 153, 115, 1},  {5, 153, 116, 0},
        {6, 157, 119, 0}, /* some of these are on their way */
        {6, 157, 120, 0},  {6, 158, 120, 1},
        {1, 13, 13, 0}, /* the connection's counters began anew */
        {1, 14, 13, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        show_reads(10, 10, steps[i].connects, steps[i].sends, steps[i].receives);
        if (value(&data, METRIC_NFS_OUTSTANDING) != steps[i].outstanding)
            fail_msg("step %zu: %g are outstanding", i, value(&data, METRIC_NFS_OUTSTANDING));
    }
}

static void test_no_file(void **state)
{
    nfs_metrics_free(nfs);
    assert_int_equal(nfs_metrics_new("/no/such/file", &nfs), 0);
    follow(&data, "/data", 40);
    nfs_metrics_collect(nfs);
    assert_false(data.cells[METRIC_NFS_READS].known);
}

/* 8 mounts of 100 operations in one reading: said, and far below what the loop would notice. */
static void test_cost(void **state)
{
    struct metric_group groups[8];
    static struct metric_cell many[8][METRIC_N];
    FILE *out = fopen(file, "we");
    for (int m = 0; m < 8; m++) {
        fprintf(out,
                "device 127.0.0.1:/ mounted on /m%d with fstype nfs4 statvers=1.1\n\tage:\t9\n"
                "\txprt:\ttcp 1 1 1 0 0 9 9 0 0 0 2 0 0\n\tper-op statistics\n",
                m);
        for (int op = 0; op < 100; op++)
            fprintf(out, "\tOPERATION_%d: 123456 123456 0 12345678 12345678 1234 56789 58023 0\n",
                    op);
    }
    fclose(out);
    for (int m = 0; m < 8; m++) {
        char path[16];
        snprintf(path, sizeof(path), "/m%d", m);
        assert_int_equal(metric_group_init(&groups[m], many[m], path, ""), 0);
        follow(&groups[m], path, (dev_t)m);
    }
    struct timespec begin, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (int i = 0; i < 10; i++)
        nfs_metrics_collect(nfs);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double us =
        (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
    print_message("8 mounts x 100 operations: %.0f us\n", us / 10);
    assert_true(us / 10 < 50000);
    for (int m = 0; m < 8; m++)
        metric_group_release(&groups[m]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_deltas, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_first_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_mount, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outstanding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cost, set_up, tear_down),
    };
    close(mkstemp(file));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
