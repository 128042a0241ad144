#include "lib/share/change_line.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "lib/base64.h"

struct line {
    char *at, *end; /* at == NULL: it did not fit */
};

static void put(struct line *line, const char *text, size_t length)
{
    if (!line->at || (size_t)(line->end - line->at) < length) {
        line->at = NULL;
        return;
    }
    memcpy(line->at, text, length);
    line->at += length;
}

#define PUT(line, literal) put((line), "" literal, sizeof(literal) - 1)

static void put_word(struct line *line, const char *word)
{
    put(line, word, strlen(word));
}

static void put_u64(struct line *line, uint64_t value)
{
    char digits[20], *p = digits + sizeof(digits);
    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(line, p, (size_t)(digits + sizeof(digits) - p));
}

/* The bytes of the UTF-8 character at p; 0: there is none. A NUL is no continuation. */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0, beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

static void put_escaped(struct line *line, unsigned char c)
{
    static const char short_forms[] = "\bb\ff\nn\rr\tt\"\"\\\\", hex[] = "0123456789ABCDEF";
    for (const char *p = short_forms; *p; p += 2) {
        if ((unsigned char)p[0] == c) {
            put(line, (const char[]){'\\', p[1]}, 2);
            return;
        }
    }
    put(line, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* Up to the NUL, or what has to be written in another way. */
static size_t plain_length(const unsigned char *p)
{
    size_t n = 0;
    while (p[n] >= 0x20 && p[n] < 0x80 && p[n] != '"' && p[n] != '\\')
        n++;
    return n;
}

/* With its quotes. False: it is not UTF-8, what is not ASCII was written as '?'. */
static bool put_string(struct line *line, const char *text)
{
    bool exact = true;
    char *start = line->at;
    PUT(line, "\"");
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = plain_length(p);
        put(line, (const char *)p, n);
        p += n;
        if (*p >= 0x80) {
            n = exact ? utf8_length(p) : 0;
            if (n == 0 && exact) { /* once more from the start */
                exact = false;
                line->at = line->at ? start : NULL;
                p = (const unsigned char *)text;
                PUT(line, "\"");
                continue;
            }
            put(line, n > 0 ? (const char *)p : "?", n > 0 ? n : 1);
            p += n > 0 ? n : 1;
        } else if (*p) {
            put_escaped(line, *p++);
        }
    }
    PUT(line, "\"");
    return exact;
}

static void put_base64(struct line *line, const char *text)
{
    size_t length = strlen(text), needed = BASE64_LENGTH(length);
    if (!line->at || (size_t)(line->end - line->at) < needed) {
        line->at = NULL;
        return;
    }
    base64_encode(text, length, line->at);
    line->at += needed;
}

/* ,"path":"..." and, if that is not UTF-8, ,"path_base64":"..." */
static void put_path(struct line *line, const char *key, const char *path)
{
    PUT(line, "\"");
    put_word(line, key);
    PUT(line, "\":");
    if (put_string(line, path))
        return;
    PUT(line, ",\"");
    put_word(line, key);
    PUT(line, "_base64\":\"");
    put_base64(line, path);
    PUT(line, "\"");
}

static char *two_digits(char *p, int value)
{
    *p++ = (char)('0' + value / 10);
    *p++ = (char)('0' + value % 10);
    return p;
}

/* As text: a JSON number would lose the nanoseconds in many readers. All that an int64_t can say
 * lies in years of four digits. */
static void put_time(struct line *line, int64_t ns)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000000;
    }
    struct tm tm = {0};
    gmtime_r(&(time_t){seconds}, &tm);
    char text[] = "\"YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ\"", *p = text + 1;
    p = two_digits(p, (tm.tm_year + 1900) / 100);
    p = two_digits(p, (tm.tm_year + 1900) % 100) + 1;
    p = two_digits(p, tm.tm_mon + 1) + 1;
    p = two_digits(p, tm.tm_mday) + 1;
    p = two_digits(p, tm.tm_hour) + 1;
    p = two_digits(p, tm.tm_min) + 1;
    p = two_digits(p, tm.tm_sec) + 1;
    for (int i = 8; i >= 0; i--, rest /= 10)
        p[i] = (char)('0' + rest % 10);
    put(line, text, sizeof(text) - 1);
}

static void put_attributes(struct line *line, const struct change *c)
{
    PUT(line, ",\"size\":");
    put_u64(line, c->size);
    PUT(line, ",\"mtime\":");
    put_time(line, c->mtime_ns);
}

static void put_digest(struct line *line, const uint8_t sha256[CHANGE_DIGEST_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    PUT(line, ",\"sha256\":\"");
    for (size_t i = 0; i < CHANGE_DIGEST_BYTES; i++)
        put(line, (const char[]){hex[sha256[i] >> 4], hex[sha256[i] & 15]}, 2);
    PUT(line, "\"");
}

size_t change_line(const struct change *c, const char *mount, char *buffer, size_t size)
{
    struct line line = {.at = buffer, .end = buffer + size};
    PUT(&line, "{");
    put_path(&line, "path", c->path);
    PUT(&line, ",\"op\":\"");
    put_word(&line, change_op_name(c->op));
    PUT(&line, "\"");
    if (c->op == CHANGE_RENAME) {
        PUT(&line, ",");
        put_path(&line, "from", c->from);
    }
    if (c->op == CHANGE_RESYNC) {
        PUT(&line, ",\"reason\":\"");
        put_word(&line, change_reason_name(c->reason));
        PUT(&line, "\"");
    }
    PUT(&line, ",\"source\":\"");
    put_word(&line, change_source_name(c->source));
    PUT(&line, "\"");
    if (c->flags & CHANGE_IS_DIR)
        PUT(&line, ",\"dir\":true");
    if (c->observer && *c->observer) {
        PUT(&line, ",\"observer\":");
        put_string(&line, c->observer);
    }
    if (c->flags & CHANGE_HAS_ATTRS)
        put_attributes(&line, c);
    if (c->flags & CHANGE_HAS_DIGEST)
        put_digest(&line, c->sha256);
    PUT(&line, ",\"cursor\":\"");
    put_u64(&line, c->epoch);
    PUT(&line, ".");
    put_u64(&line, c->sequence);
    PUT(&line, "\"");
    if (mount) {
        PUT(&line, ",\"mount\":");
        put_string(&line, mount);
    }
    PUT(&line, "}");
    return line.at ? (size_t)(line.at - buffer) : 0;
}
