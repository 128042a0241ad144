#include "lib/aws/efs_parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/parse.h"

#define GET(object, key, field) get_text(object, key, field, sizeof(field))

static void get_text(const json_t *object, const char *key, char *buf, size_t size)
{
    const char *text = "";
    json_get_string(object, key, size - 1, &text, NULL);
    snprintf(buf, size, "%s", text);
}

static bool get_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* 0 and true; false when it is missing or no id. */
static bool get_id(const json_t *object, const char *key, uint32_t *ret_id)
{
    int64_t id;
    if (json_get_i64(object, key, 0, UINT32_MAX, &id, NULL) < 0)
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

/* The list named key of an answer, and where the next page begins. */
static int open_page(const char *body, size_t length, const char *key, const char *next_key,
                     char next[EFS_MARKER], json_t **ret_root, json_t **ret_list, struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    if (json_parse(body, length, &root, err) < 0) {
        error_prefix(err, "EFS");
        return -EBADMSG;
    }
    json_t *list = json_object_get(root, key);
    if (!json_is_array(list))
        return error_set(err, EBADMSG, "EFS: the answer has no list \"%s\"", key);
    const char *marker = "";
    int r = json_get_string(root, next_key, EFS_MARKER - 1, &marker, NULL);
    if (r == -EINVAL && !json_is_null(json_object_get(root, next_key)))
        return error_set(err, EBADMSG, "EFS: \"%s\" is not a text of up to %d bytes", next_key,
                         EFS_MARKER - 1);
    snprintf(next, EFS_MARKER, "%s", marker);
    *ret_list = list;
    *ret_root = take_ptr(root);
    return 0;
}

/* How many entries of a page fit. */
static size_t wanted(const json_t *list, size_t n, size_t max, bool *more)
{
    size_t size = json_array_size(list);
    if (size <= max - n)
        return size;
    *more = true;
    return max - n;
}

/* Zeroed items behind the first n. NULL: out of memory, items is as it was. */
static void *extend(void *items, size_t item_size, size_t n, size_t by)
{
    char *larger = reallocarray(items, n + by + 1, item_size);
    if (larger)
        memset(larger + n * item_size, 0, (by + 1) * item_size);
    return larger;
}

/* ---- file system ---- */

int efs_parse_file_system(const char *body, size_t length, struct efs_file_system *ret_file_system,
                          struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    json_t *list = NULL;
    char next[EFS_MARKER];
    int r = open_page(body, length, "FileSystems", "NextMarker", next, &root, &list, err);
    if (r < 0)
        return r;
    const json_t *from = json_array_get(list, 0);
    if (!json_is_object(from) || json_array_size(list) != 1)
        return error_set(err, EBADMSG, "EFS: the answer has %zu file systems, not one",
                         json_array_size(list));
    struct efs_file_system fs = {0};
    GET(from, "FileSystemId", fs.id);
    GET(from, "Name", fs.name);
    GET(from, "FileSystemArn", fs.arn);
    GET(from, "LifeCycleState", fs.state);
    GET(from, "PerformanceMode", fs.performance_mode);
    GET(from, "ThroughputMode", fs.throughput_mode);
    GET(from, "AvailabilityZoneName", fs.availability_zone_name);
    fs.encrypted = get_bool(from, "Encrypted");
    fs.provisioned_mibps = json_number_value(json_object_get(from, "ProvisionedThroughputInMibps"));
    json_get_i64(from, "NumberOfMountTargets", 0, INT64_MAX, &fs.n_mount_targets, NULL);
    json_get_i64(json_object_get(from, "SizeInBytes"), "Value", 0, INT64_MAX, &fs.size_bytes, NULL);
    *ret_file_system = fs;
    return 0;
}

/* ---- mount targets ---- */

static void read_mount_target(const json_t *from, struct efs_mount_target *target)
{
    GET(from, "MountTargetId", target->id);
    GET(from, "FileSystemId", target->file_system_id);
    GET(from, "LifeCycleState", target->state);
    GET(from, "SubnetId", target->subnet_id);
    GET(from, "VpcId", target->vpc_id);
    GET(from, "NetworkInterfaceId", target->network_interface_id);
    GET(from, "AvailabilityZoneId", target->availability_zone_id);
    GET(from, "AvailabilityZoneName", target->availability_zone_name);
    GET(from, "IpAddress", target->ipv4);
    GET(from, "Ipv6Address", target->ipv6);
}

int efs_parse_mount_targets(const char *body, size_t length, struct efs_mount_targets *targets,
                            char next[EFS_MARKER], struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    json_t *list = NULL;
    int r = open_page(body, length, "MountTargets", "NextMarker", next, &root, &list, err);
    if (r < 0)
        return r;
    size_t by = wanted(list, targets->n, EFS_MOUNT_TARGETS_MAX, &targets->more);
    void *items = extend(targets->items, sizeof(*targets->items), targets->n, by);
    if (!items)
        return error_set_errno(err, ENOMEM, "EFS");
    targets->items = items;
    for (size_t i = 0; i < by; i++)
        read_mount_target(json_array_get(list, i), &targets->items[targets->n++]);
    return 0;
}

void efs_mount_targets_release(struct efs_mount_targets *targets)
{
    free(targets->items);
    *targets = (struct efs_mount_targets){0};
}

/* ---- access points ---- */

static void read_posix_user(const json_t *from, struct efs_access_point *point)
{
    point->has_posix_user = get_id(from, "Uid", &point->uid) && get_id(from, "Gid", &point->gid);
    const json_t *gids = json_object_get(from, "SecondaryGids");
    for (size_t i = 0; i < json_array_size(gids) && i < EFS_SECONDARY_GIDS_MAX; i++) {
        json_int_t gid = json_integer_value(json_array_get(gids, i));
        if (gid >= 0 && gid <= UINT32_MAX)
            point->secondary_gids[point->n_secondary_gids++] = (gid_t)gid;
    }
}

static void read_root_directory(const json_t *from, struct efs_access_point *point)
{
    const json_t *creation = json_object_get(from, "CreationInfo");
    const char *mode = "";
    GET(from, "Path", point->root_path);
    if (!point->root_path[0])
        snprintf(point->root_path, sizeof(point->root_path), "/");
    json_get_string(creation, "Permissions", 4, &mode, NULL);
    point->has_creation = get_id(creation, "OwnerUid", &point->creation_uid) &&
                          get_id(creation, "OwnerGid", &point->creation_gid) &&
                          parse_mode(mode, &point->creation_mode) == 0;
}

static void read_access_point(const json_t *from, struct efs_access_point *point)
{
    GET(from, "AccessPointId", point->id);
    GET(from, "FileSystemId", point->file_system_id);
    GET(from, "Name", point->name);
    GET(from, "AccessPointArn", point->arn);
    GET(from, "LifeCycleState", point->state);
    read_posix_user(json_object_get(from, "PosixUser"), point);
    read_root_directory(json_object_get(from, "RootDirectory"), point);
}

int efs_parse_access_points(const char *body, size_t length, struct efs_access_points *points,
                            char next[EFS_MARKER], struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    json_t *list = NULL;
    int r = open_page(body, length, "AccessPoints", "NextToken", next, &root, &list, err);
    if (r < 0)
        return r;
    size_t by = wanted(list, points->n, EFS_ACCESS_POINTS_MAX, &points->more);
    void *items = extend(points->items, sizeof(*points->items), points->n, by);
    if (!items)
        return error_set_errno(err, ENOMEM, "EFS");
    points->items = items;
    for (size_t i = 0; i < by; i++)
        read_access_point(json_array_get(list, i), &points->items[points->n++]);
    return 0;
}

void efs_access_points_release(struct efs_access_points *points)
{
    free(points->items);
    *points = (struct efs_access_points){0};
}

/* ---- policy ---- */

int efs_parse_policy(const char *body, size_t length, char **ret_policy, struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    const char *policy;
    if (json_parse(body, length, &root, err) < 0 ||
        json_get_string(root, "Policy", AWS_ANSWER_MAX_BYTES, &policy, err) < 0) {
        error_prefix(err, "DescribeFileSystemPolicy");
        return -EBADMSG;
    }
    char *copy = strdup(policy);
    if (!copy)
        return error_set_errno(err, ENOMEM, "DescribeFileSystemPolicy");
    *ret_policy = copy;
    return 0;
}
