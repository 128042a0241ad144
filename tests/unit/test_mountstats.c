/* Real and odd shapes of /proc/self/mountstats, differences, and what calls cost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/metering.h"
#include "lib/mountstats.h"

static int load(const char *name, const char *path, struct mountstats *ret_stats, struct error *err)
{
    char file[128];
    snprintf(file, sizeof(file), "tests/data/mountstats/%s", name);
    return mountstats_read(file, path, ret_stats, err);
}

static uint64_t calls_of(const struct mountstats *stats, const char *name)
{
    const struct mountstats_op *op = mountstats_op(stats, name);
    assert_non_null(op);
    return op->calls;
}

static void test_linux_6_1(void **state)
{
    struct mountstats stats;
    struct error err;
    assert_int_equal(load("linux-6.1-two-mounts", "/mnt/data", &stats, &err), 0);
    assert_int_equal(stats.lease_s, 10);
    assert_int_equal(stats.age_s, 0);
    assert_int_equal(stats.transport.n, 1);
    assert_int_equal(stats.transport.connects, 2);
    assert_int_equal(stats.transport.sends, 57);
    assert_int_equal(calls_of(&stats, "CLOSE"), 3);
    assert_int_equal(calls_of(&stats, "READ"), 0);
    const struct mountstats_op *lookup = mountstats_op(&stats, "LOOKUP");
    assert_int_equal(lookup->bytes_sent, 176);
    assert_int_equal(lookup->bytes_received, 96);
    assert_int_equal(lookup->errors, 1);
    assert_null(mountstats_op(&stats, "EVENTS"));

    assert_int_equal(load("linux-6.1-two-mounts", "/mnt/data two", &stats, &err), 0);
    assert_int_equal(calls_of(&stats, "GETATTR"), 1);
}

static void test_linux_4_14(void **state)
{
    struct mountstats stats;
    assert_int_equal(load("linux-4.14-eight-columns", "/data", &stats, NULL), 0);
    assert_int_equal(stats.lease_s, -1);
    assert_int_equal(stats.age_s, 13968);
    assert_int_equal(stats.transport.receives, 6428);
    const struct mountstats_op *read = mountstats_op(&stats, "READ");
    assert_int_equal(read->bytes_received, 1210292152);
    assert_int_equal(read->execute_ms, 79407);
    assert_int_equal(read->errors, 0);
}

static void test_odd_lines(void **state)
{
    struct mountstats stats;
    assert_int_equal(load("nconnect-and-wrapped", "/data", &stats, NULL), 0);
    assert_int_equal(stats.lease_s, 90);
    assert_int_equal(stats.transport.n, 2);
    assert_int_equal(stats.transport.connects, 3);
    assert_int_equal(stats.transport.sends, 110);
    assert_int_equal(stats.transport.receives, 108);
    assert_int_equal(stats.n_ops, 2);
    assert_int_equal(mountstats_op(&stats, "READ")->queue_ms, 0);
    assert_int_equal(calls_of(&stats, "FUTURE_OP"), 7);
    /* The same device string at two paths is two mounts. */
    assert_int_equal(load("nconnect-and-wrapped", "/config", &stats, NULL), 0);
    assert_int_equal(calls_of(&stats, "READ"), 3);
    assert_int_equal(stats.transport.sends, 5);
}

static void test_transports(void **state)
{
    struct mountstats stats;
    assert_int_equal(load("rdma-udp-nconnect", "/rdma", &stats, NULL), 0);
    assert_int_equal(stats.transport.sends, 50);
    assert_int_equal(stats.transport.receives, 45);
    assert_int_equal(stats.transport.connects, 3);
    assert_int_equal(stats.transport.backlog, 20);
    assert_int_equal(stats.transport.idle_s, 7);
    assert_int_equal(stats.lease_s, 90);
    assert_int_equal(stats.lease_expired_s, 33);

    assert_int_equal(load("rdma-udp-nconnect", "/udp", &stats, NULL), 0);
    assert_int_equal(stats.transport.sends, 70);
    assert_int_equal(stats.transport.receives, 60);
    assert_int_equal(stats.transport.connects, 0);
    assert_int_equal(stats.transport.backlog, 30);
    assert_int_equal(stats.lease_expired_s, -1);

    /* Lines that end early; one of the connections is shorter than any kernel writes it. */
    assert_int_equal(load("rdma-udp-nconnect", "/many", &stats, NULL), 0);
    assert_int_equal(stats.transport.n, 2);
    assert_int_equal(stats.transport.sends, 40);
    assert_int_equal(stats.transport.backlog, 3);
    assert_int_equal(stats.transport.idle_s, 20);
    assert_int_equal(stats.bytes.app_read, 4);
    assert_int_equal(stats.bytes.app_written, 2);
    assert_int_equal(stats.bytes.server_read, 0);
    assert_int_equal(stats.delays, 0);
}

