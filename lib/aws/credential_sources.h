/*
 * credential_sources: where credentials come from, as a table in order of preference. The first
 * source that is configured is the one that is used; when it fails, no other is asked, because
 * silently acting as somebody else is worse than failing.
 *
 *   environment  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   container    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (ECS), or _FULL_URI with
 *                AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or _TOKEN. Without TLS only this host's own
 *                addresses are asked. The file is read anew each time
 *   instance     the instance metadata service, version 2 only; not on Fargate, which has none, and
 *                not when AWS_EC2_METADATA_DISABLED is true
 *
 * Threads: any but a loop thread. Errors as in http.h; the text names variable and URL.
 */
#ifndef LIB_AWS_CREDENTIAL_SOURCES_H
#define LIB_AWS_CREDENTIAL_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/aws/credentials.h"

struct credential_source {
    const char *name;
    bool of_task; /* not those of the host, which any task on it has */
    bool (*configured)(void);
    int (*fetch)(int64_t deadline_ms, struct credentials **ret_credentials, struct error *err);
};

/* The first that is configured, or NULL. */
const struct credential_source *credential_source_find(void);

/* May credentials be fetched from this URL? -EACCES, -EINVAL. */
int credential_source_check_url(const char *url, struct error *err);

#endif
