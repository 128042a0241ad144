#include "lib/share/change.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"

enum { CHANGE_VERSION = 1 };

static const char *const op_names[] = {
    [CHANGE_CREATE] = "create", [CHANGE_MODIFY] = "modify", [CHANGE_DELETE] = "delete",
    [CHANGE_RENAME] = "rename", [CHANGE_ATTRIB] = "attrib", [CHANGE_PUBLISH] = "publish",
    [CHANGE_RESYNC] = "resync",
};

static const char *const reason_names[] = {
    [CHANGE_REASON_NONE] = "",
    [CHANGE_REASON_OVERFLOW] = "overflow",
    [CHANGE_REASON_SLOW_READER] = "slow_reader",
    [CHANGE_REASON_BLIND] = "blind",
    [CHANGE_REASON_UNLINKED] = "unlinked",
    [CHANGE_REASON_RESTART] = "restart",
    [CHANGE_REASON_ROOT_REPLACED] = "root_replaced",
    [CHANGE_REASON_RENAMED] = "renamed",
    [CHANGE_REASON_PEER_DIED] = "peer_died",
    [CHANGE_REASON_FENCED] = "fenced",
    [CHANGE_REASON_JOURNAL_GAP] = "journal_gap",
    [CHANGE_REASON_SCAN] = "scan",
};

static const char *const source_names[] = {
    [CHANGE_SOURCE_LOCAL] = "local",
    [CHANGE_SOURCE_PEER] = "peer",
    [CHANGE_SOURCE_SCAN] = "scan",
};

const char *change_op_name(enum change_op op)
{
    return op >= CHANGE_CREATE && op < ARRAY_LEN(op_names) ? op_names[op] : "unknown";
}

const char *change_reason_name(enum change_reason reason)
{
    return reason < ARRAY_LEN(reason_names) ? reason_names[reason] : "unknown";
}

const char *change_source_name(enum change_source source)
{
    return source < ARRAY_LEN(source_names) ? source_names[source] : "unknown";
}

