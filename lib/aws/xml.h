/*
 * xml: the text of a few elements of a small XML answer, with expat.
 *
 *     char arn[256], account[32];
 *     struct xml_field fields[] = {{"Arn", arn, sizeof(arn)},
 *                                  {"Account", account, sizeof(account)}};
 *     r = xml_read(body, length, fields, 2, &err);
 *
 * The first element of each name counts, at any depth, its direct text only; what does not fit is
 * as good as missing. Buffers of what is missing hold "". A document type is refused, and with it
 * every entity but the five of XML itself. Errors: -EINVAL, the error names line and what is wrong.
 */
#ifndef LIB_AWS_XML_H
#define LIB_AWS_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

struct xml_field {
    const char *name; /* without namespace */
    char *text;
    size_t size;
    bool found;
};

int xml_read(const char *body, size_t length, struct xml_field *fields, size_t n,
             struct error *err);

#endif
