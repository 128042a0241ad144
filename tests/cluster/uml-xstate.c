/*
 * xstate: preloaded into linux.uml, so that Linux 6.1 boots as a process on processors with AMX.
 *
 * That kernel hands the host a fixed 2.6 KiB of a process's extended registers, and the host (any
 * kernel) refuses with EFAULT a PTRACE_SETREGSET that is shorter than what the processor has (11
 * KiB with AMX). So what the kernel does not know is filled in from the process itself. Where the
 * plain call works, nothing changes.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long set_whole(pid_t pid, const struct iovec *part)
{
    static char state[64 * 1024]; /* the one caller is UML's only kernel thread */
    struct iovec whole = {state, sizeof(state)};

    if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &whole) < 0)
        return -1;
    if (part->iov_len > whole.iov_len) {
        errno = EFAULT;
        return -1;
    }
    memcpy(state, part->iov_base, part->iov_len);
    return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
    static int too_short;
    va_list args;
    pid_t pid;
    void *addr, *data, *peeked;
    long rc;

    va_start(args, request);
    pid = va_arg(args, pid_t);
    addr = va_arg(args, void *);
    data = va_arg(args, void *);
    va_end(args);

    /* libc returns what these read, the system call stores it */
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        rc = syscall(SYS_ptrace, request, pid, addr, &peeked);
        if (rc < 0)
            return rc;
        errno = 0;
        return (long)peeked;
    }
    if (request != PTRACE_SETREGSET || addr != (void *)NT_X86_XSTATE)
        return syscall(SYS_ptrace, request, pid, addr, data);
    if (!too_short) {
        rc = syscall(SYS_ptrace, request, pid, addr, data);
        if (rc == 0 || errno != EFAULT)
            return rc;
        too_short = 1;
    }
    return set_whole(pid, data);
}
