#include "lib/share/version.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/ofd.h"
#include "lib/share/layout.h"

#define LOCK_NAME LAYOUT_VERSION ".lock"
#define NEW_NAME  LAYOUT_VERSION ".new"

enum { FILE_BYTES_MAX = 4096, RETRY_FIRST_MS = 100, RETRY_SPREAD_MS = 150, LOCK_WAIT_MS = 10000 };

static int parse(const json_t *object, struct version *ret_version, struct error *err)
{
    int64_t format, generation, inode;
    const char *file_system = "";
    int r = json_get_i64(object, "format", 1, INT32_MAX, &format, err);
    if (r == 0)
        r = json_get_i64(object, "generation", 1, INT64_MAX, &generation, err);
    if (r == 0)
        r = json_get_string(object, "file_system", VERSION_FILE_SYSTEM_MAX, &file_system, err);
    if (r == 0)
        r = json_get_i64(object, "root_inode", INT64_MIN, INT64_MAX, &inode, err);
    if (r < 0)
        return r;
    *ret_version = (struct version){
        .format = (uint32_t)format,
        .generation = generation,
        .root = {.inode = (uint64_t)inode},
    };
    snprintf(ret_version->root.file_system, sizeof(ret_version->root.file_system), "%s",
             file_system);
    return 0;
}

int version_read(int state_fd, struct version *ret_version, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *object = NULL;
    size_t length;
    int r = fs_read_file(state_fd, LAYOUT_VERSION, FILE_BYTES_MAX, &text, &length);
    if (r < 0 && r != -EFBIG)
        return error_set_errno(err, -r, "cannot read %s in the state directory", LAYOUT_VERSION);
    if (r < 0)
        return error_set(err, EBADMSG, "%s in the state directory is larger than it can be",
                         LAYOUT_VERSION);
    r = json_parse(text, length, &object, err);
    if (r == 0)
        r = parse(object, ret_version, err);
    if (r == 0 || r == -ENOMEM)
        return r;
    error_prefix(err,
                 "%s in the state directory is damaged (`efsctl state reset` starts a new one)",
                 LAYOUT_VERSION);
    if (err)
        err->code = EBADMSG;
    return -EBADMSG;
}

/* VERSION.new with this content, on the server. Only under the lock: what has the name is a rest.
 */
static int write_new(int state_fd, struct version *version, bool anew, int64_t gid)
{
    struct stat now;
    if (unlinkat(state_fd, NEW_NAME, 0) < 0 && errno != ENOENT)
        return -errno;
    _cleanup_close_ int fd = openat(
        state_fd, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, LAYOUT_FILE_MODE);
    if (fd < 0 || fstat(fd, &now) < 0)
        return -errno;
    if (anew && ++version->generation < now.st_ctim.tv_sec)
        version->generation = now.st_ctim.tv_sec;
    _cleanup_json_ json_t *object =
        json_pack("{s:i, s:I, s:s, s:I}", "format", (int)version->format, "generation",
                  (json_int_t)version->generation, "file_system", version->root.file_system,
                  "root_inode", (json_int_t)version->root.inode);
    _cleanup_free_ char *text = object ? json_dumps(object, 0) : NULL;
    if (!text)
        return -ENOMEM;
    ssize_t length = (ssize_t)strlen(text);
    text[length++] = '\n'; /* in place of the NUL */
    ssize_t n = write(fd, text, (size_t)length);
    if (n != length)
        return n < 0 ? -errno : -EIO;
    int r = layout_share(fd, LAYOUT_FILE_MODE, gid);
    return r == 0 && fsync(fd) < 0 ? -errno : r;
}

