#include "lib/harden.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * What strace saw the programs do, and what libc, libcurl and OpenSSL do instead on other
 * versions and machines. By name: those that this machine does not have are passed over.
 */
static const char *const allowed[] = {
    /* files */
    "access", "chdir", "chmod", "chown", "close", "close_range", "copy_file_range", "creat", "dup",
    "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod",
    "fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "flock",
    "fsetxattr", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents", "getdents64",
    "getxattr", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "ioctl",
    "lchown", "lgetxattr", "link", "linkat", "lseek", "lstat", "memfd_create", "mkdir", "mkdirat",
    "mknod", "mknodat", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2", "pread64",
    "preadv", "pwrite64", "pwritev", "read", "readahead", "readlink", "readlinkat", "readv",
    "rename", "renameat", "renameat2", "rmdir", "sendfile", "splice", "stat", "statfs", "statx",
    "symlink", "symlinkat", "sync_file_range", "syncfs", "truncate", "umask", "unlink", "unlinkat",
    "utimensat", "write", "writev",
    /* memory */
    "brk", "get_mempolicy", "madvise", "membarrier", "mincore", "mlock", "mmap", "mprotect",
    "mremap", "msync", "munlock", "munmap", "pkey_mprotect",
    /* waiting and time */
    "alarm", "clock_getres", "clock_gettime", "clock_nanosleep", "epoll_create", "epoll_create1",
    "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "futex",
    "futex_waitv", "getitimer", "gettimeofday", "nanosleep", "poll", "ppoll", "pselect6", "select",
    "setitimer", "time", "timer_create", "timer_delete", "timer_settime", "timerfd_create",
    "timerfd_gettime", "timerfd_settime", "times",
    /* sockets */
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
    "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
    "socket", "socketpair",
    /* processes, threads, signals */
    "arch_prctl", "capget", "capset", "clone", "clone3", "execve", "execveat", "exit", "exit_group",
    "fork", "get_robust_list", "getcpu", "getegid", "geteuid", "getgid", "getgroups", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresuid",
    "getrlimit", "getrusage", "getsid", "gettid", "getuid", "kill", "pidfd_open",
    "pidfd_send_signal", "prctl", "prlimit64", "restart_syscall", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getparam", "sched_getscheduler", "sched_setaffinity", "sched_yield", "set_robust_list",
    "set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups", "setpgid", "setpriority",
    "setregid", "setresgid", "setresuid", "setreuid", "setrlimit", "setsid", "setuid",
    "sigaltstack", "signalfd", "signalfd4", "sysinfo", "tgkill", "tkill", "uname", "vfork", "wait4",
    "waitid"};

/* Files of other ids, and acting as another id: the gate's --as, what tasks under several ids
 * share, signals to their processes. */
static const unsigned kept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
                                CAP_FSETID, CAP_KILL,         CAP_SETGID,          CAP_SETUID};

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static bool is_kept(unsigned capability)
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (kept[i] == capability)
            return true;
    return false;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, sets) < 0)
        return -errno;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned c = 0; c < 32 * ARRAY_LEN(sets); c++) {
        if (is_kept(c))
            continue;
        prctl(PR_CAPBSET_DROP, c, 0, 0, 0); /* needs CAP_SETPCAP; the sets below count */
        sets[c / 32].permitted &= ~(1U << (c % 32));
    }
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        sets[i].effective &= sets[i].permitted;
        sets[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

/* A limit of one byte, not of none: the kernel then does not start a program of core_pattern
 * either (core(5)). Who set a hard limit of none, which only privilege could raise, has no file. */
static int forbid_core(void)
{
    struct rlimit limit;
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1}) == 0)
        return 0;
    int code = errno;
    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 ? 0 : -code;
}

static int load_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter)
        return -ENOMEM;
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(allowed) && r == 0; i++) {
        int number = seccomp_syscall_resolve_name(allowed[i]);
        if (number >= 0)
            r = seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, number, 0);
    }
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: fewer steps a call */
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

int harden_process(bool filter, struct error *err)
{
#ifdef __SANITIZE_ADDRESS__
    filter = false; /* the leak check attaches to the process */
#endif
    int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    if (r < 0)
        error_set_errno(err, -r, "cannot give up gaining privileges");
    int r2 = drop_capabilities();
    if (r2 < 0 && r == 0)
        r = error_set_errno(err, -r2, "cannot give up capabilities");
    r2 = forbid_core();
    if (r2 < 0 && r == 0)
        r = error_set_errno(err, -r2, "cannot forbid core files");
    r2 = filter ? load_filter() : 0;
    if (r2 < 0 && r == 0)
        r = error_set_errno(err, -r2,
                            "the filter of system calls cannot be set (security.seccomp=false "
                            "does without)");
    return r;
}
