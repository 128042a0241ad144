#include "lib/mountinfo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The caller's handle is libmount's table; the name only keeps its header out of ours. */
struct mountinfo {
    struct libmnt_table *entries;
};

const char *const mount_source_names[] = {
    [MOUNT_SOURCE_NONE] = "none",       [MOUNT_SOURCE_LOOPBACK] = "loopback",
    [MOUNT_SOURCE_EFS_NAME] = "efs",    [MOUNT_SOURCE_ADDRESS] = "address",
    [MOUNT_SOURCE_NO_HOST] = "no-host", [MOUNT_SOURCE_OTHER] = "host",
};

void mountinfo_free(struct mountinfo *table)
{
    if (!table)
        return;
    mnt_unref_table(table->entries);
    free(table);
}

/* A line that this libmount cannot read must not hide the others. */
static int skip_bad_line(struct libmnt_table *entries, const char *file, int line)
{
    return 1;
}

static struct libmnt_fs *next_entry(struct mountinfo *table, struct libmnt_iter *iter)
{
    struct libmnt_fs *fs;
    return mnt_table_next_fs(table->entries, iter, &fs) == 0 ? fs : NULL;
}

static bool is_listed(struct mountinfo *table, int id)
{
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
    struct libmnt_fs *fs;
    bool found = false;
    while (iter && !found && (fs = next_entry(table, iter)) != NULL)
        found = mnt_fs_get_id(fs) == id;
    mnt_free_iter(iter);
    return found;
}

/* The root of the tree: what is mounted on nothing that is listed, "/" before others. libmount's
 * own search does not end when a file lies about parents. */
static struct libmnt_fs *tree_root(struct mountinfo *table)
{
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
    struct libmnt_fs *fs, *root = NULL, *orphan = NULL;
    while (iter && !root && (fs = next_entry(table, iter)) != NULL) {
        const char *target = mnt_fs_get_target(fs);
        int parent = mnt_fs_get_parent_id(fs); /* its own: the kernel's first mount */
        if (!target || (parent != mnt_fs_get_id(fs) && is_listed(table, parent)))
            continue;
        if (strcmp(target, "/") == 0)
            root = fs;
        else if (!orphan)
            orphan = fs;
    }
    mnt_free_iter(iter);
    return root ? root : orphan;
}

/* In a chroot whose root is no mount point the kernel does not list what "/" lies on. */
static int add_hidden_root(struct mountinfo *table, const char *file)
{
    char line[80];
    struct libmnt_fs *root = tree_root(table);
    if (!root || strcmp(mnt_fs_get_target(root), "/") == 0)
        return 0;
    int length = snprintf(line, sizeof(line), "%d 0 0:0 / / rw - unknown none rw\n",
                          mnt_fs_get_parent_id(root));
    FILE *stream = fmemopen(line, (size_t)length, "r");
    if (!stream)
        return -ENOMEM;
    int r = mnt_table_parse_stream(table->entries, stream, file);
    fclose(stream);
    return r;
}

int mountinfo_read(const char *file, struct mountinfo **ret_table, struct error *err)
{
    _cleanup_mountinfo_ struct mountinfo *table = calloc(1, sizeof(*table));

    if (!file)
        file = "/proc/self/mountinfo";
    if (!table || !(table->entries = mnt_new_table()))
        return error_set(err, ENOMEM, "there is no memory to read %s", file);
    mnt_table_set_parser_errcb(table->entries, skip_bad_line);
    int r = mnt_table_parse_file(table->entries, file);
    if (r != 0)
        return error_set_errno(err, r < 0 ? -r : EIO, "%s cannot be read", file);
    if (mnt_table_is_empty(table->entries))
        return error_set(err, ENODATA, "%s lists no mounts", file);
    r = add_hidden_root(table, file);
    if (r != 0)
        return error_set_errno(err, r < 0 ? -r : EIO, "%s cannot be read", file);
    *ret_table = take_ptr(table);
    return 0;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static bool list_has(const char *options, const char *name)
{
    char *value;
    size_t length;
    return options && mnt_optstr_get_option(options, name, &value, &length) == 0;
}

/* "host" of "host:/path" and "[host]:/path"; false when source is not of that form. */
static bool source_host(const char *source, char *host, size_t size)
{
    const char *end = source[0] == '[' ? strchr(source, ']') : strstr(source, ":/");
    size_t skip = source[0] == '[';
    if (!end || (skip && end[1] != ':') || (size_t)(end - source) - skip >= size)
        return false;
    memcpy(host, source + skip, (size_t)(end - source) - skip);
    host[(size_t)(end - source) - skip] = '\0';
    return true;
}

int mount_source_file_system(const char *source, char id[MOUNT_FILE_SYSTEM_ID])
{
    char host[256];
    if (!source_host(source, host, sizeof(host)))
        return -ENOENT;
    const char *start = host;
    if (strncmp(start, "fs-", 3) != 0) { /* a zone comes first */
        start = strchr(host, '.');
        if (!start || strncmp(++start, "fs-", 3) != 0)
            return -ENOENT;
    }
    size_t length = 3 + strspn(start + 3, "0123456789abcdef");
    if (length == 3 || length >= MOUNT_FILE_SYSTEM_ID || strncmp(start + length, ".efs.", 5) != 0)
        return -ENOENT;
    memcpy(id, start, length);
    id[length] = '\0';
    return 0;
}

static enum mount_source classify(const char *source)
{
    char host[256], id[MOUNT_FILE_SYSTEM_ID];
    struct in_addr v4;
    struct in6_addr v6;

    if (!source_host(source, host, sizeof(host)))
        return MOUNT_SOURCE_OTHER;
    if (host[0] == '\0')
        return MOUNT_SOURCE_NO_HOST;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127 ? MOUNT_SOURCE_LOOPBACK : MOUNT_SOURCE_ADDRESS;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6) ? MOUNT_SOURCE_LOOPBACK : MOUNT_SOURCE_ADDRESS;
    return mount_source_file_system(source, id) == 0 ? MOUNT_SOURCE_EFS_NAME : MOUNT_SOURCE_OTHER;
}