int version_lock(int state_fd, bool direct, int64_t gid, int64_t deadline_ms, int *ret_lock_fd,
                 struct error *err)
{
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(state_fd, LOCK_NAME,
                            O_RDWR | O_CREAT | O_NOFOLLOW | (direct ? O_DIRECT : 0),
                            LAYOUT_FILE_MODE, &fd);
    if (r == 0)
        r = layout_share(fd, LAYOUT_FILE_MODE, gid);
    if (r < 0)
        return error_set_errno(err, -r, "cannot open %s in the state directory", LOCK_NAME);
    while ((r = ofd_lock(fd, F_WRLCK, 0, 0)) == -EAGAIN && clock_now_ms() < deadline_ms) {
        uint8_t jitter = 0;
        if (getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK) < 0)
            jitter = 0;
        usleep((useconds_t)(RETRY_FIRST_MS + RETRY_SPREAD_MS * jitter / UINT8_MAX) * 1000);
    }
    if (r == -EAGAIN)
        return error_set(err, ETIMEDOUT,
                         "another member holds the lock of %s in the state directory; try again",
                         LAYOUT_VERSION);
    if (r < 0)
        return error_set_errno(err, -r, "cannot lock %s in the state directory", LOCK_NAME);
    *ret_lock_fd = take_fd(&fd);
    return 0;
}

int version_create(int state_fd, const struct version_root *root, bool direct, int64_t gid,
                   struct version *ret_version, struct error *err)
{
    _cleanup_close_ int lock_fd = -1;
    struct error missing = {0};
    int r = version_lock(state_fd, direct, gid, clock_now_ms() + LOCK_WAIT_MS, &lock_fd, err);
    if (r < 0)
        return r;
    r = version_read(state_fd, ret_version, &missing);
    if (r != -ENOENT) {
        if (r < 0 && err)
            *err = missing;
        return r;
    }
    struct version version = {.format = VERSION_FORMAT, .root = *root};
    r = write_new(state_fd, &version, true, gid);
    /* link, not rename: one whose lock was lost meanwhile never replaces what is there. */
    if (r == 0 && linkat(state_fd, NEW_NAME, state_fd, LAYOUT_VERSION, 0) < 0)
        r = -errno;
    if (r == 0 && unlinkat(state_fd, NEW_NAME, 0) < 0 && errno != ENOENT)
        r = -errno;
    if (r == -EEXIST)
        return version_read(state_fd, ret_version, err);
    if (r < 0)
        return error_set_errno(err, -r, "cannot make %s in the state directory", LAYOUT_VERSION);
    *ret_version = version;
    return 0;
}

int version_replace(int state_fd, int lock_fd, struct version *version, bool anew, int64_t gid,
                    struct error *err)
{
    int r = write_new(state_fd, version, anew, gid);
    if (r == 0)
        r = ofd_prove(lock_fd);
    if (r == 0 && renameat(state_fd, NEW_NAME, state_fd, LAYOUT_VERSION) < 0)
        r = -errno;
    return r < 0 ? error_set_errno(err, -r, "cannot replace %s in the state directory",
                                   LAYOUT_VERSION)
                 : 0;
}

static const char *known(const struct version_root *root)
{
    return root->file_system[0] ? root->file_system : "an unnamed file system";
}

int version_check(const struct version *version, const struct version_root *root, struct error *err)
{
    if (version->format < VERSION_READS_FROM || version->format > VERSION_READS_TO)
        return error_set(err, EPROTONOSUPPORT,
                         "the state directory has format %" PRIu32
                         " and this efs-sidecar (" EFS_SIDECAR_VERSION ") reads %d to %d: %s",
                         version->format, VERSION_READS_FROM, VERSION_READS_TO,
                         version->format > VERSION_READS_TO
                             ? "run the version that the other tasks run, or a newer one"
                             : "first upgrade it with a version in between: efsctl state upgrade");
    const struct version_root *other = &version->root;
    bool both_named = other->file_system[0] && root->file_system[0];
    if (other->inode == root->inode &&
        (!both_named || strcmp(other->file_system, root->file_system) == 0))
        return 0;
    return error_set(err, EXDEV,
                     "the state directory coordinates inode %" PRIu64
                     " of %s, and this mount shows "
                     "inode %" PRIu64 " of %s: it was restored or copied from elsewhere, or the "
                     "mount has another path or access point than the other tasks' mounts. If no "
                     "task uses the old one any more: efsctl state reset",
                     other->inode, known(other), root->inode, known(root));
}
