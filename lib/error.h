/*
 * error: a failure in words, for the person who has to act on it.
 *
 *     if (bad)
 *         return error_set(err, EINVAL, "watch.max_dirs: \"%s\" is not a number", text);
 *     ...
 *     r = settings_load(..., &err);
 *     if (r < 0)
 *         log_error("%s", err.text);
 *
 * A function that takes a `struct error *` last returns 0 or -errno and leaves *err untouched on
 * success. The text is a complete sentence that names what was wrong. err may be NULL. Threads:
 * safe.
 */
#ifndef LIB_ERROR_H
#define LIB_ERROR_H

struct error {
    int code; /* errno value, positive */
    char text[512];
};

/* Fill err (code is a positive errno value); returns -code, so that failing is one line. */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with ": " and what the code means behind the text. */
int error_set_errno(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put context before the text that is there: "CONTEXT: text". */
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "EROFS" for EROFS, "errno 12345" for what has no name; a static or thread-local string. */
const char *error_name(int code);

#endif
