#include "init/probe.h"

#include <string.h>
#include <unistd.h>

#include "init/probe_child.h"
#include "lib/cleanup.h"
#include "lib/clock.h"

const char *const probe_step_names[PROBE_END + 1] = {
    [PROBE_IDENTITY] = "setresuid",
    [PROBE_OPEN] = "open",
    [PROBE_MARKER] = "read marker",
    [PROBE_CREATE] = "create",
    [PROBE_WRITE] = "write",
    [PROBE_FSYNC] = "fsync",
    [PROBE_READ] = "read back",
    [PROBE_LOCK] = "lock",
    [PROBE_PROVE] = "read under lock",
    [PROBE_LINK] = "link",
    [PROBE_RENAME] = "rename",
    [PROBE_MKDIR] = "mkdir",
    [PROBE_HOLD] = "read under lock",
    [PROBE_RMDIR] = "rmdir",
    [PROBE_REMOVE] = "unlink",
    [PROBE_MAKE] = "make directories",
    [PROBE_LIST] = "list",
    [PROBE_REQUIRE] = "look at required paths",
    [PROBE_SWEEP] = "sweep",
    [PROBE_DATABASES] = "look for databases",
    [PROBE_END] = "end",
};

int probe_start(const struct probe_wish *wish, struct child *ret_child, struct error *err)
{
    struct child child = {0};
    int r = child_open(sizeof(struct probe_log), &child, err);
    if (r == 0) {
        struct probe_log *log = child.shared;
        for (int i = 0; i < PROBE_END; i++)
            log->took_us[i] = -1;
        log->uid = geteuid();
        log->gid = getegid();
        atomic_store(&log->step_since_ms, clock_now_ms());
        r = child_start(&child, probe_child_run, wish, err);
    }
    if (r < 0) {
        error_prefix(err, "the probe of %s", wish->path);
        child_close(&child);
        return r;
    }
    *ret_child = child;
    return 0;
}

/* ".efs-sidecar-probe.BBBBBBBB.PID.RRRRRRRRRRRRRRRR" and, behind it, nothing, ".link", ".moved" or
 * ".dir". */
bool probe_is_leftover_name(const char *name)
{
    static const char *const tails[] = {"", PROBE_TAIL_LINK, PROBE_TAIL_MOVED, PROBE_TAIL_DIR};
    static const char hex[] = "0123456789abcdef";
    size_t digits;

    if (strncmp(name, PROBE_PREFIX, strlen(PROBE_PREFIX)) != 0)
        return false;
    name += strlen(PROBE_PREFIX);
    if (strspn(name, hex) != PROBE_BOOT_DIGITS || name[PROBE_BOOT_DIGITS] != '.')
        return false;
    name += PROBE_BOOT_DIGITS + 1;
    digits = strspn(name, "0123456789");
    if (digits == 0 || digits > 10 || name[digits] != '.')
        return false;
    name += digits + 1;
    if (strspn(name, hex) != PROBE_RANDOM_DIGITS)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(tails); i++)
        if (strcmp(name + PROBE_RANDOM_DIGITS, tails[i]) == 0)
            return true;
    return false;
}

bool probe_may_write(const struct probe_log *log)
{
    mode_t needed = log->uid == log->owner ? 0300 : log->in_group ? 0030 : 0003;
    return log->uid == 0 || (log->mode & needed) == needed;
}
