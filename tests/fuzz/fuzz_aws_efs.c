/* The answers of the EFS API, each parser on every input; parsed means by one of them. */
#include <string.h>

#include "lib/aws/efs_parse.h"
#include "tests/fuzz/driver.h"

#define ENDS(text) MUST(memchr(text, '\0', sizeof(text)))

static int file_system(const char *text, size_t length)
{
    struct efs_file_system fs;
    if (efs_parse_file_system(text, length, &fs, NULL) < 0)
        return -1;
    ENDS(fs.id);
    ENDS(fs.name);
    ENDS(fs.throughput_mode);
    return 0;
}

static int mount_targets(const char *text, size_t length)
{
    struct efs_mount_targets targets = {0};
    char next[EFS_MARKER] = "";
    int r = efs_parse_mount_targets(text, length, &targets, next, NULL);
    if (r == 0)
        r = efs_parse_mount_targets(text, length, &targets, next, NULL); /* a second page */
    MUST(targets.n <= EFS_MOUNT_TARGETS_MAX);
    ENDS(next);
    for (size_t i = 0; i < targets.n; i++) {
        ENDS(targets.items[i].id);
        ENDS(targets.items[i].ipv6);
    }
    efs_mount_targets_release(&targets);
    return r;
}

static int access_points(const char *text, size_t length)
{
    struct efs_access_points points = {0};
    char next[EFS_MARKER] = "";
    int r = efs_parse_access_points(text, length, &points, next, NULL);
    MUST(points.n <= EFS_ACCESS_POINTS_MAX);
    for (size_t i = 0; i < points.n; i++) {
        const struct efs_access_point *point = &points.items[i];
        ENDS(point->root_path);
        MUST(point->n_secondary_gids <= EFS_SECONDARY_GIDS_MAX && point->creation_mode <= 07777);
    }
    efs_access_points_release(&points);
    return r;
}

static int policy(const char *text, size_t length)
{
    char *found = NULL;
    int r = efs_parse_policy(text, length, &found, NULL);
    MUST((r == 0) == (found != NULL));
    free(found);
    return r;
}

int fuzz_parse(const char *text, size_t length)
{
    int parsed = (file_system(text, length) == 0) + (mount_targets(text, length) == 0) +
                 (access_points(text, length) == 0) + (policy(text, length) == 0);
    return parsed ? 0 : -1;
}
