/* What answers efsctl on a socket that may be somebody else's. */
#include <string.h>

#include "cli/response.h"
#include "lib/error.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    struct response response = {0};
    struct error err = {0};
    if (response_parse(text, length, &response, &err) < 0)
        return -1;
    MUST(response.status >= 100 && response.status <= 599 && response.body_bytes >= -1);
    MUST(response.head_bytes > 0 && response.head_bytes <= length);
    MUST(response.head_bytes <= RESPONSE_HEAD_MAX);
    return 0;
}
