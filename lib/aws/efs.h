/*
 * efs: what the EFS API says about a file system, its mount targets, access points and policy.
 *
 *     struct efs_mount_targets targets = {0};
 *     r = efs_describe_mount_targets(&client, "fs-0123456789abcdef0", deadline_ms, &targets, &err);
 *     for (size_t i = 0; i < targets.n; i++)
 *         ... targets.items[i].availability_zone_id ...
 *     efs_mount_targets_release(&targets);
 *
 * Ids are given as fs-... and fsap-..., not as ARNs. Lists are read page by page, up to their caps;
 * .more then says that there would have been more. A field that AWS left out is "", 0 or false.
 *
 * Ownership: lists are the caller's. Threads: any but a loop thread; one deadline holds for all
 * pages. Errors: as request.h and reply.h (-EACCES: the role lacks the permission that the text
 * names, -ENOENT: there is no such file system or access point); -EBADMSG: the answer is not EFS's.
 */
#ifndef LIB_AWS_EFS_H
#define LIB_AWS_EFS_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/aws/request.h"

enum {
    EFS_ID = 64,
    EFS_MOUNT_TARGETS_MAX = 64,  /* one per zone */
    EFS_ACCESS_POINTS_MAX = 200, /* of up to 10,000 */
    EFS_SECONDARY_GIDS_MAX = 16, /* AWS's own limit */
};

struct efs_file_system {
    char id[EFS_ID];
    char name[257];
    char arn[256];
    char state[16]; /* "available" ... */
    char performance_mode[32];
    char throughput_mode[32]; /* "bursting", "provisioned", "elastic" */
    double provisioned_mibps;
    char availability_zone_name[64]; /* One Zone only */
    bool encrypted;
    int64_t n_mount_targets;
    int64_t size_bytes;
};

struct efs_mount_target {
    char id[EFS_ID];
    char file_system_id[EFS_ID];
    char state[16];
    char subnet_id[64];
    char vpc_id[64];
    char network_interface_id[64];
    char availability_zone_id[64];
    char availability_zone_name[64];
    char ipv4[16];
    char ipv6[46];
};

struct efs_access_point {
    char id[EFS_ID];
    char file_system_id[EFS_ID];
    char name[257];
    char arn[256];
    char state[16];
    bool has_posix_user;
    uid_t uid;
    gid_t gid;
    size_t n_secondary_gids;
    gid_t secondary_gids[EFS_SECONDARY_GIDS_MAX];
    char root_path[128]; /* "/" when AWS does not say */
    bool has_creation;   /* EFS makes the root directory if it is missing */
    uid_t creation_uid;
    gid_t creation_gid;
    mode_t creation_mode;
};

struct efs_mount_targets {
    struct efs_mount_target *items;
    size_t n;
    bool more;
};

struct efs_access_points {
    struct efs_access_point *items;
    size_t n;
    bool more;
};

int efs_describe_file_system(const struct aws_client *client, const char *file_system_id,
                             int64_t deadline_ms, struct efs_file_system *ret_file_system,
                             struct error *err);

int efs_describe_mount_targets(const struct aws_client *client, const char *file_system_id,
                               int64_t deadline_ms, struct efs_mount_targets *ret_targets,
                               struct error *err);

/* One by its fsap- id, or all of a file system by its fs- id. */
int efs_describe_access_points(const struct aws_client *client, const char *id, int64_t deadline_ms,
                               struct efs_access_points *ret_points, struct error *err);

/* The policy's JSON text, to be freed; NULL when there is none, which means the default: everyone
 * who reaches a mount target may mount, write and be root. */
int efs_describe_file_system_policy(const struct aws_client *client, const char *file_system_id,
                                    int64_t deadline_ms, char **ret_policy, struct error *err);

void efs_mount_targets_release(struct efs_mount_targets *targets);
void efs_access_points_release(struct efs_access_points *points);

#endif