static struct mount from_entry(struct libmnt_fs *fs)
{
    struct mount mount = {
        .id = mnt_fs_get_id(fs),
        .device = mnt_fs_get_devno(fs),
        .target = or_empty(mnt_fs_get_target(fs)),
        .root = or_empty(mnt_fs_get_root(fs)),
        .fstype = or_empty(mnt_fs_get_fstype(fs)),
        .source = or_empty(mnt_fs_get_source(fs)),
        .options = or_empty(mnt_fs_get_vfs_options(fs)),
        .super_options = or_empty(mnt_fs_get_fs_options(fs)),
    };
    mount.nfs = strcmp(mount.fstype, "nfs") == 0 || strcmp(mount.fstype, "nfs4") == 0;
    mount.read_only = list_has(mount.options, "ro");
    mount.super_read_only = list_has(mount.super_options, "ro");
    mount.source_form = mount.nfs ? classify(mount.source) : MOUNT_SOURCE_NONE;
    return mount;
}

/* Is path target or something below it? */
static bool lies_at(const char *path, const char *target)
{
    size_t length = strlen(target);
    if (length > 0 && target[length - 1] == '/')
        length--;
    return strncmp(path, target, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static bool is_plain_absolute(const char *path)
{
    if (path[0] != '/')
        return false;
    for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        size_t length = strcspn(slash + 1, "/");
        if ((length == 1 && slash[1] == '.') || (length == 2 && slash[1] == '.' && slash[2] == '.'))
            return false;
    }
    return true;
}

/* The mount that the walk along path meets next after parent: of those mounted on parent, the one
 * with the shortest target. Deeper ones were mounted earlier and are hidden by it. */
static struct libmnt_fs *mounted_on(struct mountinfo *table, struct libmnt_fs *parent,
                                    const char *path)
{
    struct libmnt_fs *found = NULL, *fs;
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
    if (!iter)
        return NULL;
    while ((fs = next_entry(table, iter)) != NULL) {
        const char *target = mnt_fs_get_target(fs);
        if (fs == parent || !target || !lies_at(path, target) ||
            mnt_fs_get_parent_id(fs) != mnt_fs_get_id(parent))
            continue;
        if (!found || strlen(target) < strlen(mnt_fs_get_target(found)))
            found = fs;
    }
    mnt_free_iter(iter);
    return found;
}

int mountinfo_at(struct mountinfo *table, const char *path, struct mount *ret_mount)
{
    struct libmnt_fs *fs, *next;

    if (!is_plain_absolute(path))
        return -EINVAL;
    fs = tree_root(table);
    if (!fs)
        return -ENOENT;
    /* A chain cannot be longer than the list: a file that lies about parents must not loop. */
    for (int steps = mnt_table_get_nents(table->entries); steps > 0; steps--, fs = next)
        if (!(next = mounted_on(table, fs, path)))
            break;
    if (!lies_at(path, or_empty(mnt_fs_get_target(fs))))
        return -ENOENT;
    *ret_mount = from_entry(fs);
    return 0;
}

static int find(struct mountinfo *table, bool (*wanted)(const struct mount *, int), int argument,
                struct mount *ret_mount)
{
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
    struct libmnt_fs *fs;
    int r = -ENOENT;
    if (!iter)
        return -ENOMEM;
    while (r < 0 && (fs = next_entry(table, iter)) != NULL) {
        struct mount mount = from_entry(fs);
        if (!wanted(&mount, argument))
            continue;
        *ret_mount = mount;
        r = 0;
    }
    mnt_free_iter(iter);
    return r;
}

static bool has_id(const struct mount *mount, int id)
{
    return mount->id == id;
}

static bool is_nfs(const struct mount *mount, int unused)
{
    return mount->nfs;
}

int mountinfo_by_id(struct mountinfo *table, int id, struct mount *ret_mount)
{
    return find(table, has_id, id, ret_mount);
}

int mountinfo_any_nfs(struct mountinfo *table, struct mount *ret_mount)
{
    return find(table, is_nfs, 0, ret_mount);
}

int mount_id_of_fd(int fd, int *ret_id)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    _cleanup_close_ int info = open(path, O_RDONLY | O_CLOEXEC);
    if (info < 0)
        return -errno;
    ssize_t n = read(info, text, sizeof(text) - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    const char *line = strstr(text, "mnt_id:");
    if (!line)
        return -EBADMSG;
    char *end;
    long id = strtol(line + strlen("mnt_id:"), &end, 10);
    if (*end != '\n' || id < 0 || id > INT_MAX)
        return -EBADMSG;
    *ret_id = (int)id;
    return 0;
}

int mount_option(const struct mount *mount, const char *name, char *value, size_t size)
{
    const char *const lists[] = {mount->super_options, mount->options};
    char *start = NULL;
    size_t length = 0;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (mnt_optstr_get_option(lists[i], name, &start, &length) != 0)
            continue;
        if (length >= size)
            return -ENAMETOOLONG;
        if (length > 0)
            memcpy(value, start, length);
        value[length] = '\0';
        return 0;
    }
    return -ENOENT;
}

bool mount_has_option(const struct mount *mount, const char *name)
{
    return list_has(mount->super_options, name) || list_has(mount->options, name);
}
