#include "lib/explain/pattern.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

/* ---- the text ---- */

int explain_text_make(const char *raw, size_t length, struct explain_text *ret_text)
{
    if (length > EXPLAIN_TEXT_MAX)
        return -EFBIG;
    _cleanup_free_ char *text = malloc(length + 1);
    _cleanup_free_ char *lower = malloc(length + 1);
    if (!text || !lower)
        return -ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)raw[i];
        if (c <= ' ' || c == 0x7f) {
            if (n == 0 || text[n - 1] == ' ')
                continue;
            c = ' ';
        }
        text[n] = (char)c;
        lower[n++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    text[n] = lower[n] = '\0';
    *ret_text = (struct explain_text){take_ptr(text), take_ptr(lower), n};
    return 0;
}

void explain_text_release(struct explain_text *text)
{
    free(text->text);
    free(text->lower);
    *text = (struct explain_text){0};
}

/* ---- values ---- */

/* Letters and digits, and these. */
static bool made_of(const char *word, size_t length, const char *others)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)word[i]) && !strchr(others, word[i]))
            return false;
    return true;
}

static size_t hex_length(const char *word)
{
    return strspn(word, "0123456789abcdef");
}

static bool is_id(const char *word, size_t length, const char *prefix)
{
    enum { HEX_MIN = 6, HEX_MAX = 40 };
    size_t n = strlen(prefix);
    return length >= n + HEX_MIN && length <= n + HEX_MAX && memcmp(word, prefix, n) == 0 &&
           hex_length(word + n) >= length - n;
}

static bool is_file_system(const char *word, size_t length)
{
    return is_id(word, length, "fs-");
}

static bool is_access_point(const char *word, size_t length)
{
    return is_id(word, length, "fsap-");
}

static bool is_number(const char *word, size_t length)
{
    return length <= 5 && strspn(word, "0123456789") >= length;
}

static bool is_account(const char *word, size_t length)
{
    return length == 12 && strspn(word, "0123456789") >= length;
}

static bool is_path(const char *word, size_t length)
{
    return word[0] == '/' && made_of(word, length, "._/:@+=,-");
}

static bool is_name(const char *word, size_t length)
{
    return isalnum((unsigned char)word[0]) && made_of(word, length, "._-");
}

static bool is_arn(const char *word, size_t length)
{
    return length > 4 && memcmp(word, "arn:", 4) == 0 && made_of(word, length, "._/:@+=,-");
}

static bool is_image(const char *word, size_t length)
{
    return isalnum((unsigned char)word[0]) && made_of(word, length, "._/:@-");
}

static const struct {
    const char *name, *placeholder;
    bool (*fits)(const char *word, size_t length);
} kinds[VALUE_COUNT] = {
    [VALUE_FILE_SYSTEM] = {"fs", "FILE_SYSTEM_ID", is_file_system},
    [VALUE_ACCESS_POINT] = {"ap", "ACCESS_POINT_ID", is_access_point},
    [VALUE_REGION] = {"region", "REGION", is_name},
    [VALUE_ACCOUNT] = {"account", "ACCOUNT_ID", is_account},
    [VALUE_ZONE] = {"zone", "ZONE", is_name},
    [VALUE_HOST] = {"host", "MOUNT_TARGET", is_name},
    [VALUE_PATH] = {"path", "PATH", is_path},
    [VALUE_PORT] = {"port", "PORT", is_number},
    [VALUE_CONTAINER] = {"container", "CONTAINER", is_name},
    [VALUE_EXIT_CODE] = {"code", "CODE", is_number},
    [VALUE_ROLE] = {"role", "ROLE_ARN", is_arn},
    [VALUE_IMAGE] = {"image", "IMAGE", is_image},
    [VALUE_LOG_GROUP] = {"group", "LOG_GROUP", is_path},
    [VALUE_CLUSTER] = {"cluster", "CLUSTER", is_name},
    [VALUE_TASK] = {"task", "TASK_ARN", is_arn},
};

const char *explain_value_name(enum explain_value value)
{
    return kinds[value].name;
}

const char *explain_value_placeholder(enum explain_value value)
{
    return kinds[value].placeholder;
}

enum explain_value explain_value_from_name(const char *name, size_t length)
{
    enum explain_value value = 0;
    while (value < VALUE_COUNT &&
           (strlen(kinds[value].name) != length || memcmp(kinds[value].name, name, length) != 0))
        value++;
    return value;
}

