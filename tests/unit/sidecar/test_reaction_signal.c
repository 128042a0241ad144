/* Signals to real processes: found by name, not to who would die of it, and what may not be done.
 */
#include "sidecar/reaction_signal.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"

static char name[16]; /* differs from run to run: other tests may run at the same time */

static volatile sig_atomic_t got;

static void on_signal(int number)
{
    got = number;
}

enum manner { HANDLES, IGNORES, BLOCKS, DIES };

/* A process of that name; when it handles the signal it ends with code 7. */
static pid_t start(enum manner manner)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t set;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, name);
        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        if (manner == HANDLES)
            signal(SIGHUP, on_signal);
        if (manner == IGNORES)
            signal(SIGHUP, SIG_IGN);
        if (manner == BLOCKS)
            sigprocmask(SIG_BLOCK, &set, NULL);
        (void)!write(ready[1], "r", 1);
        for (int i = 0; i < 1000 && !got; i++)
            usleep(10000);
        _exit(got ? 7 : 0);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static int end(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_sent(void **state)
{
    size_t sent = 0;
    struct error err;
    int status;
    pid_t one = start(HANDLES), two = start(HANDLES);
    assert_int_equal(reaction_signal_send(name, SIGHUP, &sent, &err), 0);
    assert_int_equal(sent, 2);
    assert_int_equal(waitpid(one, &status, 0), one);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    assert_int_equal(waitpid(two, &status, 0), two);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void test_not_to_who_would_die(void **state)
{
    static const enum manner taken[] = {IGNORES, BLOCKS};
    size_t sent = 0;
    struct error err;
    pid_t pid = start(DIES);
    assert_int_equal(reaction_signal_send(name, SIGHUP, &sent, &err), -EAGAIN);
    assert_non_null(strstr(err.text, "does not handle SIGHUP"));
    usleep(50000);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(reaction_signal_send(name, SIGTERM, &sent, &err), 0); /* it is meant to */
    assert_true(WTERMSIG(end(pid)) == SIGTERM);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        pid = start(taken[i]);
        assert_int_equal(reaction_signal_send(name, SIGHUP, &sent, &err), 0);
        end(pid);
    }
}

static void test_nobody(void **state)
{
    size_t sent = 77;
    struct error err;
    assert_int_equal(reaction_signal_send(name, SIGHUP, &sent, &err), -ESRCH);
    assert_non_null(strstr(err.text, name));
    pid_t zombie = start(HANDLES);
    kill(zombie, SIGKILL);
    usleep(50000);
    assert_int_equal(reaction_signal_send(name, SIGHUP, &sent, &err), -ESRCH);
    end(zombie);
    char own[16];
    prctl(PR_GET_NAME, own);
    prctl(PR_SET_NAME, name); /* never to itself */
    assert_int_equal(reaction_signal_send(name, SIGTERM, &sent, &err), -ESRCH);
    prctl(PR_SET_NAME, own);
    assert_int_equal(sent, 77);
}

static void test_not_allowed(void **state)
{
    int status;
    if (geteuid() != 0)
        skip();
    pid_t pid = start(HANDLES), asker = fork();
    if (asker == 0) {
        size_t sent;
        struct error err;
        if (setuid(65534) < 0)
            _exit(1);
        int r = reaction_signal_send(name, SIGHUP, &sent, &err);
        _exit(r == -EPERM && strstr(err.text, "may not be signalled by uid 65534") ? 0 : 2);
    }
    assert_int_equal(waitpid(asker, &status, 0), asker);
    assert_int_equal(status, 0);
    end(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sent),
        cmocka_unit_test(test_not_to_who_would_die),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_not_allowed),
    };
    snprintf(name, sizeof(name), "sig-%d", (int)getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