/* Relative, no empty, "." or ".." component; "" is the root. */
static bool path_is_clean(const char *path)
{
    if (!*path)
        return true;
    for (const char *name = path;; name++) {
        size_t n = strcspn(name, "/");
        if (n == 0 || (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
            return false;
        name += n;
        if (!*name)
            return true;
    }
}

static bool is_valid(const struct change *c)
{
    return c->op >= CHANGE_CREATE && c->op < ARRAY_LEN(op_names) &&
           c->reason < ARRAY_LEN(reason_names) && c->source < ARRAY_LEN(source_names) &&
           (c->op == CHANGE_RESYNC) == (c->reason != CHANGE_REASON_NONE) &&
           (c->op == CHANGE_RENAME) == (c->from && *c->from) &&
           (!(c->flags & CHANGE_HAS_DIGEST) || c->sha256) && path_is_clean(c->path) &&
           (!c->from || path_is_clean(c->from));
}

int64_t change_time_ns(const struct statx_timestamp *time)
{
    int64_t ns;
    if (__builtin_mul_overflow(time->tv_sec, (int64_t)1000000000, &ns) ||
        __builtin_add_overflow(ns, (int64_t)time->tv_nsec, &ns))
        return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static uint8_t *put_text(uint8_t *p, const char *text, size_t length)
{
    memcpy(p, text, length);
    p[length] = '\0';
    return p + length + 1;
}

static size_t digest_bytes(uint32_t flags)
{
    return flags & CHANGE_HAS_DIGEST ? CHANGE_DIGEST_BYTES : 0;
}

int change_encode(const struct change *c, uint8_t *buffer, size_t size)
{
    const char *from = c->from ? c->from : "", *observer = c->observer ? c->observer : "";
    size_t path_length = strlen(c->path), from_length = strlen(from),
           observer_length = strlen(observer);
    if (path_length > CHANGE_PATH_MAX || from_length > CHANGE_PATH_MAX ||
        observer_length > CHANGE_OBSERVER_MAX || !is_valid(c))
        return -EINVAL;
    size_t length = CHANGE_HEADER_BYTES + path_length + from_length + observer_length + 3 +
                    digest_bytes(c->flags);
    if (length > size)
        return -EMSGSIZE;

    uint8_t *p = buffer;
    *p++ = CHANGE_VERSION;
    *p++ = (uint8_t)c->op;
    *p++ = (uint8_t)c->reason;
    *p++ = (uint8_t)observer_length;
    p = put_le32(p, c->flags);
    p = put_le32(p, c->epoch);
    p = put_le32(p, c->source);
    p = put_le64(p, c->sequence);
    p = put_le64(p, c->size);
    p = put_le64(p, (uint64_t)c->mtime_ns);
    p = put_le64(p, (uint64_t)c->ctime_ns);
    p = put_le16(p, (uint16_t)path_length);
    p = put_le16(p, (uint16_t)from_length);
    p = put_text(p, c->path, path_length);
    p = put_text(p, from, from_length);
    p = put_text(p, observer, observer_length);
    if (c->flags & CHANGE_HAS_DIGEST)
        memcpy(p, c->sha256, CHANGE_DIGEST_BYTES);
    return (int)length;
}

/* A string of exactly this length with its NUL, at *data; moves *data behind it. */
static const char *get_text(const uint8_t **data, size_t length)
{
    const char *text = (const char *)*data;
    if (strnlen(text, length + 1) != length)
        return NULL;
    *data += length + 1;
    return text;
}

int change_decode(const uint8_t *data, size_t length, struct change *ret_change)
{
    if (length < CHANGE_HEADER_BYTES || data[0] != CHANGE_VERSION)
        return -EBADMSG;
    size_t observer_length = data[3], path_length = get_le16(data + 48),
           from_length = get_le16(data + 50);
    if (path_length > CHANGE_PATH_MAX || from_length > CHANGE_PATH_MAX ||
        length != CHANGE_HEADER_BYTES + path_length + from_length + observer_length + 3 +
                      digest_bytes(get_le32(data + 4)))
        return -EBADMSG;
    struct change c = {
        .op = data[1],
        .reason = data[2],
        .flags = get_le32(data + 4),
        .epoch = get_le32(data + 8),
        .source = data[12],
        .sequence = get_le64(data + 16),
        .size = get_le64(data + 24),
        .mtime_ns = (int64_t)get_le64(data + 32),
        .ctime_ns = (int64_t)get_le64(data + 40),
    };
    const uint8_t *p = data + CHANGE_HEADER_BYTES;
    c.path = get_text(&p, path_length);
    if (!c.path)
        return -EBADMSG;
    c.from = get_text(&p, from_length);
    if (!c.from)
        return -EBADMSG;
    c.observer = get_text(&p, observer_length);
    c.sha256 = c.flags & CHANGE_HAS_DIGEST ? p : NULL;
    if (!c.observer || !is_valid(&c))
        return -EBADMSG;
    *ret_change = c;
    return 0;
}

const char *change_cursor_format(uint32_t epoch, uint64_t sequence, char *buf)
{
    snprintf(buf, CHANGE_CURSOR_TEXT, "%" PRIu32 ".%" PRIu64, epoch, sequence);
    return buf;
}

int change_cursor_parse(const char *text, uint32_t *ret_epoch, uint64_t *ret_sequence)
{
    uint64_t parts[2] = {0, 0};
    const uint64_t limits[2] = {UINT32_MAX, UINT64_MAX};
    for (int i = 0; i < 2; i++) {
        const char *start = text;
        for (; *text >= '0' && *text <= '9'; text++) {
            unsigned digit = (unsigned)(*text - '0');
            if (parts[i] > (limits[i] - digit) / 10)
                return -ERANGE;
            parts[i] = parts[i] * 10 + digit;
        }
        if (text == start || *text != (i == 0 ? '.' : '\0'))
            return -EINVAL;
        text++;
    }
    *ret_epoch = (uint32_t)parts[0];
    *ret_sequence = parts[1];
    return 0;
}
