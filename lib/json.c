#include "lib/json.h"

#include <errno.h>
#include <string.h>

int json_parse(const char *text, size_t length, json_t **ret_object, struct error *err)
{
    json_error_t where;
    /* jansson bounds the depth itself (JSON_PARSER_MAX_DEPTH, 2048). */
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return error_set(err, EINVAL, "not valid JSON: %s at line %d, column %d", where.text,
                         where.line, where.column);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, EINVAL, "not a JSON object");
    }
    *ret_object = root;
    return 0;
}

int json_only_keys(const json_t *object, const char *const keys[], struct error *err)
{
    /* jansson's iterators take a non-const object, but only read it. */
    json_t *iterable = (json_t *)(uintptr_t)object;
    const char *key;
    json_t *value;
    json_object_foreach(iterable, key, value)
    {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        if (!keys[i])
            return error_set(err, EINVAL, "unknown field \"%.64s\"", key);
    }
    return 0;
}

static int get(const json_t *object, const char *key, json_t **ret_value, struct error *err)
{
    json_t *value = json_object_get(object, key);
    if (!value)
        return error_set(err, ENOENT, "field \"%s\" is missing", key);
    *ret_value = value;
    return 0;
}

int json_get_string(const json_t *object, const char *key, size_t max_length, const char **ret_text,
                    struct error *err)
{
    json_t *value = NULL;
    int r = get(object, key, &value, err);
    if (r < 0)
        return r;
    if (!json_is_string(value))
        return error_set(err, EINVAL, "field \"%s\" is not a string", key);
    if (json_string_length(value) > max_length)
        return error_set(err, EINVAL, "field \"%s\" is longer than %zu bytes", key, max_length);
    *ret_text = json_string_value(value);
    return 0;
}

int json_get_i64(const json_t *object, const char *key, int64_t min, int64_t max,
                 int64_t *ret_value, struct error *err)
{
    json_t *value = NULL;
    int r = get(object, key, &value, err);
    if (r < 0)
        return r;
    if (!json_is_integer(value))
        return error_set(err, EINVAL, "field \"%s\" is not a whole number", key);
    int64_t number = json_integer_value(value);
    if (number < min || number > max)
        return error_set(err, EINVAL, "field \"%s\" is %lld, allowed are %lld to %lld", key,
                         (long long)number, (long long)min, (long long)max);
    *ret_value = number;
    return 0;
}

int json_get_bool(const json_t *object, const char *key, bool *ret_value, struct error *err)
{
    json_t *value = NULL;
    int r = get(object, key, &value, err);
    if (r < 0)
        return r;
    if (!json_is_boolean(value))
        return error_set(err, EINVAL, "field \"%s\" is not true or false", key);
    *ret_value = json_is_true(value);
    return 0;
}

json_t *json_string_lossy(const char *text)
{
    json_t *string = json_string(text); /* NULL when it is not UTF-8 */
    if (string)
        return string;
    _cleanup_free_ char *copy = strdup(text);
    if (!copy)
        return NULL;
    for (char *p = copy; *p; p++) {
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    }
    return json_string(copy);
}

json_t *json_double(double value)
{
    const double exact_below = 9007199254740992.0; /* 2^53 */
    if (value < exact_below && value > -exact_below && value == (double)(json_int_t)value)
        return json_integer((json_int_t)value);
    return json_real(value);
}
