/*
 * queuework: the apps of chaos runs on a queue, and who looks at what they left.
 *
 *     queuework upload PREFIX DIR QUEUE    writes files into DIR and publishes them to QUEUE with
 *                                          `efsctl publish`, for ever; first those that DIR has.
 *                                          SIGUSR1: the next efsctl is killed
 *     queuework one NAME DIR QUEUE         one file; under a lock, if it is run with one
 *     queuework recover DIR QUEUE          only what DIR has
 *     queuework process FILE               the command of `efsctl claim`
 *     queuework config DIR FILE            the command of `efsctl lock`: writes the lock's token
 *                                          into FILE by a publish under the lock
 *     queuework read DIR                   opens what is there, again and again
 *     queuework follow FILE                reads the token in FILE, again and again
 *
 * A file says its name, size and digest in its first line. The first letter of its name is its
 * kind:
 *
 *     q  plain         l  works for seconds          s  the same, and SIGTERM does not end it
 *     f  fails once    p  fails always               v  the first time it works for ever
 *
 * Signs of life (sign.h) go to the console of this kernel, which is a file outside: a write to it
 * has arrived when it returns, so that what was said before a step outlives the host.
 *
 *     W      file is whole, with its digest    P  it is published
 *     E B L  processing: enter, beat, done     F  failed on purpose
 *     X      file is not whole, and why        C  token is published    T  a token is seen
 */
#include "tests/cluster/sign.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    FILE_BYTES_MAX = 128 * 1024,
    NAME_BYTES = 256,
    PATH_BYTES = 512,
    LONG_MS = 5000,
    ENDLESS_MS = 3600 * 1000,
    SHORT_MS = 60,
    RETRY_MS = 300,
    READ_MS = 1000,
    FOLLOW_MS = 30,
    KILL_MS_MAX = 60,
    PUBLISH_EXISTS = 73,
};

static const char part[] = ".part";
static int console;

static void sign(char kind, const char *name, const char *token)
{
    sign_write(console, "queue: ", kind, name, token);
}

static void fail(const char *what)
{
    fprintf(stderr, "queuework: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- content ---- */

static uint64_t fnv1a(const void *data, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (const unsigned char *p = data; length > 0; p++, length--)
        hash = (hash ^ *p) * 0x100000001b3;
    return hash;
}

static const char *digest_text(uint64_t digest)
{
    static char text[32];
    snprintf(text, sizeof(text), "0.%" PRIu64, digest);
    return text;
}

/* In two halves, so that a publish that does not wait for the end shows. */
static int write_file(const char *path, const char *name, const char *body, size_t length)
{
    char head[NAME_BYTES + 64];
    int n = snprintf(head, sizeof(head), "%s %zu %" PRIx64 "\n", name, length, fnv1a(body, length));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
    if (fd < 0)
        return -errno;
    bool good = write(fd, head, (size_t)n) == n &&
                write(fd, body, length / 2) == (ssize_t)(length / 2) &&
                write(fd, body + length / 2, length - length / 2) == (ssize_t)(length - length / 2);
    int r = good ? 0 : -EIO;
    if (close(fd) < 0) /* NFS: now it is on the server */
        r = -errno;
    return r;
}

/* What is wrong with these bytes, or NULL. They end with a NUL. */
static const char *problem_in(const char *data, size_t have, const char *name, char *ret_name,
                              uint64_t *ret_digest)
{
    size_t name_length = strcspn(data, " \n");
    char *end = NULL;
    if (name_length >= NAME_BYTES || data[name_length] != ' ')
        return "no-head";
    if (name && (strncmp(data, name, name_length) != 0 || name[name_length]))
        return "other-name";
    size_t length = strtoull(data + name_length + 1, &end, 10);
    uint64_t digest = *end == ' ' ? strtoull(end + 1, &end, 16) : 0;
    if (*end != '\n')
        return "no-head";
    size_t found = have - (size_t)(end + 1 - data);
    if (found != length)
        return found < length ? "short" : "long";
    if (fnv1a(end + 1, length) != digest)
        return "digest";
    snprintf(ret_name, NAME_BYTES, "%.*s", (int)name_length, data);
    *ret_digest = digest;
    return NULL;
}

/* The same of a file, whose name is in it. Of one that went away meanwhile: "gone". name: NULL when
 * it may be any. */
static const char *problem_of(const char *path, const char *name, char *ret_name,
                              uint64_t *ret_digest)
{
    static char data[FILE_BYTES_MAX + NAME_BYTES + 64];
    size_t have = 0;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ESTALE ? "gone" : strerrorname_np(errno);
    while (have < sizeof(data) - 1 && (n = read(fd, data + have, sizeof(data) - 1 - have)) > 0)
        have += (size_t)n;
    int problem = n < 0 ? errno : 0;
    close(fd);
    if (problem)
        return problem == ESTALE ? "gone" : strerrorname_np(problem);
    data[have] = '\0';
    return problem_in(data, have, name, ret_name, ret_digest);
}

static volatile sig_atomic_t kill_next;

static void on_signal(int number)
{
    (void)number;
    kill_next = 1;
}

static int run(char *const argv[])
{
    pid_t pid;
    int status;
    if ((errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ)) != 0)
        fail(argv[0]);
    if (kill_next) {
        kill_next = 0;
        nap(boot_us() % KILL_MS_MAX);
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            fail("waitpid");
    return status;
}

/* ---- who uploads ---- */

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 || errno != ENOENT;
}

/* Until it is known to be published, or is no longer here. */
static void publish(const char *dir, const char *queue, const char *name)
{
    char efsctl[] = "efsctl", verb[] = "publish", mkdir[] = "--mkdir";
    char from[PATH_BYTES], to[PATH_BYTES];
    snprintf(from, sizeof(from), "%s/%s%s", dir, name, part);
    snprintf(to, sizeof(to), "%s/%s", queue, name);
    char *argv[] = {efsctl, verb, mkdir, from, to, NULL};
    for (int status; (status = run(argv)) != 0; nap(RETRY_MS)) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == PUBLISH_EXISTS)
            unlink(from); /* names are used once: it is ours */
        if (!is_there(from))
            return;
    }
    sign('P', name, "0.0");
}

