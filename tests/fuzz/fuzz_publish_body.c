/* What a client asks to publish. */
#include <limits.h>
#include <string.h>

#include "lib/error.h"
#include "sidecar/publish_body.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    struct publish_body body = {0};
    struct error err = {0};
    int r = publish_body_parse(text, length, &body, &err);
    MUST(r == 0 || err.text[0]);
    if (r == 0) {
        MUST(body.n >= 1 && body.n <= PUBLISH_FILES_MAX && (body.mode & ~(mode_t)07777) == 0);
        for (size_t i = 0; i < body.n; i++)
            MUST(strlen(body.files[i].from) < PATH_MAX && strlen(body.files[i].to) < PATH_MAX);
    }
    publish_body_release(&body);
    return r;
}
