/*
 * cause: why a gate refuses, one exit code and one remedy for each. What scripts and people key on,
 * so names and codes are never given to something else (docs/checks.md lists them).
 *
 * ECS marks the app that waits for the gate with the gate's exit code: all codes lie in 1 to 124,
 * where no shell or signal puts a meaning of its own. Constant, so safe for all threads.
 */
#ifndef LIB_EXPLAIN_CAUSE_H
#define LIB_EXPLAIN_CAUSE_H

enum cause {
    CAUSE_NONE,
    CAUSE_PATH_MISSING,
    CAUSE_NOT_A_DIRECTORY,
    CAUSE_PATH_UNUSABLE,
    CAUSE_NOT_MOUNTED,
    CAUSE_WRONG_FILE_SYSTEM,
    CAUSE_REQUIRED_PATH_MISSING,
    CAUSE_REQUIRED_PATH_DIFFERS,
    CAUSE_MARKER_MISMATCH,
    CAUSE_READ_ONLY_MOUNT,
    CAUSE_NO_CLIENT_WRITE,
    CAUSE_PERMISSION_DENIED,
    CAUSE_ROOT_SQUASHED,
    CAUSE_SQUASHED_IDENTITY,
    CAUSE_WRONG_OWNER,
    CAUSE_CANNOT_CHANGE_IDENTITY,
    CAUSE_NO_CREDENTIALS,
    CAUSE_WRONG_ROLE,
    CAUSE_WRONG_ACCESS_POINT,
    CAUSE_MOUNT_HUNG,
    CAUSE_SERVER_UNREACHABLE,
    CAUSE_STALE_HANDLE,
    CAUSE_IO_ERROR,
    CAUSE_NO_SPACE,
    CAUSE_QUOTA_EXCEEDED,
    CAUSE_TOO_MANY_LINKS,
    CAUSE_DATA_MISMATCH,
    CAUSE_UNSUPPORTED,
    CAUSE_LOCKS_UNAVAILABLE,
    CAUSE_LEASE_LOST,
    CAUSE_CLIENT_IDENTITY_SHARED,
    CAUSE_NO_RESOURCES,
    CAUSE_UNEXPECTED,
    CAUSE_RUN_DIR_UNWRITABLE,
    CAUSE_INSTALL_FAILED,
    CAUSE_USAGE,
    CAUSE_INTERNAL,
    CAUSE_INTERRUPTED,
    CAUSE_REGION_UNKNOWN,
    CAUSE_FILE_SYSTEM_UNAVAILABLE,
    CAUSE_NO_MOUNT_TARGET,
    CAUSE_NAME_NOT_RESOLVED,
    CAUSE_CONNECTION_REFUSED,
    CAUSE_CONNECTION_TIMED_OUT,
    CAUSE_NETWORK_UNREACHABLE,
    CAUSE_CONNECTION_RESET,
    CAUSE_NO_NFS_SERVER,
    CAUSE_LOOPBACK_ADDRESS,
    CAUSE_ACCESS_POINT_UNUSABLE,
    CAUSE_POLICY_REFUSES,
    CAUSE_COUNT
};

struct cause_info {
    const char *name; /* "NoClientWrite" */
    int exit_code;
    const char *meaning; /* a clause: "the server refuses writes ..." */
    const char *fix;     /* what to change, in full sentences */
};

extern const struct cause_info cause_table[CAUSE_COUNT];

/* What the gate means by an exit code; NULL: it has no such code. */
const struct cause_info *cause_from_exit_code(int exit_code);

/* What an errno from a file operation on the mount most likely means. EROFS, EACCES and EPERM need
 * more than the number to be told apart: the caller looks at mount and ids and refines these. */
enum cause cause_from_errno(int error);

#endif
