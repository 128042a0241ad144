#include "init/check_mount.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"

enum { OPTION_BYTES = 64 };

static json_t *facts(const struct mount *mount)
{
    char version[OPTION_BYTES] = "";
    json_t *object =
        json_pack("{s:i, s:b, s:b, s:b, s:s}", "id", mount->id, "nfs", mount->nfs, "read_only",
                  mount->read_only, "file_system_read_only", mount->super_read_only, "source_form",
                  mount_source_names[mount->source_form]);
    const struct {
        const char *key, *text;
    } texts[] = {
        {"target", mount->target},   {"root", mount->root},
        {"type", mount->fstype},     {"source", mount->source},
        {"options", mount->options}, {"file_system_options", mount->super_options},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        json_object_set_new(object, texts[i].key, json_string_lossy(texts[i].text));
    if (mount_option(mount, "vers", version, sizeof(version)) == 0)
        json_object_set_new(object, "nfs_version", json_string_lossy(version));
    return object;
}

static void check_kind(const struct mount_question *question, struct mount_report *report)
{
    const struct mount *mount = question->mount;
    const char *path = report->asked->path;

    if (mount->nfs) {
        char version[OPTION_BYTES] = "?";
        (void)mount_option(mount, "vers", version, sizeof(version));
        report_add(report, "mount", VERDICT_OK, "NFS %s, mounted at %s from %s", version,
                   mount->target, mount->source);
        return;
    }
    if (question->allow_local) {
        report_add(report, "mount", VERDICT_WARN,
                   "not NFS but %s, accepted because of --allow-local: nothing here says how EFS "
                   "will behave",
                   mount->fstype);
        return;
    }
    const char *hint = question->another ? "; NFS is mounted at " : "";
    const char *elsewhere = question->another ? question->another->target : "";
    if (strcmp(mount->target, path) == 0)
        report_fail(report, "mount", CAUSE_NOT_MOUNTED,
                    "%s is a mount of %s (%s), not of EFS: the volume behind it has no "
                    "efsVolumeConfiguration%s%s",
                    path, mount->fstype, mount->source, hint, elsewhere);
    else
        report_fail(report, "mount", CAUSE_NOT_MOUNTED,
                    "%s is a plain directory on %s (mounted at %s), EFS is not mounted there: this "
                    "container has no mountPoints entry for it%s%s",
                    path, mount->fstype, mount->target, hint, elsewhere);
}

static void check_source(const struct mount *mount, struct mount_report *report)
{
    char id[MOUNT_FILE_SYSTEM_ID];
    const char *asked = report->asked->file_system_id;
    bool named = mount_source_file_system(mount->source, id) == 0;

    if (named && asked[0] && strcmp(asked, id) != 0)
        report_fail(report, "source", CAUSE_WRONG_FILE_SYSTEM,
                    "%s is mounted at %s, but %s was asked for", id, mount->target, asked);
    else if (named)
        report_add(report, "source", VERDICT_OK, "the mount names file system %s", id);
    else if (mount->source_form == MOUNT_SOURCE_LOOPBACK)
        report_add(report, "source", VERDICT_UNKNOWN,
                   "a loopback source proves neither TLS nor the file system behind it");
    else
        report_add(report, "source", VERDICT_UNKNOWN, "the source does not name a file system");
}

static void check_access(const struct mount *mount, struct mount_report *report)
{
    bool read_only = mount->read_only || mount->super_read_only;

    if (report->asked->read_only && !read_only)
        report_add(report, "access", VERDICT_WARN,
                   "asked for as read-only, but the mount lets this container try to write: "
                   "\"readOnly\": true in its mountPoints entry would not");
    else if (!report->asked->read_only && mount->super_read_only)
        report_fix(report_fail(report, "access", CAUSE_READ_ONLY_MOUNT,
                               "%s has to be written to, but the file system was mounted ro",
                               report->asked->path),
                   "Mount it without the option ro, or ask for %s:ro.", report->asked->path);
    else if (!report->asked->read_only && mount->read_only)
        report_fix(report_fail(report, "access", CAUSE_READ_ONLY_MOUNT,
                               "%s has to be written to, but this container has it read-only",
                               report->asked->path),
                   "Remove \"readOnly\": true from this container's mountPoints entry for %s, or "
                   "ask for %s:ro.",
                   mount->target, report->asked->path);
    else
        report_add(report, "access", VERDICT_OK, "%s",
                   read_only ? "read-only, as asked" : "read-write");
}

/* ---- options ---- */

enum test { IS_SET, IS_MISSING, IS_BELOW, IS, IS_NOT };

static const struct {
    const char *name;
    enum test test;
    const char *value;
    const char *why;
} option_rules[] = {
    {"soft", IS_SET, NULL,
     "an app gets I/O errors, and may lose data, when the server is slow; mount it hard"},
    {"softerr", IS_SET, NULL,
     "an app gets I/O errors, and may lose data, when the server is slow; mount it hard"},
    {"noresvport", IS_MISSING, NULL,
     "after a network failure the client may not get its connection back; add it"},
    {"vers", IS, "4.2", "this is S3 Files, or a server other than EFS, which speaks 4.1"},
    {"vers", IS, "4.0",
     "EFS is meant to be used with 4.1: locks and recovery differ; mount with nfsvers=4.1"},
    {"vers", IS, "3",
     "EFS does not speak 3, and locks are not tied to a lease there; mount with nfsvers=4.1"},
    {"nolock", IS_SET, NULL, "locks exclude nobody on other hosts; remove it"},
    {"local_lock", IS_NOT, "none", "locks exclude nobody on other hosts; remove it"},
    {"noac", IS_SET, NULL, "each access asks the server, and each write waits for it; remove it"},
    {"acregmax", IS, "0", "each access asks the server; remove actimeo=0 or acregmax=0"},
    {"acdirmax", IS, "0", "each look-up asks the server; remove actimeo=0 or acdirmax=0"},
    {"lookupcache", IS_NOT, "all", "each look-up asks the server; remove it"},
    {"rsize", IS_BELOW, "1048576", "reads are split into small calls; mount with rsize=1048576"},
    {"wsize", IS_BELOW, "1048576", "writes are split into small calls; mount with wsize=1048576"},
    {"nconnect", IS_SET, NULL, "EFS does not support more than one connection; remove it"},
    {"fsc", IS_SET, NULL, "EFS does not support the kernel's file cache; remove it"},
};

static bool rule_applies(const struct mount *mount, size_t i, char *value)
{
    const char *bound = option_rules[i].value;
    bool set = mount_option(mount, option_rules[i].name, value, OPTION_BYTES) == 0;
    switch (option_rules[i].test) {
    case IS_SET:
        return set;
    case IS_MISSING:
        return !set;
    case IS_BELOW:
        return set && strtoll(value, NULL, 10) < strtoll(bound, NULL, 10);
    case IS:
        return set && strcmp(value, bound) == 0;
    case IS_NOT:
        return set && strcmp(value, bound) != 0;
    }
    return false;
}

static void check_options(const struct mount *mount, struct mount_report *report)
{
    size_t warnings = 0;
    for (size_t i = 0; i < ARRAY_LEN(option_rules); i++) {
        char value[OPTION_BYTES] = "";
        if (!rule_applies(mount, i, value))
            continue;
        warnings++;
        report_add(report, "options", VERDICT_WARN, "%s%s%s%s: %s",
                   option_rules[i].test == IS_MISSING ? "no " : "", option_rules[i].name,
                   value[0] ? "=" : "", value, option_rules[i].why);
    }
    if (warnings == 0)
        report_add(report, "options", VERDICT_OK, "those that matter are as EFS wants them");
}

void check_mount(const struct mount_question *question, struct mount_report *report)
{
    const struct mount *mount = question->mount;
    report->facts = facts(mount);
    check_kind(question, report);
    if (mount->nfs) {
        check_source(mount, report);
        check_options(mount, report);
    }
    if (mount->nfs || question->allow_local)
        check_access(mount, report);
}
