/* The XML answers of STS. */
#include <string.h>

#include "lib/aws/sts.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    struct sts_identity who;
    struct error err = {0};
    int r = sts_parse_identity(text, length, &who, &err);
    MUST((r < 0) == (err.text[0] != '\0'));
    if (r < 0)
        return -1;
    MUST(who.arn[0] && memchr(who.arn, '\0', sizeof(who.arn)));
    MUST(who.account[0] && memchr(who.account, '\0', sizeof(who.account)));
    MUST(memchr(who.user_id, '\0', sizeof(who.user_id)));
    return 0;
}
