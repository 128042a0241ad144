/*
 * pattern: finds the form of a known message in a text that people pasted, and the values in it.
 *
 *     struct explain_text text;
 *     r = explain_text_make(raw, length, &text);         // any bytes; white space as one blank
 *     explain_values_scan(&text, &values);               // ids and regions, wherever they stand
 *     if (explain_form_find(&text, "mounting {host}:{path} failed", &found))
 *         explain_form_values(&text, form, &found, &values);
 *     explain_text_release(&text);
 *
 * A form is lower-case text. `*` stands for up to EXPLAIN_GAP_MAX bytes of anything, `{name}` for
 * one word that becomes the value of that name. The first place where all parts follow each other
 * counts; parts are taken at their first occurrence, without trying later ones: the time is bounded
 * whatever the text.
 *
 * Values go into commands that people copy into a shell: only what has the shape of such a value is
 * kept, made of letters, digits and ._/:@+=,- alone. The first value of a name stays.
 *
 * Threads: safe, a text or values belong to one at a time.
 */
#ifndef LIB_EXPLAIN_PATTERN_H
#define LIB_EXPLAIN_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

enum {
    EXPLAIN_TEXT_MAX = 256 * 1024,
    EXPLAIN_GAP_MAX = 1024,
    EXPLAIN_WORD_MAX = 256,
};

enum explain_value {
    VALUE_FILE_SYSTEM,
    VALUE_ACCESS_POINT,
    VALUE_REGION,
    VALUE_ACCOUNT,
    VALUE_ZONE,
    VALUE_HOST,
    VALUE_PATH,
    VALUE_PORT,
    VALUE_CONTAINER,
    VALUE_EXIT_CODE,
    VALUE_ROLE,
    VALUE_IMAGE,
    VALUE_LOG_GROUP,
    VALUE_CLUSTER,
    VALUE_TASK,
    VALUE_COUNT
};

struct explain_text {
    char *text;  /* as pasted, each run of white space and control characters one blank */
    char *lower; /* the same in lower case */
    size_t length;
};

struct explain_values {
    char of[VALUE_COUNT][EXPLAIN_WORD_MAX]; /* "": not known */
};

struct explain_found {
    size_t start, end; /* in the text */
    size_t literal;    /* bytes of the form that had to be there: the more, the surer */
};

/* -ENOMEM, -EFBIG. */
int explain_text_make(const char *raw, size_t length, struct explain_text *ret_text);
void explain_text_release(struct explain_text *text);

/* "fs" for {fs} in forms and advice. */
const char *explain_value_name(enum explain_value value);
/* What advice says where a value is not known: "FILE_SYSTEM_ID". */
const char *explain_value_placeholder(enum explain_value value);
/* The value whose name is the length bytes at name; VALUE_COUNT: none. */
enum explain_value explain_value_from_name(const char *name, size_t length);

/* Keep it if it has the shape of that value and none is known yet. */
void explain_value_set(struct explain_values *values, enum explain_value value, const char *word,
                       size_t length);

void explain_values_scan(const struct explain_text *text, struct explain_values *values);

bool explain_form_find(const struct explain_text *text, const char *form,
                       struct explain_found *ret_found);

/* The {name}s of a form that was found. */
void explain_form_values(const struct explain_text *text, const char *form,
                         const struct explain_found *found, struct explain_values *values);

#endif
