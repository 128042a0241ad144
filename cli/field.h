/*
 * field: fields of what the API answers, for printing. One that is missing or of another type is
 * "-", 0 or NAN: whoever answers is not trusted, and an older sidecar knows fewer.
 *
 * Threads: safe.
 */
#ifndef CLI_FIELD_H
#define CLI_FIELD_H

#include <jansson.h>
#include <stdint.h>

const char *field_text(const json_t *object, const char *key);
long long field_integer(const json_t *object, const char *key);
double field_number(const json_t *object, const char *key);

/* As text_duration() into buf of TEXT_SHORT bytes, or "-". */
const char *field_duration(const json_t *object, const char *key, char *buf);

#endif