/* What an app that ended left in its directory: whole files are published, others thrown away. */
static void recover(const char *dir, const char *queue)
{
    const struct dirent *entry;
    DIR *stream = opendir(dir);
    if (!stream)
        fail(dir);
    while ((entry = readdir(stream))) {
        char path[PATH_BYTES], name[NAME_BYTES] = "";
        uint64_t digest = 0;
        size_t length = strlen(entry->d_name);
        if (length < sizeof(part) || strcmp(entry->d_name + length - strlen(part), part) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        const char *problem = problem_of(path, NULL, name, &digest);
        if (problem && strcmp(problem, "gone") != 0) {
            unlink(path);
        } else if (!problem) {
            sign('W', name, digest_text(digest));
            publish(dir, queue, name);
        }
    }
    closedir(stream);
}

static char kind_of(uint64_t random)
{
    static const struct {
        unsigned out_of;
        char kind;
    } rare[] = {{300, 'p'}, {60, 's'}, {61, 'l'}, {30, 'f'}};
    for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
        if ((random >> (8 * i)) % rare[i].out_of == 0)
            return rare[i].kind;
    return 'q';
}

/* Writes a file of this name; not when the directory is not there yet. */
static bool make_one(uint64_t *random, const char *dir, const char *name)
{
    static char body[FILE_BYTES_MAX];
    char path[PATH_BYTES];
    size_t most = next_random(random) % 16 ? 8192 : sizeof(body);
    size_t length = next_random(random) % most;
    for (size_t i = 0; i + sizeof(uint64_t) <= length; i += sizeof(uint64_t)) {
        uint64_t word = next_random(random);
        memcpy(body + i, &word, sizeof(word));
    }
    snprintf(path, sizeof(path), "%s/%s%s", dir, name, part);
    if (write_file(path, name, body, length) < 0)
        return false;
    sign('W', name, digest_text(fnv1a(body, length)));
    return true;
}

static void upload(const char *prefix, const char *dir, const char *queue)
{
    uint64_t random = fnv1a(prefix, strlen(prefix)) | 1;
    signal(SIGUSR1, on_signal);
    recover(dir, queue);
    for (unsigned n = 0;; n++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof(name), "%c-%s-%u", kind_of(next_random(&random)), prefix, n);
        if (make_one(&random, dir, name))
            publish(dir, queue, name);
        else
            nap(RETRY_MS); /* a sidecar that is being started makes the directory */
    }
}

/* ---- who processes ---- */

static void work(const char *name, const char *attempts, int64_t ms)
{
    const int64_t until_us = boot_us() + ms * 1000;
    int64_t left_ms;
    while ((left_ms = (until_us - boot_us()) / 1000) > 0) {
        nap(left_ms < BEAT_MS ? left_ms : BEAT_MS);
        sign('B', name, attempts);
    }
}

static int64_t work_ms(const char *name, bool first)
{
    if (*name == 'v' && first)
        return ENDLESS_MS;
    return *name == 'l' || *name == 's' ? LONG_MS : (int64_t)(fnv1a(name, strlen(name)) % SHORT_MS);
}

