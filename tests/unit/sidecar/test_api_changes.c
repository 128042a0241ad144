/* GET /v1/changes over a real socket and real feeds; only the mounts are a table here. */
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "sidecar/api_changes.h"
#include "sidecar/mounts.h"

enum { N_MOUNTS = 2, RING_BYTES = 256 * 1024 };

static char data_path[] = "/data", config_path[] = "/config";
static struct settings settings;
static struct event_base *base;
static struct http_server *server;
static struct api_changes *changes;
static struct feed *feeds[N_MOUNTS];
static enum watcher_state states[N_MOUNTS];
static struct sockaddr_un address;

/* ---- in place of sidecar/mounts.c ---- */

size_t mounts_count(const struct mounts *mounts)
{
    return settings.mounts.n;
}

void mounts_status(const struct mounts *mounts, size_t i, struct mount_status *ret_status)
{
    *ret_status = (struct mount_status){.path = settings.mounts.mounts[i].path};
    ret_status->watch.state = states[i];
}

struct feed *mounts_feed(const struct mounts *mounts, size_t i)
{
    return feeds[i];
}

/* ---- a server and a client ---- */

static void handle(void *arg, struct http_request *request)
{
    api_changes_serve(changes, request);
}

static const struct http_handlers handlers = {.handle = handle};

static int set_up(void **state)
{
    settings = (struct settings){.mounts = {.n = 1}};
    settings.mounts.mounts[0].path = data_path;
    settings.mounts.mounts[1].path = config_path;
    base = event_base_new();
    const struct api_sources from = {.base = base, .settings = &settings};
    for (size_t i = 0; i < N_MOUNTS; i++) {
        states[i] = WATCHER_READY;
        if (feed_new(RING_BYTES, "task-a", &feeds[i]) < 0)
            return -1;
    }
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "test_api_changes.%d", getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0 ||
        api_changes_open(&from, &changes) < 0)
        return -1;
    return http_open(base, fd, &handlers, NULL, &server);
}

