/* The API's socket: whose it is, who may connect, what is in its way. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/api_socket.h"

static char directory[64], path[80];

static int set_up(void **state)
{
    snprintf(directory, sizeof(directory), "/tmp/test_api_socket.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/api.sock", directory);
    return 0;
}

static int tear_down(void **state)
{
    unlink(path);
    return rmdir(directory);
}

static struct api_socket open_socket(void)
{
    struct api_socket socket;
    struct error err = {0};
    if (api_socket_open(&socket, path, 0640, (gid_t)-1, &err) < 0)
        fail_msg("%s", err.text);
    return socket;
}

static int connect_to(const struct api_socket *to)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r =
        connect(fd, (const struct sockaddr *)&to->address, sizeof(to->address)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static void test_serves_and_goes(void **state)
{
    mode_t old = umask(0);
    struct api_socket socket = open_socket();
    umask(old);
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(fcntl(socket.fd, F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(socket.fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(connect_to(&socket), 0);
    close(socket.fd);
    api_socket_remove(&socket);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_a_live_server_keeps_it(void **state)
{
    struct api_socket first = open_socket(), second = {.fd = -7};
    struct error err = {0};
    assert_int_equal(api_socket_open(&second, path, 0600, (gid_t)-1, &err), -EADDRINUSE);
    assert_int_equal(second.fd, -7);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(connect_to(&first), 0);
    close(first.fd);
    api_socket_remove(&first);
}

/* Also one whose queue of connections is full because it hangs. */
static void test_a_hung_server_keeps_it(void **state)
{
    struct api_socket first = open_socket(), second;
    struct error err = {0};
    assert_int_equal(listen(first.fd, 0), 0);
    int waiting[4];
    for (size_t i = 0; i < 4; i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&first.address, sizeof(first.address));
    }
    assert_int_equal(connect_to(&first), -EAGAIN);
    assert_int_equal(api_socket_open(&second, path, 0600, (gid_t)-1, &err), -EADDRINUSE);
    for (size_t i = 0; i < 4; i++)
        close(waiting[i]);
    close(first.fd);
    api_socket_remove(&first);
}

static void test_a_stale_one_is_replaced(void **state)
{
    struct api_socket dead = open_socket();
    close(dead.fd); /* as after SIGKILL */
    usleep(20000);  /* more than a tick of the file system's clock */
    struct api_socket live = open_socket();
    api_socket_remove(&dead); /* a late clean-up does not take the successor's */
    assert_int_equal(connect_to(&live), 0);
    close(live.fd);
    api_socket_remove(&live);
}

static void test_what_is_no_socket_stays(void **state)
{
    struct api_socket socket;
    struct error err = {0};
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(api_socket_open(&socket, path, 0600, (gid_t)-1, &err), -EEXIST);
    assert_non_null(strstr(err.text, "not a socket"));
    assert_int_equal(access(path, F_OK), 0);
}

static void test_bad_places(void **state)
{
    struct api_socket socket;
    struct error err = {0};
    char long_path[200];
    memset(long_path, 'x', sizeof(long_path));
    long_path[0] = '/';
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(api_socket_open(&socket, long_path, 0600, (gid_t)-1, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.text, "199 bytes"));

    char missing[100];
    snprintf(missing, sizeof(missing), "%s/no/api.sock", directory);
    assert_int_equal(api_socket_open(&socket, missing, 0600, (gid_t)-1, &err), -ENOENT);
    assert_non_null(strstr(err.text, missing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serves_and_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_live_server_keeps_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hung_server_keeps_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stale_one_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_socket_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_places, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
