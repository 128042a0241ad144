#include "init/content.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/fs.h"

/* ---- expectations ---- */

/* Read through the mount and nothing else: a link out of it would prove another file system. */
static int read_marker(int dir, const struct expectation *item, struct content_result *result)
{
    char text[CONTENT_MARKER_MAX_BYTES + 1];
    struct stat attributes;
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(dir, item->relative, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd);
    if (r < 0)
        return r;
    if (fstat(fd, &attributes) < 0)
        return -errno;
    if (!item->content)
        return 0;
    ssize_t n = pread(fd, text, sizeof(text), 0);
    if (n < 0)
        return -errno;
    if (n > 0 && text[n - 1] == '\n')
        n--;
    result->differs =
        (size_t)n != strlen(item->content) || memcmp(text, item->content, (size_t)n) != 0;
    return 0;
}

static int look_at_path(int dir, const struct expectation *item, struct content_result *result)
{
    struct statx attributes;
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(dir, item->relative, O_PATH, 0, &fd);
    if (r < 0)
        return r;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &attributes) < 0)
        return -errno;
    result->uid = attributes.stx_uid;
    result->gid = attributes.stx_gid;
    result->mode = attributes.stx_mode & 07777;
    result->differs =
        (item->owner.set && (result->uid != item->owner.uid || result->gid != item->owner.gid)) ||
        (item->mode_set && result->mode != item->mode);
    return 0;
}

static int make_directory(int dir, const struct expectation *item, struct content_result *result)
{
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(dir, item->relative, O_PATH | O_DIRECTORY, 0, &fd);
    if (r != -ENOENT)
        return r;
    r = fs_mkdir_beneath(dir, item->relative, item->mode, &fd);
    result->made = r == 0;
    return r;
}

bool content_look_at(int dir, enum expect_kind kind, const struct content_wish *wish,
                     struct content_log *log)
{
    static int (*const look[])(int dir, const struct expectation *item,
                               struct content_result *result) = {
        [EXPECT_MARKER] = read_marker,
        [EXPECT_CREATE] = make_directory,
        [EXPECT_REQUIRE] = look_at_path,
    };
    bool met = true;
    for (size_t i = 0; wish->expect && i < wish->expect->n; i++) {
        const struct expectation *item = &wish->expect->items[i];
        struct content_result *result = &log->results[i];
        if (item->kind != kind || item->mount != wish->mount)
            continue;
        result->error = -look[kind](dir, item, result);
        result->done = true;
        met = met && result->error == 0 && !result->differs;
    }
    return met;
}

/* ---- databases ---- */

enum {
    ENTRIES_MAX = 4096, /* looked at in all: a directory of millions must not cost the start */
    DIRECTORIES_MAX = 4,
    HEADERS_MAX = 4,
    HEADER_BYTES = 20,
};

struct search {
    struct content_log *log;
    int entries, directories, headers; /* looked at */
};

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

static void note_database(struct search *s, enum database_kind kind, const char *prefix,
                          const char *name)
{
    struct content_log *log = s->log;
    char path[sizeof(log->databases[0].path)];
    snprintf(path, sizeof(path), "%.255s%.255s", prefix, name);
    for (int i = 0; i < log->n_databases && i < CONTENT_DATABASES_MAX; i++)
        if (strcmp(log->databases[i].path, path) == 0)
            return;
    if (log->n_databases < CONTENT_DATABASES_MAX) {
        struct content_database *database = &log->databases[log->n_databases];
        database->kind = kind;
        memcpy(database->path, path, sizeof(path));
    }
    log->n_databases++;
}

/* Bytes 18 and 19 of an SQLite file are its write and read version: 2 is WAL. */
static bool has_wal_header(struct search *s, int dir, const char *name)
{
    static const char magic[16] = "SQLite format 3";
    char header[HEADER_BYTES];
    struct stat attributes;
    if (s->headers++ >= HEADERS_MAX)
        return false;
    _cleanup_close_ int fd =
        openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && fstat(fd, &attributes) == 0 && S_ISREG(attributes.st_mode) &&
           pread(fd, header, sizeof(header), 0) == sizeof(header) &&
           memcmp(header, magic, sizeof(magic)) == 0 && (header[18] == 2 || header[19] == 2);
}

/* "app.db" of "app.db-wal" and "app.db-shm"; false when it is neither. */
static bool sqlite_of_companion(const char *name, char *base, size_t size)
{
    if (!ends_with(name, "-wal") && !ends_with(name, "-shm"))
        return false;
    snprintf(base, size, "%.*s", (int)(strlen(name) - strlen("-wal")), name);
    return true;
}

static void look_at_name(struct search *s, int dir, const char *prefix, const char *name)
{
    static const char *const endings[] = {".db", ".sqlite", ".sqlite3", ".db3"};
    char base[NAME_MAX + 1];

    if (strcmp(name, "lock.mdb") == 0) {
        note_database(s, DATABASE_LMDB, prefix, name);
        return;
    }
    if (sqlite_of_companion(name, base, sizeof(base))) {
        if (has_wal_header(s, dir, base))
            note_database(s, DATABASE_SQLITE_WAL, prefix, base);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (ends_with(name, endings[i]) && has_wal_header(s, dir, name))
            note_database(s, DATABASE_SQLITE_WAL, prefix, name);
}

/* Names of the directory itself, and of its first few sub-directories. */
static void search_directory(struct search *s, int at, const char *name, const char *prefix)
{
    const struct dirent *entry;
    char inner[NAME_MAX + 2];
    _cleanup_close_ int fd =
        openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    _cleanup_closedir_ DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list)
        return;
    (void)take_fd(&fd);
    while (s->entries++ < ENTRIES_MAX && (entry = readdir(list)) != NULL) {
        if (entry->d_type != DT_DIR) {
            look_at_name(s, dirfd(list), prefix, entry->d_name);
        } else if (!*prefix && entry->d_name[0] != '.' && s->directories++ < DIRECTORIES_MAX) {
            snprintf(inner, sizeof(inner), "%s/", entry->d_name);
            search_directory(s, dirfd(list), entry->d_name, inner);
        }
    }
}

void content_find_databases(int dir, struct content_log *log)
{
    struct search search = {.log = log};
    search_directory(&search, dir, ".", "");
}
