#include "cli/client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/clock.h"

#define OK_HEAD "HTTP/1.0 200 OK\r\n"

/* A server that says one thing to one client. */
struct server {
    char directory[32], path[64];
    int listener;
    pthread_t thread;
    const char *head, *text; /* text is sent `times` times, in pieces of `piece` bytes */
    size_t piece, times;     /* 0: at once, once */
    bool stay;               /* until the client leaves */
    char request[512];
};

static bool send_text(int fd, const struct server *server)
{
    size_t length = strlen(server->text), piece = server->piece ? server->piece : length;
    for (size_t at = 0; at < length; at += piece) {
        size_t n = length - at < piece ? length - at : piece;
        if (send(fd, server->text + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            return false;
        if (server->piece)
            usleep(1000);
    }
    return true;
}

static void *serve(void *argument)
{
    struct server *server = argument;
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    ssize_t n = recv(fd, server->request, sizeof(server->request) - 1, 0);
    server->request[n > 0 ? n : 0] = '\0';
    if (server->head)
        (void)send(fd, server->head, strlen(server->head), MSG_NOSIGNAL);
    for (size_t i = 0; i < (server->times ? server->times : 1); i++) {
        if (!send_text(fd, server))
            break;
    }
    char byte;
    while (server->stay && recv(fd, &byte, 1, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void start(struct server *server, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(server->directory, "/tmp/test_client.XXXXXX", sizeof("/tmp/test_client.XXXXXX"));
    assert_non_null(mkdtemp(server->directory));
    snprintf(server->path, sizeof(server->path), "%s/s", server->directory);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->path);
    server->text = text;
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server->listener, 0), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop(struct server *server)
{
    pthread_join(server->thread, NULL);
    close(server->listener);
    unlink(server->path);
    rmdir(server->directory);
}

static void test_body_with_length(void **state)
{
    struct server server = {.piece = 7};
    struct client *client;
    const char *text;
    size_t length;
    start(&server, OK_HEAD "Content-Length: 11\r\n\r\nhello worldand what does not belong to it");
    assert_int_equal(client_get(server.path, "/x?y=z", 5000, &client, NULL), 0);
    assert_int_equal(client_status(client), 200);
    assert_int_equal(client_body(client, &text, &length, NULL), 0);
    assert_int_equal(length, 11);
    assert_string_equal(text, "hello world");
    client_close(client);
    stop(&server);
    assert_string_equal(server.request, "GET /x?y=z HTTP/1.0\r\nHost: efs-sidecar\r\n\r\n");
}

static void test_body_until_close(void **state)
{
    struct server server = {0};
    struct client *client;
    const char *text;
    size_t length;
    start(&server, "HTTP/1.0 404 Not Found\r\n\r\nnothing here");
    assert_int_equal(client_get(server.path, "/", 5000, &client, NULL), 0);
    assert_int_equal(client_status(client), 404);
    assert_int_equal(client_body(client, &text, &length, NULL), 0);
    assert_string_equal(text, "nothing here");
    client_close(client);
    stop(&server);
}

/* r of client_get() and, when that is 0, of client_body(). */
static int get(struct server *server, const char *text, int64_t timeout_ms, struct error *err)
{
    struct client *client = NULL;
    const char *body;
    size_t length;
    start(server, text);
    int r = client_get(server->path, "/", timeout_ms, &client, err);
    if (r == 0)
        r = client_body(client, &body, &length, err);
    client_close(client);
    stop(server);
    return r;
}

static void test_cut_short(void **state)
{
    static const char *const texts[] = {
        "",
        "HTTP/1.0",
        OK_HEAD,
        OK_HEAD "Content-Length: 11\r\n\r\n",
        OK_HEAD "Content-Length: 11\r\n\r\nhello worl",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct server server = {0};
        struct error err = {0};
        assert_int_equal(get(&server, texts[i], 5000, &err), -EPROTO);
        assert_non_null(strstr(err.text, "within its answer"));
        assert_non_null(strstr(err.text, server.path));
    }
}

static void test_garbage(void **state)
{
    struct server server = {.stay = true};
    struct error err;
    assert_int_equal(get(&server, "220 mail.example.org ESMTP\r\n", 5000, &err), -EPROTO);
    assert_non_null(strstr(err.text, "is not the sidecar"));
}

static void test_huge(void **state)
{
    struct server endless = {.times = SIZE_MAX}, announced = {.stay = true};
    struct error err;
    endless.head = OK_HEAD "\r\n";
    assert_int_equal(get(&endless, "lorem ipsum dolor sit amet", 60000, &err), -EMSGSIZE);
    assert_int_equal(get(&announced, OK_HEAD "Content-Length: 4194305\r\n\r\n", 5000, &err),
                     -EMSGSIZE);
    assert_non_null(strstr(err.text, "4194304 bytes"));
}

/* Nothing, half a head, half a body: the whole has one deadline, also when bytes trickle in. */
static void test_hangs(void **state)
{
    static const struct {
        const char *text;
        size_t piece, times;
    } cases[] = {
        {"", 0, 0},
        {OK_HEAD, 0, 0},
        {OK_HEAD "\r\nhalf a bo", 0, 0},
        {OK_HEAD "X: a header\r\nof which each byte comes late", 1, 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct server server = {.piece = cases[i].piece, .times = cases[i].times, .stay = true};
        struct error err;
        int64_t before_ms = clock_now_ms();
        assert_int_equal(get(&server, cases[i].text, 100, &err), -ETIMEDOUT);
        assert_in_range(clock_now_ms() - before_ms, 100, 2000);
        assert_non_null(strstr(err.text, "within 100 ms"));
    }
}

/* A stopped sidecar accepts nothing: its backlog fills, and connect() says EAGAIN. */
static void test_backlog_full(void **state)
{
    char directory[] = "/tmp/test_client.XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct client *client;
    struct error err;
    int others[8];
    assert_non_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 0), 0);
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        r = connect(others[i], (struct sockaddr *)&address, sizeof(address));
    }
    assert_true(r < 0 && errno == EAGAIN);
    assert_int_equal(client_get(address.sun_path, "/", 100, &client, &err), -ETIMEDOUT);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        close(others[i]);
    close(listener);
    unlink(address.sun_path);
    rmdir(directory);
}

static void test_nobody_there(void **state)
{
    char directory[] = "/tmp/test_client.XXXXXX", path[64], long_path[200];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct client *client;
    struct error err;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/s", directory);
    assert_int_equal(client_get(path, "/", 1000, &client, &err), -ENOENT);
    assert_non_null(strstr(err.text, path));

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    close(listener);
    assert_int_equal(client_get(path, "/", 1000, &client, &err), -ECONNREFUSED);
    assert_non_null(strstr(err.text, path));

    unlink(path);
    rmdir(directory);
    memset(long_path, 'x', sizeof(long_path));
    long_path[0] = '/';
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(client_get(long_path, "/", 1000, &client, &err), -ENAMETOOLONG);
}

static void test_lines(void **state)
{
    struct server server = {.piece = 3};
    struct client *client;
    struct error err;
    const char *line;
    start(&server, OK_HEAD "\r\n{\"a\":1}\n\n{\"b\":\"zwei\"}\n{\"half\":");
    assert_int_equal(client_get(server.path, "/", 5000, &client, &err), 0);
    assert_int_equal(client_line(client, 5000, &line, &err), 1);
    assert_string_equal(line, "{\"a\":1}");
    assert_int_equal(client_line(client, 5000, &line, &err), 1);
    assert_string_equal(line, "");
    assert_int_equal(client_line(client, 5000, &line, &err), 1);
    assert_string_equal(line, "{\"b\":\"zwei\"}");
    assert_int_equal(client_line(client, 5000, &line, &err), -EPROTO);
    client_close(client);
    stop(&server);
}

static void test_line_end_and_idle(void **state)
{
    struct server ends = {0}, idle = {.stay = true};
    struct client *client;
    struct error err;
    const char *line;
    start(&ends, OK_HEAD "\r\na\n");
    assert_int_equal(client_get(ends.path, "/", 5000, &client, &err), 0);
    assert_int_equal(client_line(client, 5000, &line, &err), 1);
    assert_int_equal(client_line(client, 5000, &line, &err), 0);
    client_close(client);
    stop(&ends);

    start(&idle, OK_HEAD "\r\na\nb");
    assert_int_equal(client_get(idle.path, "/", 5000, &client, &err), 0);
    assert_int_equal(client_line(client, 5000, &line, &err), 1);
    assert_int_equal(client_line(client, 100, &line, &err), -ETIMEDOUT);
    client_close(client);
    stop(&idle);
}

/* Megabytes of lines in pieces that end anywhere. */
static void test_many_lines(void **state)
{
    struct server server = {.head = OK_HEAD "\r\n", .times = 100000};
    struct client *client;
    struct error err;
    const char *line;
    size_t n = 0;
    start(&server, "{\"op\":\"create\",\"path\":\"some/where\"}\n");
    assert_int_equal(client_get(server.path, "/", 5000, &client, &err), 0);
    int r;
    while ((r = client_line(client, 5000, &line, &err)) > 0)
        n += strcmp(line, "{\"op\":\"create\",\"path\":\"some/where\"}") == 0;
    assert_int_equal(r, 0);
    assert_int_equal(n, 100000);
    client_close(client);
    stop(&server);
}

static void test_endless_line(void **state)
{
    struct server server = {.head = OK_HEAD "\r\n", .times = SIZE_MAX};
    struct client *client;
    struct error err;
    const char *line;
    start(&server, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    assert_int_equal(client_get(server.path, "/", 5000, &client, &err), 0);
    assert_int_equal(client_line(client, 60000, &line, &err), -EMSGSIZE);
    client_close(client);
    stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_with_length),
        cmocka_unit_test(test_body_until_close),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_backlog_full),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_line_end_and_idle),
        cmocka_unit_test(test_many_lines),
        cmocka_unit_test(test_endless_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
