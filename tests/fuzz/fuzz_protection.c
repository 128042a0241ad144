/* What the agent of ECS answers to scale-in protection. */
#include "lib/error.h"
#include "sidecar/protection.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    struct error err = {0};
    int r = protection_parse(text, length, 200, &err);
    MUST((r < 0) == (err.text[0] != '\0'));
    MUST(protection_parse(text, length, 500, &err) < 0);
    return r;
}
