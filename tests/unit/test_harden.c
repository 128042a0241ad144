/* What a process cannot do any more, each tried in a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/harden.h"

/* Runs in a hardened child; its result is the child's exit code: 0 is fine. */
typedef int trial(void);

static int run(bool filter, trial *try)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct error err = {0};
        _exit(harden_process(filter, &err) < 0 ? 99 : try());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int refused(long result)
{
    return result < 0 && errno == ENOSYS ? 0 : 1;
}

static int trace(void)
{
    return refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int make_namespace(void)
{
    return refused(unshare(CLONE_NEWUSER));
}

static int mount_something(void)
{
    return refused(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int load_program(void)
{
    return refused(syscall(SYS_bpf, 0, NULL, 0));
}

static int read_other_memory(void)
{
    return refused(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static void test_forbidden_calls(void **state)
{
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    static trial *const trials[] = {trace, make_namespace, mount_something, load_program,
                                    read_other_memory};
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
        if (run(true, trials[i]) != 0)
            fail_msg("trial %zu: %d", i, run(true, trials[i]));
}

static int ordinary_work(void)
{
    char name[] = "/tmp/harden-XXXXXX";
    _cleanup_close_ int fd = mkostemp(name, O_CLOEXEC);
    bool fine = fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 && unlink(name) == 0;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    int status = 1;
    return !(fine && pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_allowed_calls(void **state)
{
    assert_int_equal(run(true, ordinary_work), 0);
    assert_int_equal(run(false, ordinary_work), 0);
}

static int gave_up(void)
{
    struct rlimit core;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 1;
    if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 1)
        return 2;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, sets) < 0)
        return 3;
    const uint32_t dangerous = 1U << CAP_SYS_ADMIN | 1U << CAP_SYS_PTRACE | 1U << CAP_NET_ADMIN |
                               1U << CAP_SYS_MODULE | 1U << CAP_NET_RAW;
    return (sets[0].permitted | sets[0].effective | sets[0].inheritable) & dangerous ? 4 : 0;
}

static void test_what_is_given_up(void **state)
{
    assert_int_equal(run(false, gave_up), 0);
    assert_int_equal(run(true, gave_up), 0);
}

/* As with ulimits of the container: core 0. */
static void test_core_forbidden_before(void **state)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct error err = {0};
        struct rlimit core = {0, 0};
        if (setrlimit(RLIMIT_CORE, &core) < 0)
            _exit(1);
        _exit(harden_process(false, &err) < 0 || getrlimit(RLIMIT_CORE, &core) < 0 ||
              core.rlim_max > 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forbidden_calls),
        cmocka_unit_test(test_allowed_calls),
        cmocka_unit_test(test_what_is_given_up),
        cmocka_unit_test(test_core_forbidden_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
