/* /proc/self/mountinfo of any kernel: what is listed can be looked up, and looking up ends. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/mountinfo.h"
#include "tests/fuzz/driver.h"

static void look_up(struct mountinfo *table, const char *path)
{
    struct mount mount;
    char value[64], id[MOUNT_FILE_SYSTEM_ID];
    if (mountinfo_at(table, path, &mount) < 0)
        return;
    MUST(mount.target && mount.root && mount.fstype && mount.source);
    (void)mount_option(&mount, "rsize", value, sizeof(value));
    (void)mount_has_option(&mount, "noresvport");
    if (mount_source_file_system(mount.source, id) == 0)
        MUST(memchr(id, '\0', sizeof(id)));
}

int fuzz_parse(const char *text, size_t length)
{
    static const char *const paths[] = {"/", "/data", "/data/in/x", "/config", "/dev/pts/0"};
    _cleanup_mountinfo_ struct mountinfo *table = NULL;
    struct error err = {0};
    struct mount mount;
    char file[64];
    _cleanup_close_ int fd = memfd_create("mountinfo", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, text, length) == (ssize_t)length);
    snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
    int r = mountinfo_read(file, &table, &err);
    MUST((r < 0) == (err.text[0] != '\0'));
    if (r < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        look_up(table, paths[i]);
    if (mountinfo_any_nfs(table, &mount) == 0)
        MUST(mount.nfs);
    for (int id = 0; id < 64; id++)
        (void)mountinfo_by_id(table, id, &mount);
    return 0;
}