static void test_several(void **state)
{
    struct mountstats stats[4];
    struct mountstats_request requests[] = {
        {.path = "/config", .stats = &stats[0]},
        {.path = "/bind of data", .stats = &stats[1]},
        {.path = "/nowhere", .stats = &stats[2]},
        {.path = "/data", .stats = &stats[3]},
    };
    const char *file = "tests/data/mountstats/two-proxies-after";
    assert_int_equal(mountstats_read_several(file, requests, 4, NULL), 0);
    assert_int_equal(requests[2].result, -ENOENT);
    assert_int_equal(calls_of(&stats[0], "READ"), 3);
    assert_int_equal(calls_of(&stats[1], "READ"), 20);
    assert_memory_equal(&stats[1], &stats[3], sizeof(stats[1]));
    assert_int_equal(stats[3].delays, 14);
    assert_int_equal(stats[3].bytes.app_read, 1230);
    assert_int_equal(stats[3].bytes.app_written, 1340);
    assert_int_equal(stats[3].bytes.server_read, 45000);
    assert_int_equal(stats[3].bytes.server_written, 26000);

    struct error err;
    assert_int_equal(mountstats_read_several("/no/such/file", requests, 4, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/no/such/file cannot be read"));
}

static void test_classes(void **state)
{
    assert_int_equal(mountstats_class("READ"), MOUNTSTATS_READ);
    assert_int_equal(mountstats_class("COMMIT"), MOUNTSTATS_WRITE);
    assert_int_equal(mountstats_class("LOCKU"), MOUNTSTATS_LOCK);
    assert_int_equal(mountstats_class("SEQUENCE"), MOUNTSTATS_SESSION);
    assert_int_equal(mountstats_class("READDIR"), MOUNTSTATS_METADATA);
    assert_int_equal(mountstats_class("FUTURE_OP"), MOUNTSTATS_METADATA);
}

static void test_mounted_over(void **state)
{
    struct mountstats stats = {.age_s = 77};
    struct error err;
    assert_int_equal(load("mounted-over", "/data", &stats, NULL), 0);
    assert_int_equal(stats.age_s, 7);
    assert_int_equal(stats.n_ops, 1);
    assert_int_equal(calls_of(&stats, "WRITE"), 4);
    assert_int_equal(load("mounted-over", "/hidden", &stats, &err), -ENODATA);
    assert_non_null(strstr(err.text, "not NFS"));
    assert_int_equal(load("mounted-over", "/dat", &stats, &err), -ENOENT);
    assert_non_null(strstr(err.text, "\"/dat\""));
    assert_int_equal(load("no-such-file", "/data", &stats, &err), -ENOENT);
    assert_int_equal(stats.age_s, 7); /* untouched */
}

/* Cut after any byte, a file is still read without harm. */
static void test_torn(void **state)
{
    char whole[16384], name[] = "/tmp/test_mountstats.XXXXXX";
    FILE *in = fopen("tests/data/mountstats/nconnect-and-wrapped", "re");
    size_t length = fread(whole, 1, sizeof(whole), in);
    fclose(in);
    int fd = mkstemp(name);
    size_t n_found = 0;
    for (size_t cut = 0; cut <= length; cut++) {
        struct mountstats stats;
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, whole, cut, 0), cut);
        int r = mountstats_read(name, "/data", &stats, NULL);
        assert_true(r == 0 || r == -ENOENT || r == -ENODATA);
        n_found += r == 0;
    }
    close(fd);
    unlink(name);
    assert_in_range(n_found, length - 80, length);
}

static void test_this_kernel(void **state)
{
    struct mountstats stats;
    if (access("/proc/self/mountstats", R_OK) == 0)
        assert_int_equal(mountstats_read(NULL, "/proc/no/such/mount", &stats, NULL), -ENOENT);
}

