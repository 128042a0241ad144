/*
 * efs_parse: the answers of the EFS API into the structures of efs.h.
 *
 * A parser of a list appends one page to it, up to the list's cap, and leaves in next where the
 * next page begins: "" on the last. After an error the list holds what earlier pages brought and is
 * still to be released. Threads: safe. Errors: -EBADMSG with words, -ENOMEM.
 */
#ifndef LIB_AWS_EFS_PARSE_H
#define LIB_AWS_EFS_PARSE_H

#include "lib/aws/efs.h"

enum { EFS_MARKER = 129 };

int efs_parse_file_system(const char *body, size_t length, struct efs_file_system *ret_file_system,
                          struct error *err);
int efs_parse_mount_targets(const char *body, size_t length, struct efs_mount_targets *targets,
                            char next[EFS_MARKER], struct error *err);
int efs_parse_access_points(const char *body, size_t length, struct efs_access_points *points,
                            char next[EFS_MARKER], struct error *err);
int efs_parse_policy(const char *body, size_t length, char **ret_policy, struct error *err);

#endif
