#include "lib/aws/xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

struct reader {
    XML_Parser parser;
    struct xml_field *fields;
    size_t n;
    struct xml_field *open; /* the one whose element is open */
    unsigned depth, open_depth;
    bool doctype, too_deep;
};

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct reader *reader = arg;
    const char *colon = strrchr(name, ':');
    const char *local = colon ? colon + 1 : name;
    if (++reader->depth > DEPTH_MAX) {
        reader->too_deep = true;
        XML_StopParser(reader->parser, XML_FALSE);
    }
    for (size_t i = 0; i < reader->n && !reader->open; i++) {
        struct xml_field *field = &reader->fields[i];
        if (!field->found && strcmp(field->name, local) == 0) {
            field->found = true;
            reader->open = field;
            reader->open_depth = reader->depth;
        }
    }
}

static void on_end(void *arg, const char *name)
{
    struct reader *reader = arg;
    if (reader->open && reader->depth == reader->open_depth)
        reader->open = NULL;
    reader->depth--;
}

static void on_text(void *arg, const char *text, int length)
{
    struct reader *reader = arg;
    struct xml_field *field = reader->open;
    if (!field || reader->depth != reader->open_depth)
        return;
    size_t used = strlen(field->text);
    if ((size_t)length >= field->size - used || memchr(text, '\0', (size_t)length)) {
        field->text[0] = '\0';
        reader->open = NULL;
        return;
    }
    memcpy(field->text + used, text, (size_t)length);
    field->text[used + (size_t)length] = '\0';
}

static void on_doctype(void *arg, const char *name, const char *system_id, const char *public_id,
                       int internal)
{
    struct reader *reader = arg;
    reader->doctype = true;
    XML_StopParser(reader->parser, XML_FALSE);
}

int xml_read(const char *body, size_t length, struct xml_field *fields, size_t n, struct error *err)
{
    struct reader reader = {.fields = fields, .n = n, .parser = XML_ParserCreate("UTF-8")};
    if (!reader.parser)
        return error_set_errno(err, ENOMEM, "reading XML");
    for (size_t i = 0; i < n; i++) {
        fields[i].text[0] = '\0';
        fields[i].found = false;
    }
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader.parser, on_doctype);
    int r = 0;
    if (length > INT_MAX || !XML_Parse(reader.parser, body, (int)length, 1)) {
        const char *why = reader.doctype    ? "it has a document type"
                          : reader.too_deep ? "it is nested too deeply"
                                            : XML_ErrorString(XML_GetErrorCode(reader.parser));
        r = error_set(err, EINVAL, "not valid XML: %s at line %lu", why,
                      (unsigned long)XML_GetCurrentLineNumber(reader.parser));
    }
    XML_ParserFree(reader.parser);
    return r;
}
