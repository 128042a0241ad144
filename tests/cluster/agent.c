/*
 * agent: pid 1 of a machine of the test cluster.
 *
 * It mounts what a machine needs, then runs the commands that the harness sends over the serial
 *line and streams their output and exit status back. The line does not depend on the network under
 *test, and a command costs one posix_spawn. harness/channel.py is the other end; both run on one
 *machine, so numbers travel in its own byte order. The kernel hands its unknown parameters to pid 1
 *as environment: TOP is the working copy, PATH is for the commands.
 *
 *	harness to agent			agent to harness
 *	RUN   argv, each ended by a NUL		STARTED pid, or -errno
 *	KILL  signal, pid (negative: group)	OUT, ERR bytes
 *	CLEAN					EXIT wait status
 *						CLEANED number of processes that would not die
 *						READY once, when it serves
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { RUN = 1, KILL, CLEAN, STARTED = 16, OUT, ERR, EXIT, CLEANED, READY };

enum { PAYLOAD_MAX = 64 * 1024, ARGS_MAX = 256, JOBS_MAX = 256, CLEAN_LIMIT_MS = 5000 };

struct head {
    uint32_t type, id, length;
};

struct job {
    uint32_t id;
    pid_t pid; /* 0 when it has been reaped */
    int fd[2]; /* its stdout and stderr, -1 when closed */
};

static struct job jobs[JOBS_MAX];
static size_t njobs;
static int line;

static void die(const char *what)
{
    fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
    exit(1); /* pid 1: the kernel panics, the harness sees the line close */
}

static void write_all(const void *data, size_t length)
{
    const char *p = data;

    while (length > 0) {
        ssize_t n = write(line, p, length);

        if (n < 0 && errno != EINTR)
            die("serial line");
        if (n > 0) {
            p += n;
            length -= (size_t)n;
        }
    }
}

static void send_frame(uint32_t type, uint32_t id, const void *data, size_t length)
{
    struct head head = {type, id, (uint32_t)length};

    write_all(&head, sizeof(head));
    write_all(data, length);
}

static void send_number(uint32_t type, uint32_t id, int32_t number)
{
    send_frame(type, id, &number, sizeof(number));
}

static void read_all(void *data, size_t length)
{
    char *p = data;

    while (length > 0) {
        ssize_t n = read(line, p, length);

        if (n == 0 || (n < 0 && errno != EINTR))
            die("serial line");
        if (n > 0) {
            p += n;
            length -= (size_t)n;
        }
    }
}

/* What every machine has for itself; the rest of its tree is the real one, read-only. */
static const char *const scratch[] = {"/run", "/tmp", "/mnt", "/var/tmp", "/dev/shm"};

static void make_parents(const char *path)
{
    char part[PATH_MAX];

    for (const char *p = path + 1; (p = strchr(p, '/')); p++) {
        snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
        mkdir(part, 0755);
    }
    mkdir(path, 0755);
}

/* A working copy below /tmp would be hidden by the machine's own /tmp, so TOP is always brought
 * back. */
static void mount_scratch(void)
{
    const char *top = getenv("TOP");

    for (size_t i = 0; i < sizeof(scratch) / sizeof(scratch[0]); i++)
        if (mount("tmpfs", scratch[i], "tmpfs", MS_NOSUID, "mode=1777") < 0)
            die(scratch[i]);
    if (chmod("/run", 0755) < 0 || chmod("/mnt", 0755) < 0)
        die("chmod");
    if (!top)
        return;
    make_parents(top);
    if (mount("none", top, "hostfs", MS_RDONLY, top) < 0)
        die(top);
}

static void mount_system(void)
{
    if (mount("proc", "/proc", "proc", 0, NULL) < 0 || mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
        die("mount");
    if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) < 0 && errno != EBUSY)
        die("/dev");
    if ((mkdir("/dev/shm", 0755) < 0 || mkdir("/dev/pts", 0755) < 0) && errno != EEXIST)
        die("/dev");
    if (mount("devpts", "/dev/pts", "devpts", 0, NULL) < 0)
        die("/dev/pts");
    mount_scratch();
}

static void open_line(void)
{
    struct termios raw;

    line = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (line < 0 || tcgetattr(line, &raw) < 0)
        die("/dev/ttyS0");
    cfmakeraw(&raw);
    if (tcsetattr(line, TCSANOW, &raw) < 0)
        die("/dev/ttyS0");
}

