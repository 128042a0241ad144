#include "lib/parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"

/* Digits from *text on; *text then points behind them. -EINVAL: no digit, -ERANGE: more than
 * int64_t holds. */
static int take_number(const char **text, int64_t *ret_value)
{
    int64_t value = 0;
    const char *p = *text;
    if (!isdigit((unsigned char)*p))
        return -EINVAL;
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value))
            return -ERANGE;
    }
    *text = p;
    *ret_value = value;
    return 0;
}

static int check_range(int64_t value, int64_t min, int64_t max, int64_t *ret_value)
{
    if (value < min || value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
    bool negative = *text == '-';
    int64_t value;
    if (negative)
        text++;
    int r = take_number(&text, &value);
    if (r < 0)
        return r;
    if (*text)
        return -EINVAL;
    return check_range(negative ? -value : value, min, max, ret_value);
}

struct unit {
    const char *name;
    int64_t factor;
};

static int parse_with_unit(const char *text, const struct unit *units, size_t n_units, int64_t min,
                           int64_t max, int64_t *ret_value)
{
    int64_t value;
    int r = take_number(&text, &value);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n_units; i++) {
        if (strcmp(text, units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow(value, units[i].factor, &value))
            return -ERANGE;
        return check_range(value, min, max, ret_value);
    }
    return -EINVAL;
}

int parse_duration_ms(const char *text, int64_t min_ms, int64_t max_ms, int64_t *ret_ms)
{
    static const struct unit units[] = {
        {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
    };
    return parse_with_unit(text, units, ARRAY_LEN(units), min_ms, max_ms, ret_ms);
}

int parse_size_bytes(const char *text, int64_t min_bytes, int64_t max_bytes, int64_t *ret_bytes)
{
    static const struct unit units[] = {
        {"", 1},
        {"K", 1LL << 10},
        {"KiB", 1LL << 10},
        {"M", 1LL << 20},
        {"MiB", 1LL << 20},
        {"G", 1LL << 30},
        {"GiB", 1LL << 30},
        {"T", 1LL << 40},
        {"TiB", 1LL << 40},
    };
    return parse_with_unit(text, units, ARRAY_LEN(units), min_bytes, max_bytes, ret_bytes);
}

int parse_bool(const char *text, bool *ret_value)
{
    static const char *const words[][2] = {
        {"false", "true"},
        {"no", "yes"},
        {"off", "on"},
        {"0", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        for (int value = 0; value < 2; value++) {
            if (strcasecmp(text, words[i][value]) == 0) {
                *ret_value = value;
                return 0;
            }
        }
    }
    return -EINVAL;
}

int parse_mode(const char *text, mode_t *ret_mode)
{
    unsigned value = 0;
    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '7')
            return -EINVAL;
        value = value * 8 + (unsigned)(*text - '0');
        if (value > 07777)
            return -ERANGE;
    }
    *ret_mode = value;
    return 0;
}

int parse_ids(const char *text, uid_t *ret_uid, gid_t *ret_gid)
{
    /* (uid_t)-1 means "no id" to the kernel, so it is outside the bounds. */
    const int64_t max_id = UINT32_MAX - 1;
    int64_t uid, gid;
    int r = take_number(&text, &uid);
    if (r < 0)
        return r;
    if (*text++ != ':')
        return -EINVAL;
    r = take_number(&text, &gid);
    if (r < 0)
        return r;
    if (*text)
        return -EINVAL;
    if (uid > max_id || gid > max_id)
        return -ERANGE;
    *ret_uid = (uid_t)uid;
    *ret_gid = (gid_t)gid;
    return 0;
}
