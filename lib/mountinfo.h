/*
 * mountinfo: what is mounted where, read from the kernel's list and never from the mount itself, so
 * that a hung server cannot hang the caller (no stat, no resolving of names).
 *
 *     _cleanup_mountinfo_ struct mountinfo *table = NULL;
 *     struct mount mount;
 *     r = mountinfo_read(NULL, &table, &err);
 *     r = mountinfo_at(table, "/data/in", &mount);       // by name: links are not followed
 *     r = mountinfo_by_id(table, id, &mount);            // exact: id from mount_id_of_fd()
 *     if (mount.nfs && mount_option(&mount, "rsize", value, sizeof(value)) == 0)
 *         ...
 *
 * Ownership: a struct mount points into its table and is valid as long as that. Threads: a table
 * belongs to one thread at a time. Errors: 0 or -errno.
 */
#ifndef LIB_MOUNTINFO_H
#define LIB_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/cleanup.h"
#include "lib/error.h"

/* The form of an NFS source. It is for people: a loopback source proves neither TLS nor which file
 * system lies behind it. */
enum mount_source {
    MOUNT_SOURCE_NONE,     /* not NFS */
    MOUNT_SOURCE_LOOPBACK, /* 127.0.0.1:/x or [::1]:/x, the proxy of efs-utils */
    MOUNT_SOURCE_EFS_NAME, /* fs-0abc.efs.eu-west-1.amazonaws.com:/x, with or without a zone before
                            */
    MOUNT_SOURCE_ADDRESS,  /* 10.0.0.7:/x */
    MOUNT_SOURCE_NO_HOST,  /* :/x, Docker's local driver */
    MOUNT_SOURCE_OTHER,    /* any other host name */
};

extern const char *const mount_source_names[]; /* by enum mount_source: "loopback" ... */

struct mount {
    int id;
    dev_t device;
    const char *target; /* where it is mounted */
    const char *root;   /* what of the file system is mounted there */
    const char *fstype;
    const char *source;
    const char *options;       /* of this mount */
    const char *super_options; /* of the file system instance: NFS options are here */
    bool nfs;                  /* nfs or nfs4 */
    bool read_only;            /* this mount: readOnly in mountPoints */
    bool super_read_only;      /* the file system was mounted ro */
    enum mount_source source_form;
};

struct mountinfo;

/* Read file, or /proc/self/mountinfo when it is NULL. */
int mountinfo_read(const char *file, struct mountinfo **ret_table, struct error *err);
void mountinfo_free(struct mountinfo *table);

static inline void cleanup_mountinfo_p(struct mountinfo **table)
{
    mountinfo_free(*table);
}
#define _cleanup_mountinfo_ _cleanup_(cleanup_mountinfo_p)

/* The mount that the absolute path lies on, mounts over mounts considered. -EINVAL: path is not
 * absolute or has "." or ".." in it; -ENOENT: there is none. */
int mountinfo_at(struct mountinfo *table, const char *path, struct mount *ret_mount);
int mountinfo_by_id(struct mountinfo *table, int id, struct mount *ret_mount);

/* Any NFS mount, for messages; -ENOENT. */
int mountinfo_any_nfs(struct mountinfo *table, struct mount *ret_mount);

/* The mount id of an open descriptor, from /proc: asks the kernel, not the server. */
int mount_id_of_fd(int fd, int *ret_id);

/* Value of an option of the mount or its file system, "" for one without a value. -ENOENT: it is
 * not set; -ENAMETOOLONG: the value does not fit. */
int mount_option(const struct mount *mount, const char *name, char *value, size_t size);
bool mount_has_option(const struct mount *mount, const char *name);

/* "fs-0abc" from a source that names one; -ENOENT when it does not. */
#define MOUNT_FILE_SYSTEM_ID 64
int mount_source_file_system(const char *source, char id[MOUNT_FILE_SYSTEM_ID]);

#endif
