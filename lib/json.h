/*
 * json: jansson with the checks that input from outside needs.
 *
 *     _cleanup_json_ json_t *root = NULL;
 *     r = json_parse(body, length, &root, err);     // one object, no duplicate keys, bounded depth
 *     r = json_only_keys(root, keys, err);          // unknown field: an error that names it
 *     r = json_get_string(root, "name", 255, &name, err);
 *
 * Getters: -ENOENT the field is missing, -EINVAL it has another type or is out of bounds; the error
 * names the field. Strings returned belong to the object. Threads: an object belongs to one thread
 * at a time.
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "lib/error.h"

static inline void cleanup_json_p(json_t **json)
{
    json_decref(*json);
}
#define _cleanup_json_ _cleanup_(cleanup_json_p)

/* Parse exactly one object. The error names line and column. */
int json_parse(const char *text, size_t length, json_t **ret_object, struct error *err);

/* -EINVAL with the first key of object that is not in the NULL-terminated list. */
int json_only_keys(const json_t *object, const char *const keys[], struct error *err);

int json_get_string(const json_t *object, const char *key, size_t max_length, const char **ret_text,
                    struct error *err);
int json_get_i64(const json_t *object, const char *key, int64_t min, int64_t max,
                 int64_t *ret_value, struct error *err);
int json_get_bool(const json_t *object, const char *key, bool *ret_value, struct error *err);

/* A JSON string of any bytes: what is not UTF-8 becomes '?'. */
json_t *json_string_lossy(const char *text);

/* Whole numbers are written as such, so that the precision of the rest can stay small. */
json_t *json_double(double value);

#endif
