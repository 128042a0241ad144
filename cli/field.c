#include "cli/field.h"

#include <math.h>

#include "lib/text.h"

const char *field_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

long long field_integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

double field_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *field_duration(const json_t *object, const char *key, char *buf)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? text_duration(json_integer_value(value), buf) : "-";
}
