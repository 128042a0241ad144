#include "sidecar/mount_verdict.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"

/* Why a call failed, for programs, and what to change, for people. */
static const struct cause {
    int code;
    const char *reason, *advice;
} causes[] = {
    {EROFS, "ReadOnly",
     "The mount says rw but the server refuses to write: allow the task role "
     "elasticfilesystem:ClientWrite in its policy or the file system's, or use this mount as :ro"},
    {EACCES, "PermissionDenied",
     "These ids may not: give the access point a POSIX user and a root directory that it owns, or "
     "run the sidecar as the directory's owner"},
    {EPERM, "PermissionDenied",
     "These ids may not: give the access point a POSIX user and a root directory that it owns, or "
     "run the sidecar as the directory's owner"},
    {ENOENT, "NotMounted",
     "Add the volume to mountPoints of this container, with this path as containerPath"},
    {ENOTDIR, "NotMounted", "It is no directory: correct the path in mounts"},
    {ESTALE, "StaleHandle",
     "The server no longer knows this directory: it was removed or the file system replaced. Only "
     "a new task mounts it anew"},
    {ENOSPC, "NoSpace", "The file system is full"},
    {EDQUOT, "QuotaExceeded",
     "A limit of the file system is reached: open files, locks or active users of this client"},
    {ETIMEDOUT, "TimedOut",
     "The mount has the option soft and gave up: mount it with hard,timeo=600,retrans=2"},
    {EIO, "IOError",
     "The server could not do it, or the mount has the option soft: look at its log and options"},
};

bool mount_is_usable(const struct mount_facts *facts)
{
    return facts->listed && (facts->nfs || facts->allow_local);
}

static void say_failed(const struct error *failed, struct conditions *conditions)
{
    const char *reason = "CallFailed", *advice = "It is tried again";
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        if (causes[i].code == failed->code) {
            reason = causes[i].reason;
            advice = causes[i].advice;
        }
    }
    conditions_set(conditions, CONDITION_MOUNT_READY, CONDITION_FALSE, reason, "%.240s. %s",
                   failed->text, advice);
}

static void say_not_nfs(const struct mount_facts *facts, struct conditions *conditions)
{
    if (facts->own_mount)
        conditions_set(conditions, CONDITION_MOUNT_READY, CONDITION_FALSE, "NotNfs",
                       "what is mounted at %s is %s, not NFS. Give the volume an "
                       "efsVolumeConfiguration, or set allow_local to use it as it is",
                       facts->path, facts->fstype);
    else
        conditions_set(conditions, CONDITION_MOUNT_READY, CONDITION_FALSE, "NotMounted",
                       "nothing is mounted at %s, it lies on %s. Add the EFS volume to "
                       "mountPoints of this container, or set allow_local to use it as it is",
                       facts->path, facts->fstype);
}

static void say_stalled(const struct mount_facts *facts, struct conditions *conditions)
{
    conditions_set(
        conditions, CONDITION_MOUNT_READY, CONDITION_FALSE, "MountStalled",
        "%s: %s has not come back for %lld s (mount.stall_after is %lld s); the app's file "
        "calls hang as well and go on when the server answers. Check that the mount "
        "target is reachable: security group, network, and the proxy on EC2",
        facts->path, facts->stalled_call, (long long)(facts->stalled_ms / 1000),
        (long long)(facts->stall_after_ms / 1000));
}

void mount_judge(const struct mount_facts *facts, struct conditions *conditions)
{
    if (!facts->listed)
        conditions_set(conditions, CONDITION_MOUNT_READY, CONDITION_UNKNOWN, "MountsUnreadable",
                       "/proc/self/mountinfo cannot be read: is /proc mounted in this container?");
    else if (!mount_is_usable(facts))
        say_not_nfs(facts, conditions);
    else if (*facts->wanted_id && *facts->found_id &&
             strcmp(facts->wanted_id, facts->found_id) != 0)
        conditions_set(conditions, CONDITION_MOUNT_READY, CONDITION_FALSE, "WrongFileSystem",
                       "%s is %s, but mounts says %s. Correct the volume's fileSystemId or mounts",
                       facts->path, facts->found_id, facts->wanted_id);
    else if (facts->stalled_ms > 0)
        say_stalled(facts, conditions);
    else if (facts->probe.code)
        say_failed(&facts->probe, conditions);
    else if (facts->want_write && facts->read_only)
        conditions_set(conditions, CONDITION_MOUNT_READY, CONDITION_FALSE, "ReadOnly",
                       "%s is mounted read-only. Remove readOnly from mountPoints of this "
                       "container, or use this mount as :ro",
                       facts->path);
    else if (facts->canary.code)
        say_failed(&facts->canary, conditions);
    else if (!facts->answered)
        conditions_set(conditions, CONDITION_MOUNT_READY, CONDITION_UNKNOWN, "Starting",
                       "the first call to %s is under way", facts->path);
    else
        conditions_set(conditions, CONDITION_MOUNT_READY, CONDITION_TRUE, "MountAnswers",
                       facts->nfs ? "%s answers" : "%s answers; it is a local directory",
                       facts->path);
}