static void job_drain(struct job *job, int which)
{
    char data[16 * 1024];
    ssize_t n;

    while (job->fd[which] >= 0) {
        n = read(job->fd[which], data, sizeof(data));
        if (n > 0) {
            send_frame(which ? ERR : OUT, job->id, data, (size_t)n);
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        close(job->fd[which]);
        job->fd[which] = -1;
    }
}

static void forget_finished_jobs(void)
{
    size_t kept = 0;

    for (size_t i = 0; i < njobs; i++)
        if (jobs[i].pid != 0 || jobs[i].fd[0] >= 0 || jobs[i].fd[1] >= 0)
            jobs[kept++] = jobs[i];
    njobs = kept;
}

/* Also adopts and forgets the orphans of the whole machine. Returns what is left: 0 children or -1
 * none. */
static pid_t reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < njobs; i++) {
            if (jobs[i].pid != pid)
                continue;
            job_drain(&jobs[i], 0);
            job_drain(&jobs[i], 1);
            send_number(EXIT, jobs[i].id, status);
            jobs[i].pid = 0;
        }
    }
    forget_finished_jobs();
    return pid;
}

static int spawn(struct job *job, char **argv)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int out[2], err[2], rc;

    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
        die("pipe");
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    rc = posix_spawnp(&job->pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(out[1]);
    close(err[1]);
    if (rc != 0) {
        close(out[0]);
        close(err[0]);
        return -rc;
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    job->fd[0] = out[0];
    job->fd[1] = err[0];
    return job->pid;
}

static void run(uint32_t id, char *data, size_t length)
{
    char *argv[ARGS_MAX];
    size_t argc = 0;
    int rc = -E2BIG;

    for (char *p = data; p < data + length && argc < ARGS_MAX - 1; p += strlen(p) + 1)
        argv[argc++] = p;
    argv[argc] = NULL;
    if (njobs < JOBS_MAX && argc > 0 && data[length - 1] == '\0') {
        jobs[njobs].id = id;
        rc = spawn(&jobs[njobs], argv);
        njobs += rc > 0;
    }
    send_number(STARTED, id, rc);
}

/* Newest mounts go first, so that nothing is left beneath one that went. */
static void unmount_all(void)
{
    char *points[512];
    size_t n = 0;
    struct mntent *entry;
    FILE *table = setmntent("/proc/self/mounts", "re");

    while (table && n < 512 && (entry = getmntent(table)))
        if (strncmp(entry->mnt_type, "nfs", 3) == 0 || strcmp(entry->mnt_type, "tmpfs") == 0 ||
            (strcmp(entry->mnt_type, "hostfs") == 0 && strcmp(entry->mnt_dir, "/") != 0))
            points[n++] = strdup(entry->mnt_dir);
    if (table)
        endmntent(table);
    while (n-- > 0) {
        umount2(points[n], MNT_DETACH);
        free(points[n]);
    }
}

/* Back to the state after boot: no process, no mount, empty scratch folders. */
static void clean(uint32_t id)
{
    const struct timespec pause = {0, 10 * 1000000L};
    int32_t left = 0;

    for (int waited_ms = 0; waited_ms < CLEAN_LIMIT_MS; waited_ms += 10) {
        kill(-1, SIGKILL);
        if (waited_ms == 0)
            unmount_all();
        if (reap() < 0)
            break;
        nanosleep(&pause, NULL);
    }
    for (size_t i = 0; i < njobs; i++)
        left += jobs[i].pid != 0;
    mount_scratch();
    send_number(CLEANED, id, left);
}

static void serve(void)
{
    static char data[PAYLOAD_MAX + 1];
    struct head head;
    int32_t number[2];

    read_all(&head, sizeof(head));
    if (head.length > PAYLOAD_MAX) {
        errno = EPROTO;
        die("serial line");
    }
    read_all(data, head.length);
    if (head.type == RUN) {
        run(head.id, data, head.length);
    } else if (head.type == KILL && head.length == sizeof(number)) {
        memcpy(number, data, sizeof(number));
        kill(number[1], number[0]);
    } else if (head.type == CLEAN) {
        clean(head.id);
    }
}

int main(void)
{
    struct pollfd fds[2 + 2 * JOBS_MAX];
    struct signalfd_siginfo info;
    sigset_t child;
    int children;

    mount_system();
    open_line();
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (children < 0)
        die("signalfd");
    send_frame(READY, 0, NULL, 0);

    for (;;) {
        nfds_t n = 2;

        fds[0] = (struct pollfd){.fd = line, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = children, .events = POLLIN};
        for (size_t i = 0; i < njobs; i++)
            for (int which = 0; which < 2; which++)
                fds[n++] = (struct pollfd){.fd = jobs[i].fd[which], .events = POLLIN};
        if (poll(fds, n, -1) < 0 && errno != EINTR)
            die("poll");
        for (nfds_t i = 2; i < n; i++)
            if (fds[i].revents)
                job_drain(&jobs[(i - 2) / 2], (int)((i - 2) % 2));
        forget_finished_jobs();
        if (fds[1].revents) {
            while (read(children, &info, sizeof(info)) > 0)
                ;
            reap();
        }
        if (fds[0].revents)
            serve();
    }
}
