/*
 * storm: random work on a tree, for the chaos scenarios (python takes 80 ms to start in a machine).
 *
 *     storm run ROOT SEED COUNT NAME RATE    COUNT operations that succeed, at most RATE a second
 *                                            (0: as fast as they go)
 *     storm list ROOT                        what is there: "TYPE LINKS SIZE MTIME PATH" a line
 *     storm clock                            "TICKS NANOSECONDS"
 *
 * Several storms with different NAMEs work on the same few paths, so that they race: what fails
 * because another was faster does not count. The first letter of a name says what it is, and every
 * rename keeps it ("O TICKS OPERATION PATH [TO]" is printed behind each operation):
 *
 *     d directory   f file   h file that may have other names   s symbolic link
 *     m marker, made once under a new name in marks/: "M TICKS PATH DONE" is printed behind
 *                 it, with the operations so far
 *
 * so that a checker may ask of `f` that the last attributes told are the right ones, which nobody
 * can promise for files with several names. Ticks are the processor's time stamp counter: the one
 * clock that all machines of a cluster share.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum {
    DEPTH_MAX = 3,
    DIRS = 5,
    FILES = 8,
    PATH_BYTES = 128,
    MARKS_KEPT = 16,
    MARK_EVERY = 20,
    ATTEMPTS_PER_OPERATION = 50,
    TREE_DEPTH_MAX = 32,
};

static uint64_t random_state;
static volatile sig_atomic_t stopped;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % n;
}

/* ---- paths ---- */

/* A directory, "" or ending in a slash. */
static void pick_dir(char *path, unsigned depth)
{
    char *p = path;
    *p = '\0';
    for (unsigned i = 0; i < depth; i++)
        p += sprintf(p, "d%u/", random_below(DIRS));
}

static char *pick(char *path, char letter)
{
    pick_dir(path, random_below(DEPTH_MAX + 1));
    sprintf(path + strlen(path), "%c%u", letter, random_below(FILES));
    return path;
}

static char pick_file_letter(void)
{
    return random_below(4) == 0 ? 'h' : 'f';
}

static void trim_slash(char *path)
{
    size_t n = strlen(path);
    if (n > 0 && path[n - 1] == '/')
        path[n - 1] = '\0';
}

/* ---- operations: 0 or -1 with errno; said is what it was ---- */

static char said[3 * PATH_BYTES];

static void say(const char *operation, const char *path, const char *to)
{
    snprintf(said, sizeof(said), "%s %s%s%s", operation, path, to ? " " : "", to ? to : "");
}

static int write_some(const char *path, int flags, off_t at)
{
    say(flags & O_EXCL     ? "create"
        : flags & O_TRUNC  ? "rewrite"
        : flags & O_APPEND ? "append"
                           : "write",
        path, NULL);
    char data[200];
    size_t n = 1 + random_below(sizeof(data));
    memset(data, 'a' + (char)random_below(26), n);
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0664);
    if (fd < 0)
        return -1;
    ssize_t done = at >= 0 ? pwrite(fd, data, n, at) : write(fd, data, n);
    int r = done == (ssize_t)n ? 0 : -1, error = errno;
    if (close(fd) < 0)
        return -1;
    errno = error;
    return r;
}

static int op_create(void)
{
    char path[PATH_BYTES];
    return write_some(pick(path, pick_file_letter()), O_CREAT | O_EXCL, -1);
}

static int op_write(void)
{
    char path[PATH_BYTES];
    return write_some(pick(path, pick_file_letter()), 0, random_below(400));
}

static int op_rewrite(void)
{
    char path[PATH_BYTES];
    return write_some(pick(path, pick_file_letter()), O_CREAT | O_TRUNC, -1);
}

static int op_append(void)
{
    char path[PATH_BYTES];
    return write_some(pick(path, pick_file_letter()), O_APPEND, -1);
}

static int op_truncate(void)
{
    char path[PATH_BYTES];
    say("truncate", pick(path, pick_file_letter()), NULL);
    return truncate(path, random_below(300));
}

