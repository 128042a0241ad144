/* A token as text: from a file's name in a stage, or from a client. */
#include <string.h>

#include "lib/cleanup.h"
#include "lib/share/lock_record.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    char again[LOCK_TOKEN_TEXT];
    struct lock_token token, same;
    _cleanup_free_ char *copy = strndup(text, length);
    MUST(copy);
    if (lock_token_parse(copy, &token) < 0)
        return -1;
    MUST(strspn(copy, "0123456789.") == strlen(copy));
    MUST(lock_token_parse(lock_token_format(&token, again), &same) == 0);
    MUST(lock_token_compare(&token, &same) == 0);
    return 0;
}
