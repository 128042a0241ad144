/*
 * publish_body: what a client asks for with POST /v1/publish, out of its JSON.
 *
 *     {"mount":"/data", "from":"tasks/web-1/a.tmp", "to":"in/a.jpg", "replace":true, "mkdir":true,
 *      "mode":"0640", "digest":true, "timeout_ms":60000,
 *      "lock":"NAME", "token":"G.N" | "hold":"HEX"}
 *     {"files":[{"from":"...","to":"..."},...], "manifest":"in/batch.json", ...}
 *
 * Only from and to are needed. A path that is not UTF-8 is given in base64, as from_base64,
 * to_base64 or manifest_base64.
 *
 *     _cleanup_publish_body_ struct publish_body body = {0};
 *     r = publish_body_parse(text, length, &body, &err);
 *
 * Errors: -EINVAL, and a sentence that names the field. Ownership: the strings are the body's.
 * Threads: safe.
 */
#ifndef SIDECAR_PUBLISH_BODY_H
#define SIDECAR_PUBLISH_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/cleanup.h"
#include "lib/error.h"
#include "lib/share/lock_record.h"

enum { PUBLISH_FILES_MAX = 1000 };

struct publish_names {
    char *from, *to;
};

struct publish_body {
    json_t *root;
    const char *mount; /* NULL: the first that can be published on */
    struct publish_names *files;
    size_t n;
    char *manifest; /* NULL: none */
    bool replace, mkdir, digest;
    mode_t mode; /* 0: as configured */
    int64_t timeout_ms;
    const char *lock; /* NULL: by the hold, or under none */
    struct lock_token token;
    uint64_t hold_id;
};

int publish_body_parse(const char *text, size_t length, struct publish_body *ret_body,
                       struct error *err);
void publish_body_release(struct publish_body *body);

#define _cleanup_publish_body_ _cleanup_(publish_body_release)

#endif