void explain_value_set(struct explain_values *values, enum explain_value value, const char *word,
                       size_t length)
{
    char copy[EXPLAIN_WORD_MAX];
    if (length == 0 || length >= sizeof(copy) || values->of[value][0] != '\0')
        return;
    memcpy(copy, word, length);
    copy[length] = '\0';
    if (strlen(copy) == length && kinds[value].fits(copy, length))
        memcpy(values->of[value], copy, length + 1);
}

/* Up to the end or one of these; words have a limit so that the whole stays linear. */
static size_t word_length(const char *word, const char *stops)
{
    size_t length = 0;
    while (length < EXPLAIN_WORD_MAX && word[length] && !strchr(stops, word[length]))
        length++;
    return length;
}

/* The next needle at p or behind it that does not continue a word. */
static const char *next_word(const char *text, size_t length, const char *p, const char *needle)
{
    const char *end = text + length;
    for (; (p = memmem(p, (size_t)(end - p), needle, strlen(needle))); p++)
        if (p == text || (!isalnum((unsigned char)p[-1]) && p[-1] != '-'))
            return p;
    return NULL;
}

static void scan_ids(const struct explain_text *text, const char *prefix, enum explain_value value,
                     struct explain_values *values)
{
    const char *p = text->lower;
    for (; (p = next_word(text->lower, text->length, p, prefix)); p++)
        explain_value_set(values, value, p, strlen(prefix) + hex_length(p + strlen(prefix)));
}

/* fs-0123.efs.REGION.amazonaws.com, and fs-0123:/PATH as the mount command has it. */
static void scan_host(const struct explain_text *text, struct explain_values *values)
{
    const char *p = strstr(text->lower, ".efs.");
    if (p)
        explain_value_set(values, VALUE_REGION, p + 5, word_length(p + 5, ". \"'"));
    for (p = text->lower; (p = next_word(text->lower, text->length, p, "fs-")); p++) {
        size_t id = 3 + hex_length(p + 3);
        const char *path = text->text + (p - text->lower) + id + 1;
        size_t length = p[id] == ':' && *path == '/' ? word_length(path, " '\",;)") : 0;
        if (length > 1)
            explain_value_set(values, VALUE_PATH, path, length);
    }
}

/* arn:PARTITION:SERVICE:REGION:ACCOUNT:REST, whichever of these an ARN has. */
static void scan_arns(const struct explain_text *text, struct explain_values *values)
{
    const char *p = text->text;
    for (; (p = next_word(text->text, text->length, p, "arn:")); p += 4) {
        const char *field = p;
        for (int i = 0; i < 5; i++) {
            size_t length = word_length(field, ": \"'");
            if (i == 3)
                explain_value_set(values, VALUE_REGION, field, length);
            if (i == 4)
                explain_value_set(values, VALUE_ACCOUNT, field, length);
            field += length;
            if (*field != ':')
                break;
            field++;
        }
        size_t length = word_length(p, " \"'`,;)]}");
        if (strncmp(field, "role/", 5) == 0)
            explain_value_set(values, VALUE_ROLE, p, length);
        if (strncmp(field, "task/", 5) == 0)
            explain_value_set(values, VALUE_TASK, p, length);
    }
}

void explain_values_scan(const struct explain_text *text, struct explain_values *values)
{
    scan_ids(text, "fs-", VALUE_FILE_SYSTEM, values);
    scan_ids(text, "fsap-", VALUE_ACCESS_POINT, values);
    scan_host(text, values);
    scan_arns(text, values);
}

/* ---- forms ---- */

enum gap { GAP_NONE, GAP_ANY, GAP_WORD };

/* One step through a form: the gap, what a word is called, then the literal text. */
struct part {
    enum gap gap;
    const char *name, *literal;
    size_t name_length, literal_length;
};

static const char *next_part(const char *form, struct part *part)
{
    *part = (struct part){0};
    if (*form == '*') {
        part->gap = GAP_ANY;
        form++;
    } else if (*form == '{') {
        part->gap = GAP_WORD;
        part->name = form + 1;
        part->name_length = strcspn(part->name, "}");
        form += part->name_length + 2;
    }
    part->literal = form;
    part->literal_length = strcspn(form, "*{");
    return form + part->literal_length;
}

