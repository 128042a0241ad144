#include "lib/text.h"

#include <string.h>

/* Of the character that begins here; 0: it is none in UTF-8. */
static size_t utf8_bytes(const unsigned char *p, size_t left)
{
    const size_t n = *p < 0x80   ? 1
                     : *p < 0xc2 ? 0
                     : *p < 0xe0 ? 2
                     : *p < 0xf0 ? 3
                     : *p < 0xf5 ? 4
                                 : 0;
    for (size_t i = 1; i < n; i++)
        if (i >= left || (p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* C0, DEL, and C1 in its UTF-8 form (0xC2 0x80-0x9F): what a terminal may act on. So may one that
 * is not set to UTF-8 on C1 as single bytes: what is no character is shown as its bytes, too. */
static size_t control_bytes(const unsigned char *p, size_t left)
{
    if (*p < 0x20 || *p == 0x7f || utf8_bytes(p, left) == 0)
        return 1;
    return p[0] == 0xc2 && p[1] <= 0x9f ? 2 : 0;
}

/* Returns the columns that it took: continuation bytes of UTF-8 take none. */
static size_t put(FILE *out, const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + length;
    size_t columns = 0;
    while (p < end) {
        size_t left = (size_t)(end - p), control = control_bytes(p, left);
        size_t plain = control > 0 ? 0 : utf8_bytes(p, left);
        columns += control > 0 ? 4 * control : 1;
        fwrite(p, 1, plain, out);
        p += plain;
        while (control-- > 0)
            fprintf(out, "\\x%02x", *p++);
    }
    return columns;
}

void text_put(FILE *out, const char *text)
{
    put(out, text, strlen(text));
}

void text_column(FILE *out, int width, const char *text)
{
    size_t columns = put(out, text, strlen(text));
    fprintf(out, "%*s", columns < (size_t)width ? width + 1 - (int)columns : 1, "");
}

static size_t columns_of(const char *text, size_t length)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

void text_wrap(FILE *out, int indent, const char *text)
{
    text_item(out, indent, "", text);
}

void text_item(FILE *out, int indent, const char *title, const char *text)
{
    size_t column = 0;
    for (const char *p = text + strspn(text, " \n"); *p; p += strspn(p, " \n")) {
        size_t length = strcspn(p, " \n"), width = columns_of(p, length);
        if (column > 0 && (size_t)indent + column + 1 + width > TEXT_WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%-*s", column > 0 ? 1 : indent, column > 0 ? " " : title);
        title = "";
        put(out, p, length);
        column += (column > 0) + width;
        p += length;
    }
    fputc('\n', out);
}

const char *text_duration(int64_t ms, char *buf)
{
    long long s = ms / 1000;
    if (ms < 1)
        snprintf(buf, TEXT_SHORT, "<1ms");
    else if (ms < 1000)
        snprintf(buf, TEXT_SHORT, "%lldms", (long long)ms);
    else if (s < 60)
        snprintf(buf, TEXT_SHORT, "%llds", s);
    else if (s < 3600)
        snprintf(buf, TEXT_SHORT, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(buf, TEXT_SHORT, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(buf, TEXT_SHORT, "%lldd%02lldh", s / 86400, s / 3600 % 24);
    return buf;
}

const char *text_duration_exact(int64_t ms, char *buf)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;
    while (ms % units[i].ms != 0 || (ms == 0 && units[i].ms > 1000))
        i++;
    snprintf(buf, TEXT_SHORT, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
    return buf;
}

const char *text_size(int64_t bytes, char *buf)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(buf, TEXT_SHORT, "%lld B", (long long)bytes);
        return buf;
    }
    double value = (double)bytes / 1024;
    int unit = 0;
    while (value >= 1023.5) {
        value /= 1024;
        unit++;
    }
    snprintf(buf, TEXT_SHORT, value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return buf;
}