static int op_chmod(void)
{
    char path[PATH_BYTES];
    say("chmod", pick(path, pick_file_letter()), NULL);
    return chmod(path, 0600 + random_below(0100));
}

/* Within a directory, across directories, over what is there. */
static int op_rename(void)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    char letter = random_below(5) == 0 ? 's' : pick_file_letter();
    pick(from, letter);
    if (random_below(2)) {
        pick(to, letter);
    } else {
        snprintf(to, sizeof(to), "%s", from);
        to[strlen(to) - 1] = (char)('0' + random_below(FILES));
    }
    say("rename", from, to);
    return rename(from, to);
}

/* As editors and deployments write a file: under another name, then over it. */
static int op_replace(void)
{
    char path[PATH_BYTES], temporary[PATH_BYTES + 16];
    char letter = pick_file_letter();
    pick(path, letter);
    snprintf(temporary, sizeof(temporary), "%s", path);
    sprintf(strrchr(temporary, letter), "%ct%u", letter, random_below(1000));
    if (write_some(temporary, O_CREAT | O_EXCL, -1) < 0)
        return -1;
    say("replace", temporary, path);
    return rename(temporary, path);
}

static int op_rename_dir(void)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    pick_dir(from, 1 + random_below(DEPTH_MAX));
    pick_dir(to, 1 + random_below(DEPTH_MAX));
    trim_slash(from);
    trim_slash(to);
    say("rename", from, to);
    return rename(from, to);
}

static int op_mkdir_p(void)
{
    char path[PATH_BYTES];
    int r = -1;
    pick_dir(path, 1 + random_below(DEPTH_MAX));
    say("mkdir-p", path, NULL);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0775) == 0)
            r = 0;
        *slash = '/';
    }
    return r;
}

static int op_rmdir(void)
{
    char path[PATH_BYTES];
    pick_dir(path, 1 + random_below(DEPTH_MAX));
    say("rmdir", path, NULL);
    return rmdir(path);
}

static int remove_tree(int at, const char *name, unsigned depth)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    if (!dir)
        return -1;
    while (depth < TREE_DEPTH_MAX && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        if (entry->d_type == DT_DIR)
            remove_tree(dirfd(dir), entry->d_name, depth + 1);
        else
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    return unlinkat(at, name, AT_REMOVEDIR);
}

static int op_rm_rf(void)
{
    char path[PATH_BYTES];
    pick_dir(path, 2 + random_below(DEPTH_MAX - 1));
    say("rm-rf", path, NULL);
    return remove_tree(AT_FDCWD, path, 0);
}

static int op_unlink(void)
{
    char path[PATH_BYTES];
    say("unlink", pick(path, random_below(5) == 0 ? 's' : pick_file_letter()), NULL);
    return unlink(path);
}

static int op_link(void)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    say("link", pick(from, 'h'), pick(to, 'h'));
    return link(from, to);
}

static int op_symlink(void)
{
    char path[PATH_BYTES];
    say("symlink", pick(path, 's'), NULL);
    return symlink("nowhere", path);
}

static const struct {
    unsigned weight;
    int (*run)(void);
} operations[] = {
    {20, op_create}, {12, op_write},  {8, op_rewrite}, {8, op_append},     {4, op_truncate},
    {4, op_chmod},   {10, op_rename}, {6, op_replace}, {3, op_rename_dir}, {8, op_mkdir_p},
    {3, op_rmdir},   {1, op_rm_rf},   {10, op_unlink}, {4, op_link},       {3, op_symlink},
};
enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

static int do_one(void)
{
    unsigned sum = 0;
    for (size_t i = 0; i < OPERATIONS; i++)
        sum += operations[i].weight;
    unsigned at = random_below(sum);
    size_t which = 0;
    while (at >= operations[which].weight)
        at -= operations[which++].weight;
    return operations[which].run();
}

