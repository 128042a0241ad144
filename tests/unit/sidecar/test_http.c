/* The HTTP server on a real socket: answers, limits, streams, and clients that behave badly. */
#include <errno.h>
#include <event2/event.h>
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

#include "lib/clock.h"
#include "sidecar/http.h"

static struct event_base *base;
static struct http_server *server;
static struct sockaddr_un address;
static int answers, last_status, closed, drained;
static struct http_stream *stream;

static void on_drained(void *arg)
{
    drained++;
}

static void on_closed(void *arg)
{
    closed++;
    stream = NULL;
}

static void handle(void *arg, struct http_request *request)
{
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_closed};
    if (strcmp(request->head.path, "/stream") == 0)
        http_stream_begin(request, "text/plain", &ops, NULL, &stream);
    else if (strcmp(request->head.path, "/echo") == 0)
        http_reply(request, 200, "text/plain", request->body, request->head.body_bytes);
    else if (strcmp(request->head.path, "/length") == 0) {
        char text[32];
        int n = snprintf(text, sizeof(text), "%zu", request->head.body_bytes);
        http_reply(request, 200, "text/plain", text, (size_t)n);
    } else if (strcmp(request->head.path, "/big") == 0) {
        static char big[4 * 1024 * 1024];
        memset(big, 'b', sizeof(big));
        http_reply(request, 200, "text/plain", big, sizeof(big));
    } else
        http_error(request, 404, "a \"hint\"", "there is no %s", request->head.path);
}

static void answered(void *arg, int status)
{
    answers++;
    last_status = status;
}

static bool takes_large(const char *path)
{
    return strcmp(path, "/length") == 0;
}

static const struct http_handlers handlers = {
    .handle = handle, .answered = answered, .takes_large = takes_large};

static int set_up(void **state)
{
    answers = last_status = closed = drained = 0;
    base = event_base_new();
    /* An abstract address: nothing to clean up. */
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "test_http.%d", getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0)
        return -1;
    return http_open(base, fd, &handlers, NULL, &server);
}