static int process(const char *path)
{
    const char *name = getenv("EFS_CLAIM_NAME"), *counted = getenv("EFS_CLAIM_ATTEMPTS");
    char attempts[32], found[NAME_BYTES];
    uint64_t digest;
    if (!name || !counted) {
        fputs("queuework: no EFS_CLAIM_NAME, or no EFS_CLAIM_ATTEMPTS\n", stderr);
        return 64;
    }
    const bool first = strcmp(counted, "0") == 0;
    prctl(PR_SET_NAME, "queuework-run");
    if (*name == 's' || *name == 'v')
        signal(SIGTERM, SIG_IGN);
    snprintf(attempts, sizeof(attempts), "0.%s", counted);
    sign('E', name, attempts);
    const char *problem = problem_of(path, name, found, &digest);
    if (!problem) {
        work(name, attempts, work_ms(name, first));
        problem = problem_of(path, name, found, &digest); /* still ours, still the same */
    }
    if (problem) {
        sign('X', name, problem);
        return 1;
    }
    bool fails = *name == 'p' || (*name == 'f' && first);
    sign(fails ? 'F' : 'L', name, attempts);
    return fails;
}

/* ---- under a lock ---- */

static char *of_lock(const char *variable)
{
    char *value = getenv(variable);
    if (!value) {
        fprintf(stderr, "queuework: no %s\n", variable);
        exit(64);
    }
    return value;
}

static int publish_locked(char *from, char *to, bool replace)
{
    char efsctl[] = "efsctl", verb[] = "publish", o_lock[] = "--lock", o_token[] = "--token";
    char o_replace[] = "--replace", dashes[] = "--";
    char *argv[] = {efsctl,
                    verb,
                    o_lock,
                    of_lock("EFS_LOCK_NAME"),
                    o_token,
                    of_lock("EFS_LOCK_TOKEN"),
                    replace ? o_replace : dashes,
                    from,
                    to,
                    NULL};
    return run(argv);
}

static int one(const char *name, const char *dir, const char *queue)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    uint64_t random = fnv1a(dir, strlen(dir)) | 1;
    if (!make_one(&random, dir, name))
        fail(dir);
    if (!getenv("EFS_LOCK_NAME")) {
        publish(dir, queue, name);
        return 0;
    }
    snprintf(from, sizeof(from), "%s/%s%s", dir, name, part);
    snprintf(to, sizeof(to), "%s/%s", queue, name);
    if (publish_locked(from, to, false) != 0) {
        unlink(from);
        return 1;
    }
    sign('P', name, "0.0");
    return 0;
}

static int config(const char *dir, const char *target)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    const char *token = of_lock("EFS_LOCK_TOKEN");
    snprintf(from, sizeof(from), "%s/config-%s", dir, token);
    snprintf(to, sizeof(to), "%s", target);
    int r = write_file(from, token, token, strlen(token));
    if (r < 0) {
        errno = -r;
        fail(from);
    }
    if (publish_locked(from, to, true) != 0) {
        unlink(from);
        return 1;
    }
    sign('C', "config", token);
    return 0;
}

/* ---- who looks ---- */

static void read_all(const char *dir)
{
    for (;; nap(READ_MS)) {
        const struct dirent *entry;
        DIR *stream = opendir(dir);
        while (stream && (entry = readdir(stream))) {
            char path[PATH_BYTES], found[NAME_BYTES];
            uint64_t digest;
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
            const char *problem = problem_of(path, entry->d_name, found, &digest);
            if (problem && strcmp(problem, "gone") != 0)
                sign('X', entry->d_name, problem);
        }
        if (stream)
            closedir(stream);
    }
}

static void follow(const char *path)
{
    char last[NAME_BYTES] = "", name[NAME_BYTES] = "";
    for (;; nap(FOLLOW_MS)) {
        uint64_t digest;
        const char *problem = problem_of(path, NULL, name, &digest);
        if (problem && strcmp(problem, "gone") != 0)
            sign('X', "config", problem);
        if (problem || strcmp(name, last) == 0)
            continue;
        sign('T', "config", name);
        snprintf(last, sizeof(last), "%s", name);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    console = open("/dev/console", O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (console < 0)
        fail("/dev/console");
    if (strcmp(what, "upload") == 0 && argc == 5)
        upload(argv[2], argv[3], argv[4]);
    else if (strcmp(what, "one") == 0 && argc == 5)
        return one(argv[2], argv[3], argv[4]);
    else if (strcmp(what, "recover") == 0 && argc == 4)
        recover(argv[2], argv[3]);
    else if (strcmp(what, "process") == 0 && argc == 3)
        return process(argv[2]);
    else if (strcmp(what, "config") == 0 && argc == 4)
        return config(argv[2], argv[3]);
    else if (strcmp(what, "read") == 0 && argc == 3)
        read_all(argv[2]);
    else if (strcmp(what, "follow") == 0 && argc == 3)
        follow(argv[2]);
    else {
        fputs("usage: queuework upload PREFIX DIR QUEUE | one NAME DIR QUEUE | recover DIR QUEUE | "
              "process FILE | config "
              "DIR FILE | read DIR | follow FILE\n",
              stderr);
        return 64;
    }
    return 0;
}
