/* VERSION of a state directory, as anybody who may write there left it. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/error.h"
#include "lib/share/layout.h"
#include "lib/share/version.h"
#include "tests/fuzz/driver.h"

static char directory[] = "/dev/shm/fuzz_version.XXXXXX";
static int dir_fd = -1;

static void remove_directory(void)
{
    unlinkat(dir_fd, LAYOUT_VERSION, 0);
    rmdir(directory);
}

int fuzz_parse(const char *text, size_t length)
{
    struct version version = {0};
    struct error err = {0};
    if (dir_fd < 0) {
        MUST(mkdtemp(directory));
        dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        MUST(dir_fd >= 0 && atexit(remove_directory) == 0);
    }
    int fd = openat(dir_fd, LAYOUT_VERSION, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, text, length) == (ssize_t)length && close(fd) == 0);
    int r = version_read(dir_fd, &version, &err);
    MUST((r < 0) == (err.text[0] != '\0'));
    if (r < 0)
        return -1;
    MUST(memchr(version.root.file_system, '\0', sizeof(version.root.file_system)));
    MUST(version.generation >= 0);
    return version_check(&version, &version.root, &err) < 0 ? -1 : 0;
}