/* What a race with another storm may give; anything else is worth stopping for. */
static bool is_lost_race(int error)
{
    switch (error) {
    case ENOENT:
    case EEXIST:
    case ENOTEMPTY:
    case ENOTDIR:
    case EISDIR:
    case EINVAL: /* a directory into itself */
    case ESTALE:
    case ELOOP:
    case EBUSY:
    case EIO: /* a call that the server's restart or a cut link spoiled */
        return true;
    default:
        return false;
    }
}

/* ---- commands ---- */

static void mark(const char *name, unsigned long done)
{
    unsigned number = (unsigned)(done / MARK_EVERY);
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "marks/m%s-%u", name, number);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0664);
    uint64_t now = __rdtsc();
    if (fd < 0)
        return; /* after a restart of the storm it is there already */
    close(fd);
    printf("M %" PRIu64 " %s %lu\n", now, path, done);
    if (number >= MARKS_KEPT) {
        snprintf(path, sizeof(path), "marks/m%s-%u", name, number - MARKS_KEPT);
        unlink(path);
    }
}

static void on_signal(int number)
{
    stopped = number;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int run(const char *root, uint64_t seed, unsigned long count, const char *name,
               unsigned rate)
{
    unsigned long done = 0, failed = 0;
    random_state = seed * 0x9e3779b97f4a7c15 + 1;
    for (int i = 0; i < 8; i++)
        random_below(1);
    if (chdir(root) < 0 || (mkdir("marks", 0775) < 0 && errno != EEXIST)) {
        perror(root);
        return 1;
    }
    int64_t start_us = now_us();
    while (done < count && !stopped && failed < ATTEMPTS_PER_OPERATION * (count + 100)) {
        if (do_one() < 0) {
            failed++;
            if (!is_lost_race(errno)) {
                perror("storm");
                return 1;
            }
            continue;
        }
        printf("O %" PRIu64 " %s\n", (uint64_t)__rdtsc(), said);
        if (done++ % MARK_EVERY == 0)
            mark(name, done);
        int64_t ahead_us = rate ? start_us + (int64_t)(done * 1000000 / rate) - now_us() : 0;
        if (ahead_us > 0)
            usleep((useconds_t)ahead_us);
    }
    printf("done %lu failed %lu\n", done, failed);
    return done == count || stopped ? 0 : 1;
}

static void print_entry(const char *path, const struct stat *st)
{
    char date[32], type = S_ISDIR(st->st_mode) ? 'd' : S_ISLNK(st->st_mode) ? 'l' : 'f';
    struct tm tm;
    gmtime_r(&st->st_mtim.tv_sec, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    printf("%c %lu %lld %s.%09ldZ %s\n", type, (unsigned long)st->st_nlink, (long long)st->st_size,
           date, st->st_mtim.tv_nsec, path);
}

static int list(int at, const char *name, const char *prefix, unsigned depth)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    if (!dir)
        return -1;
    while (depth < TREE_DEPTH_MAX && (entry = readdir(dir))) {
        char path[PATH_MAX];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        snprintf(path, sizeof(path), "%s%s", prefix, entry->d_name);
        print_entry(path, &st);
        snprintf(path, sizeof(path), "%s%s/", prefix, entry->d_name);
        if (S_ISDIR(st.st_mode))
            list(fd, entry->d_name, path, depth + 1);
    }
    closedir(dir);
    return 0;
}

static int print_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%" PRIu64 " %lld\n", (uint64_t)__rdtsc(),
           (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, on_signal);
    umask(002);
    if (argc == 7 && strcmp(argv[1], "run") == 0)
        return run(argv[2], strtoull(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), argv[5],
                   (unsigned)strtoul(argv[6], NULL, 10));
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    if (argc == 3 && strcmp(argv[1], "list") == 0)
        return list(AT_FDCWD, argv[2], "", 0) < 0;
    if (argc == 2 && strcmp(argv[1], "clock") == 0)
        return print_clock();
    fputs("usage: storm run ROOT SEED COUNT NAME RATE | storm list ROOT | storm clock\n", stderr);
    return 64;
}
