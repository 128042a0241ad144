#include "lib/json_path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/base64.h"

enum { KEY_MAX = 32 };

int json_path_set(json_t *object, const char *key, const char *path)
{
    char exact[KEY_MAX];
    json_t *shown = json_string(path);
    if (shown)
        return json_object_set_new(object, key, shown) < 0 ? -ENOMEM : 0;
    size_t length = strlen(path);
    _cleanup_free_ char *text = calloc(1, BASE64_LENGTH(length) + 1);
    if (!text)
        return -ENOMEM;
    base64_encode(path, length, text);
    snprintf(exact, sizeof(exact), "%s_base64", key);
    if (json_object_set_new(object, key, json_string_lossy(path)) < 0 ||
        json_object_set_new(object, exact, json_string(text)) < 0)
        return -ENOMEM;
    return 0;
}

static int decode(const char *key, const char *text, char **ret_path, struct error *err)
{
    size_t length = strlen(text), decoded;
    _cleanup_free_ char *path = malloc(length + 1);
    if (!path)
        return error_set(err, ENOMEM, "no memory");
    if (base64_decode(text, length, path, &decoded) < 0 || memchr(path, '\0', decoded))
        return error_set(err, EINVAL, "%s: it is not base64 of a path", key);
    path[decoded] = '\0';
    *ret_path = take_ptr(path);
    return 0;
}

int json_path_get(const json_t *object, const char *key, char **ret_path, struct error *err)
{
    char exact[KEY_MAX];
    const char *text;
    struct error missing;
    snprintf(exact, sizeof(exact), "%s_base64", key);
    int r = json_get_string(object, exact, BASE64_LENGTH(PATH_MAX), &text, &missing);
    if (r == 0)
        return decode(exact, text, ret_path, err);
    if (r == -ENOENT)
        r = json_get_string(object, key, PATH_MAX - 1, &text, &missing);
    if (r < 0)
        return error_set(err, -r, "%s", missing.text);
    *ret_path = strdup(text);
    return *ret_path ? 0 : error_set(err, ENOMEM, "no memory");
}
