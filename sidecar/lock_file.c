#include "sidecar/lock_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/ofd.h"
#include "lib/share/layout.h"
#include "lib/share/lock_name.h"
#include "lib/test_hook.h"

enum { PAGE_BYTES = 4096 };

/* The directory of the file, made when it is missing. */
static int open_directory(const struct place *place, int state_fd, const char *path, int *ret_fd,
                          struct error *err)
{
    char directory[LOCK_PATH_SIZE];
    snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path), path);
    if (fs_open_beneath(state_fd, directory, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, ret_fd) == 0)
        return 0;
    _cleanup_close_ int locks_fd = -1;
    int r = place_make_dir(place, state_fd, LAYOUT_LOCKS, LAYOUT_DIR_MODE, &locks_fd, err);
    if (r < 0)
        return r;
    return place_make_dir(place, locks_fd, strrchr(directory, '/') + 1, LAYOUT_DIR_MODE, ret_fd,
                          err);
}

int lock_file_open(const struct place *place, const char *name, bool on_nfs, int *ret_fd,
                   struct error *err)
{
    _cleanup_close_ int state_fd = -1, directory_fd = -1, fd = -1;
    char path[LOCK_PATH_SIZE];
    struct stat now;
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | (on_nfs ? O_DIRECT | O_DSYNC : O_DSYNC);
    lock_name_path(name, path);
    int r = place_open_state(place, &state_fd, err);
    if (r == 0)
        r = open_directory(place, state_fd, path, &directory_fd, err);
    if (r < 0)
        return r;
    r = fs_open_beneath(directory_fd, strrchr(path, '/') + 1, flags, LAYOUT_FILE_MODE, &fd);
    if (r == 0 && (fstat(fd, &now) < 0 || !S_ISREG(now.st_mode)))
        r = -EINVAL;
    if (r == 0 && now.st_size == 0) /* else whoever made it did that */
        r = layout_share(fd, LAYOUT_FILE_MODE, place->settings->state_gid);
    if (r < 0)
        return error_set_errno(err, -r, "the file %s of lock \"%s\" cannot be opened", path, name);
    *ret_fd = take_fd(&fd);
    return 0;
}

int lock_file_take(int fd)
{
    return ofd_lock(fd, F_WRLCK, 0, 0);
}

int lock_file_exists(int fd)
{
    struct statx now;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_NLINK, &now) < 0)
        return -errno;
    return now.stx_nlink > 0 ? 0 : -ENOENT;
}

int lock_file_drop(int fd)
{
    return ofd_unlock(fd, 0, 0);
}

int lock_file_read(int fd, struct lock_record *ret_record)
{
    alignas(PAGE_BYTES) uint8_t bytes[PAGE_BYTES];
    size_t length = 0;
    while (length < LOCK_FILE_BYTES) {
        ssize_t n = pread(fd, bytes + length, LOCK_FILE_BYTES - length, (off_t)length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        length += (size_t)n;
    }
    return lock_record_pick(bytes, length, ret_record);
}

int lock_file_write(int fd, struct lock_record *record)
{
    alignas(PAGE_BYTES) uint8_t bytes[LOCK_RECORD_BYTES];
    struct lock_record next = *record;
    next.serial++;
    int r = lock_record_encode(&next, bytes);
    if (r < 0)
        return r;
    ssize_t n;
    do {
        n = pwrite(fd, bytes, sizeof(bytes), lock_record_offset(&next));
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(bytes))
        return n < 0 ? -errno : -EIO;
    *record = next;
    return 0;
}

/* "GENERATION.N-..." of an earlier token, or what is no token at all. */
static bool is_stale(const char *name, const struct lock_token *token)
{
    char text[LOCK_TOKEN_TEXT];
    struct lock_token staged;
    size_t length = strcspn(name, "-");
    if (length >= sizeof(text))
        return true;
    memcpy(text, name, length);
    text[length] = '\0';
    return lock_token_parse(text, &staged) < 0 || lock_token_compare(&staged, token) < 0;
}

static int unlink_stale(int stage_fd, const struct lock_token *token)
{
    int r = 0, fd = openat(stage_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream)
        return -errno;
    for (struct dirent *entry; errno = 0, (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !is_stale(name, token))
            continue;
        if (strncmp(name, ".nfs", 4) == 0) /* removed, but open: no rename knows that name */
            continue;
        if (unlinkat(stage_fd, name, 0) < 0 && errno != ENOENT)
            r = -errno;
    }
    return errno ? -errno : r;
}

/* What this client remembers of a directory is what the server says now. */
static int sync_dir(int fd, const char *path)
{
    struct statx now;
    int flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC;
    return statx(fd, path, flags, STATX_MTIME, &now) < 0 ? -errno : 0;
}

int lock_file_clean_stage(const struct place *place, const char *name,
                          const struct lock_token *token, struct error *err)
{
    _cleanup_close_ int root_fd = -1, stage_fd = -1;
    char file[LOCK_FILE_SIZE], path[LOCK_PATH_SIZE];
    if (test_hook_omits("stage_cleanup"))
        return 0;
    int r = place_open_root(place, &root_fd, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), LAYOUT_STAGE "/%s", lock_name_file(name, file));
    r = fs_open_beneath(root_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &stage_fd);
    if (r == -ENOENT) { /* perhaps only as this client remembers it */
        r = sync_dir(root_fd, "");
        if (r == 0)
            r = sync_dir(root_fd, LAYOUT_STAGE);
        if (r == 0)
            r = fs_open_beneath(root_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &stage_fd);
        if (r == -ENOENT)
            return 0;
    }
    if (r == 0)
        r = sync_dir(stage_fd, "");
    if (r == 0)
        r = unlink_stale(stage_fd, token);
    if (r < 0)
        return error_set_errno(err, -r, "what is staged under lock \"%s\" in %s cannot be removed",
                               name, path);
    return 0;
}
