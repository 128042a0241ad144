/*
 * What programs do with files, in one program without any library of ours: it runs under
 * libefscache.so of either libc, and prints the same as without.
 *
 *     shim_work semantics FILE
 *         descriptors, flags, errno, vfork, fork, signals, streams
 *     shim_work OP FILE [OTHER]
 *         changes FILE to the text "new" in one of the ways below
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tools/must.h"

#define NEW "new\n"

enum { BLOCK = 4096, SIGNALS = 200, BAD_USAGE = 64 };

/* ---- semantics ---- */

static const char *hot;
static volatile sig_atomic_t signals, signal_failures;

static void on_alarm(int signo)
{
    int saved = errno, fd = open(hot, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        signal_failures++;
    else
        close(fd);
    signals++;
    errno = saved;
}

/* Opens in a handler that interrupts opens. */
static void in_signals(void)
{
    const struct itimerval often = {.it_interval = {.tv_usec = 500}, .it_value = {.tv_usec = 500}};
    const struct itimerval never = {0};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    int failures = 0;
    must(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0,
         "timer");
    while (signals < SIGNALS) {
        int fd = open(hot, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            failures++;
        else
            close(fd);
    }
    must(setitimer(ITIMER_REAL, &never, NULL) == 0, "timer");
    printf("signals: %d and %d failures\n", failures, (int)signal_failures);
}

static int first_byte(int fd)
{
    char c;
    return pread(fd, &c, 1, 0) == 1 ? c : -1;
}

static void show_child(const char *name, pid_t pid)
{
    int status = 0;
    must(pid > 0 && waitpid(pid, &status, 0) == pid, name);
    printf("%s: %x\n", name, status);
}

/* NULL is a path that an application may pass. */
__attribute__((no_sanitize("undefined"))) static void show_open(const char *name, const char *path,
                                                                int flags)
{
    errno = 77;
    int fd = open(path, flags);
    int saved = errno;
    printf("%s: fd %d errno %d", name, fd, saved);
    if (fd >= 0) {
        struct stat st;
        must(fstat(fd, &st) == 0, "fstat");
        printf(" flags %x fdflags %x size %lld type %o byte %d", (unsigned)fcntl(fd, F_GETFL),
               (unsigned)fcntl(fd, F_GETFD), (long long)st.st_size, (unsigned)(st.st_mode & S_IFMT),
               first_byte(fd));
        printf(" written %zd", write(fd, "x", 1));
        must(close(fd) == 0, "close");
    }
    putchar('\n');
}

static void show_stream(const char *mode)
{
    char line[64] = "";
    errno = 77;
    FILE *stream = fopen(hot, mode);
    int saved = errno;
    if (stream && !fgets(line, sizeof(line), stream))
        line[0] = '\0';
    printf("fopen %s: %s errno %d fd %d cloexec %d: %s\n", mode, stream ? "good" : "bad", saved,
           stream ? fileno(stream) : -1, stream ? fcntl(fileno(stream), F_GETFD) : -1, line);
    stream = stream ? freopen(hot, "r", stream) : NULL;
    printf("freopen: %s\n", stream && fgets(line, sizeof(line), stream) ? line : "bad");
    if (stream)
        (void)fclose(stream);
}

static void in_directory(void)
{
    char dir[BLOCK];
    int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(dir, sizeof(dir), "%s", hot);
    char *last = strrchr(dir, '/');
    *last++ = '\0';
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = openat(dir_fd, last, O_RDONLY);
    printf("openat: %d byte %d\n", fd, first_byte(fd));
    close(fd);
    must(fchdir(dir_fd) == 0, "fchdir");
    show_open("relative", last, O_RDONLY);
    must(fchdir(back) == 0, "fchdir back");
    close(dir_fd);
    close(back);
}

static void semantics(void)
{
    const char *volatile nowhere = NULL; /* libc declares that it is never NULL */
    show_open("plain", hot, O_RDONLY);
    show_open("again", hot, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    show_open("directory", hot, O_RDONLY | O_DIRECTORY);
    show_open("append", hot, O_RDONLY | O_APPEND);
    show_open("missing", "/nowhere/at/all", O_RDONLY);
    show_open("NULL", nowhere, O_RDONLY);
    show_open("empty", "", O_RDONLY);
    show_stream("r");
    show_stream("rbe");
    in_directory();
    pid_t pid = fork();
    if (pid == 0)
        _exit(first_byte(open(hot, O_RDONLY | O_CLOEXEC)));
    show_child("fork", pid);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    /* what a shell does; open is all that the child adds. NOLINTNEXTLINE(clang-analyzer-*) */
    pid = vfork();
#pragma GCC diagnostic pop
    if (pid == 0)
        _exit(first_byte(open(hot, O_RDONLY | O_CLOEXEC)));
    show_child("vfork", pid);
    int fd = open(hot, O_RDONLY);
    must(syscall(SYS_close_range, 3, ~0U, 0) == 0, "close_range");
    printf("closed: %d %d\n", fcntl(fd, F_GETFD), errno);
    show_open("after close_range", hot, O_RDONLY);
    fd = open(hot, O_RDONLY);
    struct stat st;
    must(fstat(fd, &st) == 0, "fstat");
    char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    must(p != MAP_FAILED, "mmap");
    close(fd);
    printf("mapped: %d, last byte %d\n", p[0], p[st.st_size - 1]);
    in_signals();
    show_stream("q"); /* last: the library takes it for writing */
}

/* ---- changes ---- */

static void write_new(int fd)
{
    must(fd >= 0 && write(fd, NEW, strlen(NEW)) == (ssize_t)strlen(NEW) && close(fd) == 0, "write");
}

static void write_stream(FILE *stream)
{
    must(stream && fputs(NEW, stream) >= 0 && fclose(stream) == 0, "stream");
}

static void with_open(const char *path, const char *other)
{
    write_new(open(path, O_WRONLY | O_TRUNC));
}

static void with_rdwr(const char *path, const char *other)
{
    int fd = open(path, O_RDWR);
    must(fd >= 0 && ftruncate(fd, 0) == 0, "ftruncate");
    write_new(fd);
}

static void with_creat(const char *path, const char *other)
{
    write_new(creat(path, 0644));
}

static void with_fopen(const char *path, const char *other)
{
    write_stream(fopen(path, "w"));
}

static void with_freopen(const char *path, const char *other)
{
    write_stream(freopen(path, "w", fopen("/dev/null", "r")));
}

static void with_truncate(const char *path, const char *other)
{
    must(truncate(path, 0) == 0, "truncate"); /* and nothing is in it */
}

static void with_unlink(const char *path, const char *other)
{
    must(unlink(path) == 0, "unlink");
    write_new(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644));
}

static void with_remove(const char *path, const char *other)
{
    must(remove(path) == 0, "remove");
    write_new(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644));
}

/* The names are what matters: what they are given was written by nobody who is seen. */
static void write_unseen(const char *path)
{
    write_new(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
}

static void with_rename(const char *path, const char *other)
{
    write_unseen(other);
    must(rename(other, path) == 0, "rename");
}

static void with_renameat(const char *path, const char *other)
{
    write_unseen(other);
    must(renameat(AT_FDCWD, other, AT_FDCWD, path) == 0, "renameat");
}

#ifndef __GLIBC__ /* the library has it */
__attribute__((weak)) int renameat2(int from_fd, const char *from, int to_fd, const char *to,
                                    unsigned flags);
#endif

static void with_exchange(const char *path, const char *other)
{
    write_unseen(other);
    must(renameat2(AT_FDCWD, other, AT_FDCWD, path, 2) == 0, "renameat2");
}

static void with_unlinkat(const char *path, const char *other)
{
    must(unlinkat(AT_FDCWD, path, 0) == 0, "unlinkat");
    write_unseen(path);
}

static const struct op {
    const char *name;
    void (*run)(const char *path, const char *other);
} ops[] = {
    {"open", with_open},         {"rdwr", with_rdwr},         {"creat", with_creat},
    {"fopen", with_fopen},       {"freopen", with_freopen},   {"truncate", with_truncate},
    {"unlink", with_unlink},     {"remove", with_remove},     {"rename", with_rename},
    {"renameat", with_renameat}, {"exchange", with_exchange}, {"unlinkat", with_unlinkat},
};

int main(int argc, char **argv)
{
    if (argc < 3)
        errx(BAD_USAGE, "see the first lines of shim_work.c");
    const char *verb = argv[1];
    hot = argv[2];
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strcmp(verb, ops[i].name) == 0) {
            ops[i].run(argv[2], argv[3]);
            return 0;
        }
    if (strcmp(verb, "semantics") == 0)
        semantics();
    else
        errx(BAD_USAGE, "%s?", verb);
    return 0;
}
