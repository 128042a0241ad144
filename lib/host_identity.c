#include "lib/host_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/parse.h"

/* First line of a small file; "(null)" is how the kernel prints an id that was not set. */
static int read_line(const char *root, const char *name, char *line, size_t size)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s%s", root, name) >= sizeof(path))
        return -ENAMETOOLONG;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, line, size - 1);
    if (n < 0)
        return -errno;
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "(null)") == 0)
        line[0] = '\0';
    return 0;
}

static int read_net_namespace(const char *root, uint64_t *ret_number)
{
    char path[PATH_MAX], target[64];
    if ((size_t)snprintf(path, sizeof(path), "%s/proc/self/ns/net", root) >= sizeof(path))
        return -ENAMETOOLONG;
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    if (strncmp(target, "net:[", 5) != 0 || target[n - 1] != ']')
        return -EBADMSG;
    target[n - 1] = '\0';
    int64_t number;
    int r = parse_i64(target + 5, 1, INT64_MAX, &number);
    if (r == 0)
        *ret_number = (uint64_t)number;
    return r;
}

int host_identity_read(const char *root, struct host_identity *ret_host, struct error *err)
{
    struct host_identity host = {0};
    struct utsname names;

    int r = read_line(root, "/proc/sys/kernel/random/boot_id", host.boot_id, sizeof(host.boot_id));
    if (r < 0)
        return error_set_errno(err, -r, "the boot id of this kernel cannot be read");
    r = read_net_namespace(root, &host.net_namespace);
    if (r < 0)
        return error_set_errno(err, -r, "/proc/self/ns/net cannot be read");
    if (uname(&names) == 0)
        snprintf(host.host_name, sizeof(host.host_name), "%s", names.nodename);

    /* Absent where the nfs module is not loaded, unreadable without root: "" says so. */
    (void)read_line(root, "/sys/module/nfs/parameters/nfs4_unique_id", host.nfs4_unique_id,
                    sizeof(host.nfs4_unique_id));
    (void)read_line(root, "/sys/fs/nfs/net/nfs_client/identifier", host.nfs4_namespace_id,
                    sizeof(host.nfs4_namespace_id));
    *ret_host = host;
    return 0;
}
