#include "lib/base64.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t length, char *buf)
{
    const uint8_t *in = data;
    for (; length > 0; length -= length < 3 ? length : 3, in += 3) {
        unsigned three = (unsigned)in[0] << 16 | (length > 1 ? (unsigned)in[1] << 8 : 0) |
                         (length > 2 ? in[2] : 0);
        *buf++ = digits[three >> 18];
        *buf++ = digits[three >> 12 & 63];
        *buf++ = length > 1 ? digits[three >> 6 & 63] : '=';
        *buf++ = length > 2 ? digits[three & 63] : '=';
    }
}

static int digit_value(char c)
{
    const char *digit = c ? strchr(digits, c) : NULL;
    return digit ? (int)(digit - digits) : -1;
}

/* Four characters, of which the last `padding` are '='. */
static int decode_four(const char *text, size_t padding, uint8_t out[3])
{
    unsigned three = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - padding ? digit_value(text[i]) : 0;
        if (value < 0 || (i >= 4 - padding && text[i] != '='))
            return -EINVAL;
        three = three << 6 | (unsigned)value;
    }
    out[0] = (uint8_t)(three >> 16);
    out[1] = (uint8_t)(three >> 8);
    out[2] = (uint8_t)three;
    for (size_t i = 3 - padding; i < 3; i++)
        if (out[i] != 0) /* bits that mean nothing */
            return -EINVAL;
    return 0;
}

int base64_decode(const char *text, size_t length, void *buf, size_t *ret_length)
{
    uint8_t *out = buf;
    size_t n = 0;
    if (length % 4 != 0)
        return -EINVAL;
    for (size_t at = 0; at < length; at += 4) {
        uint8_t three[3];
        bool is_last = at + 4 == length;
        size_t padding = !is_last || text[at + 3] != '=' ? 0 : text[at + 2] != '=' ? 1 : 2;
        if (decode_four(text + at, padding, three) < 0)
            return -EINVAL;
        memcpy(out + n, three, 3 - padding);
        n += 3 - padding;
    }
    *ret_length = n;
    return 0;
}