static int tear_down(void **state)
{
    http_close(server);
    event_base_free(base);
    clock_fake_off();
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static int new_client(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turn();
}

/* What came, as a string; *ret_end says whether the connection was closed. */
static const char *hear(int fd, bool *ret_end)
{
    static char text[64 * 1024];
    size_t used = 0;
    ssize_t n;
    turn();
    while ((n = recv(fd, text + used, sizeof(text) - 1 - used, 0)) > 0)
        used += (size_t)n;
    if (ret_end)
        *ret_end = n == 0;
    text[used] = '\0';
    return text;
}

static void test_answers(void **state)
{
    bool end;
    int fd = new_client();
    say(fd, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *text = hear(fd, &end);
    assert_false(end);
    assert_string_equal(text, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
                              "Content-Length: 69\r\n\r\n{\"code\":\"NotFound\",\"message\":"
                              "\"there is no /none\",\"hint\":\"a \\\"hint\\\"\"}");
    /* The connection goes on; a request may come in pieces. */
    const char *const pieces[] = {
        "POST /ec", "ho HTTP/1.1\r\nContent-Le", "ngth: 5\r\n\r", "\nab", "cd", "e"};
    for (size_t i = 0; i < 6; i++)
        say(fd, pieces[i]);
    assert_non_null(strstr(hear(fd, &end), "\r\n\r\nabcde"));
    assert_false(end);
    assert_int_equal(answers, 2);
    close(fd);
}

static void test_pipelining(void **state)
{
    int fd = new_client();
    bool end;
    say(fd, "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\n1"
            "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\n2"
            "POST /echo HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\n3"
            "GET /echo HTTP/1.1\r\n\r\n");
    const char *text = hear(fd, &end);
    const char *one = strstr(text, "\r\n\r\n1"), *three = strstr(text, "\r\n\r\n3");
    assert_true(one && three && one < three);
    assert_int_equal(answers, 3);
    assert_true(end);
    close(fd);
}

static void test_http_1_0(void **state)
{
    int fd = new_client();
    bool end;
    say(fd, "GET /none HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(hear(fd, &end), "Connection: close"));
    assert_true(end);
    close(fd);
}

static void test_continue(void **state)
{
    int fd = new_client();
    say(fd, "POST /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(hear(fd, NULL), "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "ok");
    assert_non_null(strstr(hear(fd, NULL), "\r\n\r\nok"));
    close(fd);
}

/* Those that are too many hear it at once; an end of one, whatever it is, makes room. */
static void test_large_bodies(void **state)
{
    enum { BYTES = 100 * 1000 };
    static const char head[] = "POST /length HTTP/1.1\r\nContent-Length: 100000\r\n\r\n";
    static char body[BYTES + 1];
    int fds[HTTP_LARGE_BODIES];
    memset(body, 'x', BYTES);
    for (int i = 0; i < HTTP_LARGE_BODIES; i++)
        say(fds[i] = new_client(), head);
    int late = new_client();
    say(late, head);
    assert_int_equal(last_status, 429);
    close(late);

    for (int i = 0; i < 2; i++) { /* the second on the same connection */
        for (size_t sent = 0; sent < BYTES; turn()) {
            ssize_t n = send(fds[0], body + sent, BYTES - sent, MSG_NOSIGNAL);
            assert_true(n > 0);
            sent += (size_t)n;
        }
        assert_int_equal(last_status, 200);
        assert_non_null(strstr(hear(fds[0], NULL), "\r\n\r\n100000"));
        say(fds[0], i == 0 ? head : "");
    }
    close(fds[1]);
    turn();
    for (int i = 0; i < 2; i++) { /* one answered, one gone */
        say(fds[i] = new_client(), head);
        assert_int_equal(last_status, 200);
    }
    for (int i = 0; i < HTTP_LARGE_BODIES; i++)
        close(fds[i]);
}

/* The client hears why, although it was still sending. */
static void test_refusals(void **state)
{
    static char huge[HTTP_HEAD_MAX + 64];
    snprintf(huge, sizeof(huge), "GET /%0*d", HTTP_HEAD_MAX + 32, 0);
    const struct {
        const char *text;
        int status;
    } cases[] = {
        {"nonsense\r\n\r\n", 400},
        {huge, 413},
        {"POST /echo HTTP/1.1\r\nContent-Length: 100000\r\n\r\nxxxxxxxxxxxxx", 413},
        {"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", 400},
        {"\x16\x03\x01\x02\r\n\r\n\x01\xfc\x03\x03", 400},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool end;
        int fd = new_client();
        say(fd, cases[i].text);
        (void)send(fd, "more", 4, MSG_NOSIGNAL);
        const char *text = hear(fd, &end);
        assert_int_equal(last_status, cases[i].status);
        assert_non_null(strstr(text, "\"message\":\""));
        assert_true(end);
        close(fd);
    }
}

static void test_streams(void **state)
{
    bool end;
    int fd = new_client();
    say(fd, "GET /stream HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(hear(fd, NULL), "Transfer-Encoding: chunked\r\n"));
    assert_non_null(stream);
    http_stream_write(stream, "hello\n", 6);
    http_stream_write(stream, "", 0);
    assert_string_equal(hear(fd, &end), "6\r\nhello\n\r\n");
    assert_false(end);
    assert_true(drained > 0);
    say(fd, "what the client says now does not matter");
    assert_non_null(stream);
    close(fd);
    turn();
    assert_null(stream);
    assert_int_equal(closed, 1);

    fd = new_client();
    say(fd, "GET /stream HTTP/1.0\r\n\r\n");
    http_stream_write(stream, "hello\n", 6);
    const char *text = hear(fd, NULL);
    assert_null(strstr(text, "chunked"));
    assert_non_null(strstr(text, "\r\n\r\nhello\n"));
    close(fd);
    turn();
    assert_int_equal(closed, 2);
}

static void test_close_ends_streams(void **state)
{
    int fd = new_client();
    bool end;
    say(fd, "GET /stream HTTP/1.1\r\n\r\n");
    hear(fd, NULL);
    http_stream_write(stream, "last\n", 5);
    http_close(server);
    server = NULL;
    assert_int_equal(closed, 1);
    assert_string_equal(hear(fd, &end), "5\r\nlast\n\r\n0\r\n\r\n");
    assert_true(end);
    close(fd);
}

/* Silent connections do not keep others out: the oldest make room. */
static void test_many_connections(void **state)
{
    enum { N = HTTP_CONNECTIONS_MAX + 50 };
    int fds[N];
    for (int i = 0; i < N; i++) {
        fds[i] = new_client();
        (void)send(fds[i], "GET /non", 8, MSG_NOSIGNAL);
    }
    for (int i = 0; i < 10; i++) {
        usleep(10000);
        turn();
    }
    int n_closed = 0;
    for (int i = 0; i < N; i++) {
        bool end;
        hear(fds[i], &end);
        n_closed += end || errno == ECONNRESET;
        assert_true(i >= 50 || n_closed == i + 1);
    }
    assert_in_range(n_closed, 50, 100);
    say(fds[N - 1], "e HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(hear(fds[N - 1], NULL), "404"));
    for (int i = 0; i < N; i++)
        close(fds[i]);
}

/* All at once, but complete: each is answered. */
static void test_burst(void **state)
{
    enum { N = 400 }; /* below the usual limit of descriptors, ours and theirs */
    static int fds[N];
    for (int i = 0; i < N; i++) {
        fds[i] = new_client();
        (void)send(fds[i], "GET /none HTTP/1.0\r\n\r\n", 22, MSG_NOSIGNAL);
    }
    for (int i = 0; i < 1000 && answers < N; i++) {
        usleep(1000);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(answers, N);
    for (int i = 0; i < N; i++) {
        assert_non_null(strstr(hear(fds[i], NULL), "404"));
        close(fds[i]);
    }
}

static void test_deadline(void **state)
{
    clock_fake_set(1000, 0);
    bool end;
    int slow = new_client();
    say(slow, "GET /none HTTP/1.1\r\nA:");
    clock_fake_advance(HTTP_WAIT_MS / 2);
    int fresh = new_client();
    say(fresh, "GET /none HTTP/1.1\r\n\r\n");
    clock_fake_advance(HTTP_WAIT_MS / 2);
    say(slow, "b\r\n"); /* a byte now and then does not prolong it */
    http_expire(server);
    hear(slow, &end);
    assert_true(end || errno == ECONNRESET);
    hear(fresh, &end);
    assert_false(end);
    close(slow);
    close(fresh);
}

/* A client that asks and asks and takes nothing is not answered further. */
static void test_answers_are_not_piled_up(void **state)
{
    int fd = new_client();
    for (int i = 0; i < 50; i++)
        (void)send(fd, "GET /big HTTP/1.1\r\n\r\n", 21, MSG_NOSIGNAL);
    turn();
    assert_int_equal(answers, 1);
    close(fd);
    turn();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pipelining, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_http_1_0, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_continue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_close_ends_streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_burst, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers_are_not_piled_up, set_up, tear_down),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
