/* Any text or JSON of a task. The answer is whole JSON, and prints without control characters. */
#include <stdio.h>

#include "lib/explain/explain.h"
#include "lib/json.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *shown = NULL;
    size_t shown_length;
    struct error err = {0};
    int r = explain(text, length, length % 2 ? "web" : NULL, &answer, &err);
    MUST((r == 0) == (answer != NULL) && (r < 0) == (err.text[0] != '\0'));
    if (r < 0)
        return -1;
    _cleanup_free_ char *dumped = json_dumps(answer, 0);
    FILE *out = open_memstream(&shown, &shown_length);
    MUST(dumped && out);
    explain_print(answer, out);
    MUST(fclose(out) == 0 && shown_length > 0);
    for (size_t i = 0; i < shown_length; i++)
        MUST((unsigned char)shown[i] >= ' ' || shown[i] == '\n');
    return explain_known(answer) ? 0 : -1;
}
