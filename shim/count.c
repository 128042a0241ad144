#include "shim/count.h"

#include <errno.h>
#include <stdio.h>

#include "shim/sys.h"

static struct cache_counters mine[CACHE_SHARDS] __attribute__((aligned(128)));
static char report[VIEW_DIR_MAX + 1]; /* empty: nobody wants to know about this process */

void count_configure(const char *path)
{
    if (strlen(path) < sizeof(report))
        memcpy(report, path, strlen(path) + 1);
}

void count(struct shim_mapping *mapping, enum cache_count what)
{
    uint64_t stack = (uintptr_t)__builtin_frame_address(0) >> 12;
    unsigned shard = (unsigned)((stack * UINT64_C(0x9e3779b97f4a7c15)) >> 60);
    if (report[0])
        cache_count(mine, shard, what);
    cache_count(mapping->view.app->counters, shard, what);
}

void count_report(void)
{
    char line[512];
    if (!report[0])
        return;
    int n = snprintf(line, sizeof(line), "efscache: %d %s", (int)getpid(),
                     program_invocation_short_name);
    for (int i = 0; i < CACHE_COUNTS && n > 0 && (size_t)n < sizeof(line) - 1; i++)
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s=%llu",
                      cache_count_name((enum cache_count)i),
                      (unsigned long long)cache_counted(mine, (enum cache_count)i));
    if (n <= 0 || (size_t)n >= sizeof(line) - 1)
        return;
    line[n++] = '\n';
    int fd =
        sys_openat(AT_FDCWD, report, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return;
    (void)!write(fd, line, (size_t)n);
    sys_close(fd);
}
