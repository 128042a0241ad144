/* Frames survive any split, and what is not a frame ends the conversation. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/frame.h"

static int fds[2];
static struct frame_reader reader;

static int setup(void **state)
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds);
}

static int teardown(void **state)
{
    frame_reader_release(&reader);
    close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    return 0;
}

static void test_any_split(void **state)
{
    enum { FRAMES = 300 };
    static uint8_t stream[FRAMES * (FRAME_HEADER_BYTES + 300)];
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    size_t total = 0, sent = 0;
    for (int i = 0; i < FRAMES; i++) {
        uint8_t payload[300];
        memset(payload, i, sizeof(payload));
        int n = frame_encode((uint16_t)i, payload, (size_t)i, stream + total);
        assert_int_equal(n, FRAME_HEADER_BYTES + i);
        total += (size_t)n;
    }
    int seen = 0;
    while (seen < FRAMES) {
        size_t part = (size_t)rand_r(&seed) % 700;
        if (part > total - sent)
            part = total - sent;
        assert_int_equal(write(fds[1], stream + sent, part), (ssize_t)part);
        sent += part;
        assert_true(frame_reader_fill(&reader, fds[0]) >= 0);
        struct frame frame;
        while (frame_reader_next(&reader, &frame) == 1) {
            assert_int_equal(frame.type, seen);
            assert_int_equal(frame.length, seen);
            for (uint32_t i = 0; i < frame.length; i++)
                assert_int_equal(frame.payload[i], (uint8_t)seen);
            seen++;
        }
    }
    assert_int_equal(frame_reader_fill(&reader, fds[0]), 0);
    close(fds[1]);
    fds[1] = -1;
    assert_int_equal(frame_reader_fill(&reader, fds[0]), -EPIPE);
}

static void test_largest(void **state)
{
    static uint8_t payload[FRAME_PAYLOAD_MAX + 1],
        encoded[FRAME_HEADER_BYTES + FRAME_PAYLOAD_MAX + 1];
    assert_int_equal(frame_encode(1, payload, FRAME_PAYLOAD_MAX + 1, encoded), -EMSGSIZE);
    int n = frame_encode(1, payload, FRAME_PAYLOAD_MAX, encoded), sent = 0;
    struct frame frame;
    while (frame_reader_next(&reader, &frame) == 0) {
        ssize_t w = write(fds[1], encoded + sent, (size_t)(n - sent));
        if (w > 0)
            sent += (int)w;
        assert_true(frame_reader_fill(&reader, fds[0]) >= 0);
    }
    assert_int_equal(frame.length, FRAME_PAYLOAD_MAX);
}

static void test_garbage(void **state)
{
    struct frame frame;
    static const uint8_t bad[][FRAME_HEADER_BYTES] = {
        {0, 0, 2, 0, 1, 0, 0, 0},            /* longer than allowed */
        {1, 0, 0, 0, 1, 0, 1, 0},            /* the zero is not zero */
        {'G', 'E', 'T', ' ', '/', ' ', 'H'}, /* somebody else's protocol */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(write(fds[1], bad[i], sizeof(bad[i])), sizeof(bad[i]));
        assert_int_equal(frame_reader_fill(&reader, fds[0]), 1);
        assert_int_equal(frame_reader_next(&reader, &frame), -EBADMSG);
        frame_reader_release(&reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_split, setup, teardown),
        cmocka_unit_test_setup_teardown(test_largest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
