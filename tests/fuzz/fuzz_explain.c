/* explain: any bytes, as a text or as JSON. What it answers is whole, prints, and holds no control
 * character. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/explain/explain.h"
#include "lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *shown = NULL;
    size_t length;
    if (explain((const char *)data, size, size % 2 ? "web" : NULL, &answer, NULL) < 0)
        return 0;
    _cleanup_free_ char *dumped = json_dumps(answer, 0);
    assert(dumped);
    FILE *out = open_memstream(&shown, &length);
    assert(out);
    explain_print(answer, out);
    assert(fclose(out) == 0 && length > 0);
    for (size_t i = 0; i < length; i++)
        assert((unsigned char)shown[i] >= ' ' || shown[i] == '\n');
    return 0;
}