static int tear_down(void **state)
{
    http_close(server);
    api_changes_close(changes);
    for (size_t i = 0; i < N_MOUNTS; i++)
        feed_free(feeds[i]);
    event_base_free(base);
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

struct client {
    int fd;
    FILE *in;
};

/* HTTP/1.0, so that what comes is plain lines; *ret_status is what was answered. */
static struct client ask(const char *query, int *ret_status)
{
    struct client c = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    char line[512];
    assert_int_equal(connect(c.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int n = snprintf(line, sizeof(line), "GET /v1/changes%s HTTP/1.0\r\n\r\n", query);
    assert_int_equal(send(c.fd, line, (size_t)n, MSG_NOSIGNAL), n);
    turn();
    c.in = fdopen(c.fd, "r");
    assert_non_null(fgets(line, sizeof(line), c.in));
    *ret_status = (int)strtol(line + strlen("HTTP/1.1 "), NULL, 10);
    while (fgets(line, sizeof(line), c.in) && strcmp(line, "\r\n") != 0)
        continue;
    return c;
}

static struct client stream(const char *query)
{
    int status;
    struct client c = ask(query, &status);
    assert_int_equal(status, 200);
    return c;
}

static void hang_up(struct client *c)
{
    fclose(c->in);
    turn();
}

/* The next line; it must be there already. */
static json_t *next(struct client *c)
{
    static char line[32 * 1024];
    struct timeval soon = {.tv_usec = 100000};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
    turn();
    if (!fgets(line, sizeof(line), c->in)) {
        clearerr(c->in);
        return NULL;
    }
    return json_loads(line, 0, NULL);
}

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

static void expect(struct client *c, const char *op, const char *path)
{
    _cleanup_json_ json_t *line = next(c);
    assert_non_null(line);
    assert_string_equal(text_of(line, "op"), op);
    assert_string_equal(text_of(line, "path"), path);
}

static void expect_nothing(struct client *c)
{
    _cleanup_json_ json_t *line = next(c);
    assert_null(line);
}

static void expect_ready(struct client *c, char *ret_cursor)
{
    _cleanup_json_ json_t *line = next(c);
    assert_true(json_is_true(json_object_get(line, "ready")));
    if (ret_cursor)
        snprintf(ret_cursor, CHANGE_CURSOR_TEXT, "%s", text_of(line, "cursor"));
}

static void push(struct feed *feed, enum change_op op, const char *path, const char *from)
{
    const struct change change = {
        .op = op,
        .reason = op == CHANGE_RESYNC ? CHANGE_REASON_OVERFLOW : CHANGE_REASON_NONE,
        .path = path,
        .from = from,
    };
    assert_int_equal(feed_push(feed, &change), 0);
}

/* ---- tests ---- */

static void test_lines(void **state)
{
    push(feeds[0], CHANGE_CREATE, "before", NULL);
    struct client c = stream("");
    expect_ready(&c, NULL);
    expect_nothing(&c);
    push(feeds[0], CHANGE_MODIFY, "a/b", NULL);
    _cleanup_json_ json_t *line = next(&c);
    assert_string_equal(text_of(line, "path"), "a/b");
    assert_string_equal(text_of(line, "mount"), "/data");
    assert_string_equal(text_of(line, "observer"), "task-a");
    hang_up(&c);
    push(feeds[0], CHANGE_MODIFY, "a/b", NULL); /* nobody is woken any more */
}

static void test_waits_until_watched(void **state)
{
    states[0] = WATCHER_STARTING;
    struct client c = stream("");
    push(feeds[0], CHANGE_MODIFY, "early", NULL);
    expect_nothing(&c);
    states[0] = WATCHER_READY;
    usleep(250000);
    expect_ready(&c, NULL);
    expect(&c, "modify", "early");
    hang_up(&c);
}

static void test_prefix(void **state)
{
    struct client c = stream("?path=in%2Fdeep");
    expect_ready(&c, NULL);
    push(feeds[0], CHANGE_CREATE, "in/deep", NULL);
    push(feeds[0], CHANGE_CREATE, "in/deeper", NULL);
    push(feeds[0], CHANGE_CREATE, "in/deep/x", NULL);
    push(feeds[0], CHANGE_CREATE, "in", NULL);
    push(feeds[0], CHANGE_RENAME, "elsewhere", "in/deep/x");
    push(feeds[0], CHANGE_RENAME, "moved", "in"); /* takes it along */
    push(feeds[0], CHANGE_DELETE, "in", NULL);
    push(feeds[0], CHANGE_DELETE, "inn", NULL);
    push(feeds[0], CHANGE_MODIFY, "x/in/deep", NULL);
    push(feeds[0], CHANGE_RESYNC, "", NULL);
    push(feeds[0], CHANGE_RESYNC, "out", NULL);
    push(feeds[0], CHANGE_MODIFY, "in/deep/last", NULL);
    expect(&c, "create", "in/deep");
    expect(&c, "create", "in/deep/x");
    expect(&c, "rename", "elsewhere");
    expect(&c, "rename", "moved");
    expect(&c, "delete", "in");
    expect(&c, "resync", "");
    expect(&c, "modify", "in/deep/last");
    hang_up(&c);
}

static void test_operations_and_origin(void **state)
{
    struct client c = stream("?op=delete%2Crename&remote=1");
    const struct change peers = {.op = CHANGE_DELETE, .path = "b", .source = CHANGE_SOURCE_PEER};
    expect_ready(&c, NULL);
    push(feeds[0], CHANGE_CREATE, "a", NULL);
    push(feeds[0], CHANGE_DELETE, "a", NULL); /* this host's own */
    assert_int_equal(feed_push(feeds[0], &peers), 0);
    push(feeds[0], CHANGE_RESYNC, "c", NULL);
    expect(&c, "delete", "b");
    expect(&c, "resync", "c");
    expect_nothing(&c);
    hang_up(&c);
}

/* A reader whose filter lets nothing by still moves on. */
static void test_keepalive_has_the_cursor(void **state)
{
    char cursor[CHANGE_CURSOR_TEXT];
    settings.mounts.n = 2;
    states[1] = WATCHER_STARTING; /* so the timer looks often: it is real, unlike the clock */
    clock_fake_set(1000, 0);
    struct client c = stream("?op=delete");
    expect_ready(&c, cursor);
    push(feeds[0], CHANGE_CREATE, "a", NULL);
    expect_nothing(&c);
    clock_fake_advance(15 * 1000);
    usleep(250000);
    _cleanup_json_ json_t *line = next(&c);
    clock_fake_off();
    assert_true(json_is_true(json_object_get(line, "keepalive")));
    assert_string_not_equal(text_of(line, "cursor"), cursor);
    hang_up(&c);
}

static void test_cursors(void **state)
{
    char cursor[CHANGE_CURSOR_TEXT], query[128];
    struct client c = stream("");
    expect_ready(&c, cursor);
    hang_up(&c);
    push(feeds[0], CHANGE_MODIFY, "missed", NULL);
    snprintf(query, sizeof(query), "?since=%s", cursor);
    c = stream(query);
    expect_ready(&c, NULL);
    expect(&c, "modify", "missed");
    expect_nothing(&c);
    hang_up(&c);

    c = stream("?since=123.4"); /* of a sidecar that is gone */
    expect_ready(&c, NULL);
    _cleanup_json_ json_t *line = next(&c);
    assert_string_equal(text_of(line, "op"), "resync");
    assert_string_equal(text_of(line, "reason"), "restart");
    hang_up(&c);

    for (int i = 0; i < 10000; i++)
        push(feeds[0], CHANGE_MODIFY, "a-rather-long-name-that-fills-the-ring", NULL);
    c = stream(query);
    expect_ready(&c, NULL);
    json_t *lost = next(&c);
    assert_string_equal(text_of(lost, "reason"), "slow_reader");
    json_decref(lost);
    hang_up(&c);
}

/* A client that takes nothing costs a bounded buffer, and is told where it missed something. */
static void test_slow_reader(void **state)
{
    struct client c = stream("?path=dir");
    expect_ready(&c, NULL);
    char path[64];
    long last = 0;
    int n = 0, n_resyncs = 0;
    for (int i = 1; i <= 20000; i++) {
        snprintf(path, sizeof(path), "dir/%d", i);
        push(feeds[0], CHANGE_MODIFY, path, NULL);
        if (i % 100 == 0)
            turn();
    }
    for (;; n++) {
        _cleanup_json_ json_t *line = next(&c);
        if (!line)
            break;
        if (strcmp(text_of(line, "op"), "resync") == 0) {
            assert_string_equal(text_of(line, "reason"), "slow_reader");
            assert_string_equal(text_of(line, "path"), "dir");
            n_resyncs++;
            continue;
        }
        long number = strtol(text_of(line, "path") + 4, NULL, 10);
        assert_true(number == last + 1 || n_resyncs > 0);
        last = number;
    }
    assert_int_equal(n_resyncs, 1);
    assert_in_range(n, 100, 10000);
    push(feeds[0], CHANGE_MODIFY, "dir/after", NULL);
    expect(&c, "modify", "dir/after");
    hang_up(&c);
}

static void test_several_mounts(void **state)
{
    settings.mounts.n = 2;
    states[1] = WATCHER_STARTING;
    struct client both = stream(""), one = stream("?mount=%2Fconfig");
    expect_ready(&both, NULL);
    push(feeds[1], CHANGE_MODIFY, "c", NULL);
    push(feeds[0], CHANGE_MODIFY, "d", NULL);
    expect(&both, "modify", "d"); /* a mount that hangs does not hold up the others */
    expect_nothing(&both);
    states[1] = WATCHER_READY;
    usleep(250000);
    expect_ready(&both, NULL);
    _cleanup_json_ json_t *line = next(&both);
    assert_string_equal(text_of(line, "mount"), "/config");
    expect_ready(&one, NULL);
    expect(&one, "modify", "c");
    expect_nothing(&one);
    hang_up(&both);
    hang_up(&one);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *query, *word;
        int status;
    } cases[] = {
        {"?path=..%2Fetc", "path: ", 400},
        {"?path=%2Fetc", "path: ", 400},
        {"?path=a%2F%2Fb", "path: ", 400},
        {"?path=%zz", "path: ", 400},
        {"?mount=%2Fother", "mount: \\\"/other\\\"", 400},
        {"?since=yesterday", "since: ", 400},
        {"?since=1.2", "since: ", 400}, /* of two mounts */
        {"?op=remove", "op: \\\"remove\\\"", 400},
        {"?remote=maybe", "remote: \\\"maybe\\\"", 400},
        {"?follow=1", "follow", 400},
    };
    settings.mounts.n = 2;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int status;
        char body[1024];
        struct client c = ask(cases[i].query, &status);
        assert_int_equal(status, cases[i].status);
        assert_non_null(fgets(body, sizeof(body), c.in));
        if (!strstr(body, cases[i].word))
            fail_msg("no \"%s\" in %s", cases[i].word, body);
        hang_up(&c);
    }
    states[0] = states[1] = WATCHER_OFF;
    int status;
    struct client c = ask("", &status);
    assert_int_equal(status, 503);
    hang_up(&c);
}

static void test_too_many(void **state)
{
    struct client clients[65];
    for (int i = 0; i < 64; i++)
        clients[i] = stream("");
    int status;
    clients[64] = ask("", &status);
    assert_int_equal(status, 429);
    push(feeds[0], CHANGE_MODIFY, "for all", NULL);
    for (int i = 0; i < 64; i++) {
        expect_ready(&clients[i], NULL);
        expect(&clients[i], "modify", "for all");
    }
    for (int i = 0; i < 65; i++)
        hang_up(&clients[i]);
    clients[0] = stream(""); /* there is room again */
    hang_up(&clients[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waits_until_watched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prefix, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_operations_and_origin, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keepalive_has_the_cursor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cursors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_mounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
