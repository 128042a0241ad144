/* The answers of credential endpoints. */
#include <string.h>

#include "lib/aws/credentials.h"
#include "lib/clock.h"
#include "tests/fuzz/driver.h"

#define SENT_MS INT64_C(1795420800000) /* 2026-11-23T08:00:00Z */

int fuzz_parse(const char *text, size_t length)
{
    struct credentials *c = NULL;
    struct error err = {0};
    int64_t now_ms = clock_now_ms();
    int r = credentials_parse("container", text, length, SENT_MS, &c, &err);
    MUST((r == 0) == (c != NULL) && (r < 0) == (err.text[0] != '\0'));
    if (!c)
        return -1;
    MUST(c->access_key_id[0] && c->secret_access_key[0]);
    MUST(!strpbrk(c->session_token, "\r\n ") && !strpbrk(c->secret_access_key, "\r\n "));
    MUST(c->refresh_ms >= now_ms && c->refresh_ms <= c->expires_ms);
    credentials_unref(c);
    return 0;
}