static struct mountstats one_op(const char *name, uint64_t calls, uint64_t sent, uint64_t received)
{
    struct mountstats stats = {.n_ops = 1};
    stats.ops[0] = (struct mountstats_op){
        .calls = calls, .transmissions = calls, .bytes_sent = sent, .bytes_received = received};
    snprintf(stats.ops[0].name, sizeof(stats.ops[0].name), "%s", name);
    return stats;
}

static void test_since(void **state)
{
    struct mountstats before = one_op("READ", 10, 100, 1000), after = one_op("READ", 12, 150, 1700);
    struct mountstats delta = {.n_ops = 9};
    before.age_s = 50;
    after.age_s = 60;
    before.ops[0].queue_ms = 5; /* a sum of times went back: not a new mount */
    assert_int_equal(mountstats_since(&before, &after, &delta), 0);
    assert_int_equal(delta.age_s, 10);
    assert_int_equal(calls_of(&delta, "READ"), 2);
    assert_int_equal(delta.ops[0].bytes_received, 700);
    assert_int_equal(delta.ops[0].queue_ms, 0);

    after.delays = 4;
    before.transport.sends = 9; /* the connection was replaced */
    after.transport.sends = 2;
    assert_int_equal(mountstats_since(&before, &after, &delta), 0);
    assert_int_equal(delta.delays, 4);
    assert_int_equal(delta.transport.sends, 0);
    before.bytes.server_read = 1;
    assert_int_equal(mountstats_since(&before, &after, &delta), -ESTALE);
    assert_int_equal(mountstats_since(&after, &before, &delta), -ESTALE);
    before.age_s = 70;
    assert_int_equal(mountstats_since(&after, &before, &delta), -ESTALE); /* READ went back */
    assert_int_equal(calls_of(&delta, "READ"), 2);
}

static void test_metering(void **state)
{
    static const struct {
        const char *name;
        uint64_t calls, sent, received, metered;
        enum metering_class class;
    } cases[] = {
        {"GETATTR", 1, 160, 240, 4096, METERING_READ},
        {"GETATTR", 100, 16000, 24000, 409600, METERING_READ},
        {"READ", 1, 160, 4200, 32768, METERING_READ},
        {"READ", 1, 160, 40000, 40 * 1024, METERING_READ}, /* 1 KiB steps */
        {"READ", 2, 320, 2097152, 2097152, METERING_READ},
        {"WRITE", 3, 600, 300, 3 * 32768, METERING_WRITE},
        {"READDIR", 1, 200, 30000, 30 * 1024, METERING_READ},
        {"REMOVE", 5, 800, 800, 5 * 4096, METERING_WRITE},
        {"COMMIT", 2, 300, 300, 8192, METERING_WRITE},
        {"OPEN", 2, 300, 300, 8192, METERING_WRITE},
        {"SEQUENCE", 9, 1000, 1000, 0, METERING_SESSION},
        {"READ", 0, 0, 0, 0, METERING_READ},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mountstats stats =
            one_op(cases[i].name, cases[i].calls, cases[i].sent, cases[i].received);
        enum metering_class class;
        assert_int_equal(metering_of_op(&stats.ops[0], &class), cases[i].metered);
        assert_int_equal(class, cases[i].class);
    }
}

/* The two figures that the design argues with: a call a second for 30 days. */
static void test_dollars(void **state)
{
    const uint64_t month_s = 30 * 86400;
    struct metering_sum sum;
    struct mountstats reads = one_op("READ", month_s, 0, month_s * 100);
    metering_of(&reads, &sum);
    assert_true(metering_dollars(&sum) > 2.3 && metering_dollars(&sum) < 2.5);
    struct mountstats getattrs = one_op("GETATTR", month_s, 0, month_s * 240);
    metering_of(&getattrs, &sum);
    assert_true(metering_dollars(&sum) > 0.28 && metering_dollars(&sum) < 0.31);
    assert_int_equal(sum.session_calls, 0);
    assert_int_equal(sum.calls, month_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux_6_1),    cmocka_unit_test(test_linux_4_14),
        cmocka_unit_test(test_transports),   cmocka_unit_test(test_several),
        cmocka_unit_test(test_classes),      cmocka_unit_test(test_odd_lines),
        cmocka_unit_test(test_mounted_over), cmocka_unit_test(test_torn),
        cmocka_unit_test(test_this_kernel),  cmocka_unit_test(test_since),
        cmocka_unit_test(test_metering),     cmocka_unit_test(test_dollars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