/* Without the quotes and brackets around it. */
static void trim(const char **word, size_t *length)
{
    while (*length > 0 && strchr("\"'`([<", **word)) {
        (*word)++;
        (*length)--;
    }
    while (*length > 0 && strchr("\"'`)]>.,;:", (*word)[*length - 1]))
        (*length)--;
}

struct cursor {
    const struct explain_text *text;
    struct explain_values *values; /* NULL: only look */
    size_t at;
};

static void take_word(const struct cursor *cursor, const struct part *part, size_t start,
                      size_t length)
{
    if (!cursor->values)
        return;
    const char *word = cursor->text->text + start;
    trim(&word, &length);
    explain_value_set(cursor->values, explain_value_from_name(part->name, part->name_length), word,
                      length);
}

/* Go over the gap and the literal behind it. */
static bool follow(struct cursor *cursor, const struct part *part)
{
    const char *lower = cursor->text->lower, *from = lower + cursor->at;
    size_t rest = cursor->text->length - cursor->at;
    if (part->gap == GAP_WORD && part->literal_length == 0) {
        size_t length = word_length(from, " ");
        take_word(cursor, part, cursor->at, length);
        cursor->at += length;
        return length > 0;
    }
    size_t gap = part->gap == GAP_ANY ? EXPLAIN_GAP_MAX : EXPLAIN_WORD_MAX;
    size_t window = rest < gap + part->literal_length ? rest : gap + part->literal_length;
    const char *p = memmem(from, window, part->literal, part->literal_length);
    if (!p)
        return false;
    size_t skipped = (size_t)(p - from);
    if (part->gap == GAP_WORD) {
        if (skipped == 0 || memchr(from, ' ', skipped))
            return false;
        take_word(cursor, part, cursor->at, skipped);
    }
    cursor->at += skipped + part->literal_length;
    return true;
}

/* The rest of a form behind its first literal. */
static bool follow_all(struct cursor *cursor, const char *form, size_t *literal)
{
    struct part part;
    while (*form) {
        form = next_part(form, &part);
        if (!follow(cursor, &part))
            return false;
        *literal += part.literal_length;
    }
    return true;
}

/* Where the word before a place starts. */
static size_t word_before(const char *text, size_t at)
{
    size_t start = at;
    while (start > 0 && at - start < EXPLAIN_WORD_MAX && text[start - 1] != ' ')
        start--;
    return start;
}

/* Not within a word. "\n" is how logs write a new line. */
static bool starts_word(const char *text, size_t at)
{
    if (at == 0 || !isalnum((unsigned char)text[at]) || !isalnum((unsigned char)text[at - 1]))
        return true;
    return text[at - 1] == 'n' && at > 1 && text[at - 2] == '\\';
}

bool explain_form_find(const struct explain_text *text, const char *form,
                       struct explain_found *ret_found)
{
    struct part first;
    const char *rest = next_part(form, &first), *lower = text->lower, *p = lower;
    size_t left = text->length;
    while ((p = memmem(p, left, first.literal, first.literal_length))) {
        size_t at = (size_t)(p - lower), start = at, literal = first.literal_length;
        struct cursor cursor = {.text = text, .at = at + first.literal_length};
        if (first.gap == GAP_WORD)
            start = word_before(lower, at);
        if ((first.gap == GAP_NONE ? starts_word(lower, at) : start < at) &&
            follow_all(&cursor, rest, &literal)) {
            *ret_found = (struct explain_found){start, cursor.at, literal};
            return true;
        }
        p++;
        left = text->length - at - 1;
    }
    return false;
}

void explain_form_values(const struct explain_text *text, const char *form,
                         const struct explain_found *found, struct explain_values *values)
{
    struct part first;
    const char *rest = next_part(form, &first);
    struct cursor cursor = {.text = text, .values = values, .at = found->start};
    size_t literal = 0;
    if (first.gap == GAP_WORD) {
        const char *p = memmem(text->lower + found->start, found->end - found->start, first.literal,
                               first.literal_length);
        size_t length = p ? (size_t)(p - text->lower) - found->start : 0;
        take_word(&cursor, &first, found->start, length);
        cursor.at += length;
    }
    cursor.at += first.literal_length;
    (void)follow_all(&cursor, rest, &literal);
}
