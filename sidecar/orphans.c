#include "sidecar/orphans.h"

#include <errno.h>
#include <string.h>

#include "lib/fs.h"

const char *const orphans_policy_names[] = {"keep", "adopt", "archive", "delete", NULL};

static int parse_policy(const char *text, enum orphans_policy *ret_policy)
{
    for (enum orphans_policy i = ORPHANS_KEEP; orphans_policy_names[i]; i++)
        if (strcmp(orphans_policy_names[i], text) == 0) {
            *ret_policy = i;
            return 0;
        }
    return -EINVAL;
}

/* "adopt": for all mounts; "/data=adopt": for that one. */
static int parse_entry(const char *entry, size_t *ret_path_length, enum orphans_policy *ret_policy)
{
    const char *equals = strrchr(entry, '=');
    *ret_path_length = equals ? (size_t)(equals - entry) : 0;
    return parse_policy(equals ? equals + 1 : entry, ret_policy);
}

static bool is_mount(const struct settings *settings, const char *path, size_t length)
{
    for (size_t i = 0; i < settings->mounts.n; i++) {
        const char *mount = settings->mounts.mounts[i].path;
        if (strlen(mount) == length && memcmp(mount, path, length) == 0)
            return true;
    }
    return false;
}

void orphans_check(const struct settings *settings, struct config_report *report)
{
    const struct name_list *list = &settings->orphans_policy;
    bool archives = false;
    for (size_t i = 0; i < list->n; i++) {
        enum orphans_policy policy = ORPHANS_KEEP;
        size_t length;
        if (parse_entry(list->names[i], &length, &policy) < 0)
            config_error(report,
                         "orphans.policy: \"%s\" does not end with keep, adopt, archive or "
                         "delete",
                         list->names[i]);
        else if (length > 0 && !is_mount(settings, list->names[i], length))
            config_error(report, "orphans.policy: \"%s\" does not begin with the path of a mount",
                         list->names[i]);
        archives = archives || policy == ORPHANS_ARCHIVE;
    }
    if (archives && fs_check_relative(settings->orphans_archive) < 0)
        config_error(report,
                     "orphans.archive: \"%s\" is not a path below the mount, and orphans.policy "
                     "is archive",
                     settings->orphans_archive);
}

enum orphans_policy orphans_policy(const struct settings *settings, const char *mount)
{
    const struct name_list *list = &settings->orphans_policy;
    enum orphans_policy found = ORPHANS_KEEP, policy;
    for (size_t i = 0, length; i < list->n; i++) {
        if (parse_entry(list->names[i], &length, &policy) < 0)
            continue;
        if (length == 0)
            found = policy;
        else if (strlen(mount) == length && memcmp(mount, list->names[i], length) == 0)
            return policy;
    }
    return found;
}
