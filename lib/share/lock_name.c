#include "lib/share/lock_name.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "lib/share/layout.h"

static bool is_plain(const char *name, size_t i)
{
    unsigned char c = (unsigned char)name[i];
    return (c < 0x80 && isalnum(c)) || c == '_' || c == '-' || (c == '.' && i > 0);
}

static size_t encoded_length(const char *name)
{
    size_t length = 0;
    for (size_t i = 0; name[i]; i++)
        length += is_plain(name, i) ? 1 : 3;
    return length;
}

int lock_name_check(const char *name, struct error *err)
{
    size_t length = strlen(name);
    if (length == 0)
        return error_set(err, EINVAL, "a lock needs a name");
    if (length > LOCK_NAME_MAX)
        return error_set(err, EINVAL, "the name of a lock can have %d bytes, this one has %zu",
                         LOCK_NAME_MAX, length);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return error_set(err, EINVAL, "the name of a lock has a control character at byte %zu",
                             i + 1);
    _cleanup_json_ json_t *text = json_stringn(name, length); /* it checks the encoding */
    if (!text)
        return error_set(err, EINVAL, "the name of a lock is not UTF-8");
    if (encoded_length(name) > NAME_MAX)
        return error_set(err, EINVAL,
                         "the name of a lock is too long for a file: characters other than "
                         "letters, digits, \".\", \"_\" and \"-\" count three times for each byte, "
                         "and %d is the most; this one has %zu",
                         NAME_MAX, encoded_length(name));
    return 0;
}

const char *lock_name_file(const char *name, char buf[LOCK_FILE_SIZE])
{
    char *p = buf;
    for (size_t i = 0; name[i]; i++) {
        if (is_plain(name, i))
            *p++ = name[i];
        else
            p += sprintf(p, "%%%02X", (unsigned char)name[i]);
    }
    *p = '\0';
    return buf;
}

/* FNV-1a, the same in every version: it spreads the files over 256 directories. */
const char *lock_name_path(const char *name, char buf[LOCK_PATH_SIZE])
{
    char file[LOCK_FILE_SIZE];
    uint32_t hash = 2166136261;
    for (const char *p = name; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619;
    snprintf(buf, LOCK_PATH_SIZE, LAYOUT_LOCKS "/%02x/%s", (hash ^ hash >> 16) & 0xff,
             lock_name_file(name, file));
    return buf;
}
