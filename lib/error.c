#include "lib/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void append(struct error *err, const char *text)
{
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", text);
}

int error_set(struct error *err, int code, const char *format, ...)
{
    if (!err)
        return -code;
    va_list args;
    va_start(args, format);
    err->code = code;
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return -code;
}

int error_set_errno(struct error *err, int code, const char *format, ...)
{
    if (!err)
        return -code;
    va_list args;
    va_start(args, format);
    err->code = code;
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    const char *meaning = strerrordesc_np(code);
    append(err, meaning ? meaning : error_name(code));
    return -code;
}

void error_prefix(struct error *err, const char *format, ...)
{
    if (!err)
        return;
    struct error old = *err;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    append(err, old.text);
}

const char *error_name(int code)
{
    static _Thread_local char unknown[32];
    const char *name = strerrorname_np(code);
    if (name)
        return name;
    snprintf(unknown, sizeof(unknown), "errno %d", code);
    return unknown;
}
