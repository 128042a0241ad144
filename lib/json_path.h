/*
 * json_path: paths, which are any bytes, in JSON, which is UTF-8.
 *
 * "KEY" has the path; where it is not UTF-8, with '?' for what cannot be shown, and "KEY_base64"
 * has it exactly.
 *
 *     json_path_set(object, "path", path);
 *     r = json_path_get(object, "path", &path, err);     // the exact one; freed by the caller
 *
 * Errors: -ENOENT there is none, -EINVAL it is no path, -ENOMEM. Threads: as json.h.
 */
#ifndef LIB_JSON_PATH_H
#define LIB_JSON_PATH_H

#include "lib/json.h"

int json_path_set(json_t *object, const char *key, const char *path);
int json_path_get(const json_t *object, const char *key, char **ret_path, struct error *err);

#endif
