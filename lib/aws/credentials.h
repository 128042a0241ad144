/*
 * credentials: the keys that requests are signed with, fetched when they are needed, refreshed
 * before they expire, and never shown.
 *
 *     struct credentials_store *store;
 *     r = credentials_store_open(&store);
 *     ...
 *     _cleanup_credentials_ struct credentials *keys = NULL;
 *     r = credentials_get(store, deadline_ms, &keys, &err);
 *     ... keys->role_arn ...
 *     credentials_reject(store, keys);          // AWS called them expired: fetch anew next time
 *
 * They are fetched anew from about 5 minutes before they expire, or half their life if that is
 * less. While that fails, those that are still valid go on being given out, and a new attempt is
 * made after a pause. Lifetimes are measured from the Date of the answer that brought them, on
 * CLOCK_BOOTTIME: a wall clock that is set does not make them expire.
 *
 * Ownership: what credentials_get() returns is shared and does not change; give it back with
 * credentials_unref(). Secrets are wiped with the last reference (what the JSON parser kept
 * for itself while it read them is not). Threads: any; one fetches at a time, and the others wait
 * for it, until their deadlines, only if there are no valid ones. Errors: a sentence that never
 * contains a secret. -ENOENT: there is no source of credentials here; see credential_sources.h.
 */
#ifndef LIB_AWS_CREDENTIALS_H
#define LIB_AWS_CREDENTIALS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "lib/error.h"

enum {
    CREDENTIALS_TOKEN_MAX = 16 * 1024, /* bytes of a session or authorization token */
    CREDENTIALS_REFRESH_WINDOW_MS = 5 * 60 * 1000,
};

struct credentials {
    atomic_uint references;
    const char *source; /* static: "environment", "container", "instance" */
    char *access_key_id, *secret_access_key;
    char *session_token;            /* "" for none */
    char *role_arn;                 /* "" when the source does not say */
    int64_t refresh_ms, expires_ms; /* on clock_now_ms(), or CLOCK_NEVER */
};

struct credentials_store;

int credentials_store_open(struct credentials_store **ret_store);
void credentials_store_close(struct credentials_store *store); /* NULL is fine */

int credentials_get(struct credentials_store *store, int64_t deadline_ms,
                    struct credentials **ret_credentials, struct error *err);
void credentials_reject(struct credentials_store *store, const struct credentials *credentials);

/* Why the last attempt to fetch failed: -errno with words, or 0 when it did not. */
int credentials_last_error(struct credentials_store *store, struct error *err);

void credentials_unref(struct credentials *credentials);

static inline void cleanup_credentials_p(struct credentials **credentials)
{
    credentials_unref(*credentials);
}
#define _cleanup_credentials_ _cleanup_(cleanup_credentials_p)

/* ---- for credential_sources.c and tests ---- */

/* -EINVAL: one of them is empty or not printable ASCII without spaces. session_token may be "". */
int credentials_new(const char *source, const char *access_key_id, const char *secret_access_key,
                    const char *session_token, const char *role_arn,
                    struct credentials **ret_credentials, struct error *err);

/* The JSON that the container endpoint and the instance metadata service answer with. wall_ms: the
 * time at which it was sent. */
int credentials_parse(const char *source, const char *body, size_t length, int64_t wall_ms,
                      struct credentials **ret_credentials, struct error *err);

#endif
