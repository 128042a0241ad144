#include "lib/aws/credentials.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/aws/credential_sources.h"
#include "lib/aws/http.h"
#include "lib/clock.h"
#include "lib/json.h"

enum {
    REFRESH_JITTER_MS = 60 * 1000,
    RETRY_PAUSE_MS = 30 * 1000, /* between attempts to replace what is still valid */
    FETCH_MAX_MS = 5 * 1000,    /* when there is something valid to fall back to */
    KEY_MAX = 256,
};
#define LIFETIME_MAX_MS (7 * 24 * 3600 * INT64_C(1000)) /* AWS gives 36 hours at most */

struct credentials_store {
    pthread_mutex_t mutex; /* not held while one fetches */
    pthread_cond_t fetched;
    bool fetching;
    struct credentials *current;
    int64_t refresh_ms;      /* when to replace current */
    struct error last_error; /* code 0: the last fetch succeeded */
};

/* ---- one set of credentials ---- */

static int check_word(const char *name, const char *text, size_t max, struct error *err)
{
    size_t length = strlen(text);
    if (length == 0 || length > max)
        return error_set(err, EINVAL, "%s has %zu bytes, allowed are 1 to %zu", name, length, max);
    for (const char *p = text; *p; p++) {
        if (*p <= ' ' || *p > '~')
            return error_set(err, EINVAL, "%s has a character in it that cannot be sent (byte %zu)",
                             name, (size_t)(p - text) + 1);
    }
    return 0;
}

int credentials_new(const char *source, const char *access_key_id, const char *secret_access_key,
                    const char *session_token, const char *role_arn,
                    struct credentials **ret_credentials, struct error *err)
{
    int r = check_word("the access key id", access_key_id, KEY_MAX, err);
    if (r == 0)
        r = check_word("the secret access key", secret_access_key, KEY_MAX, err);
    if (r == 0 && *session_token)
        r = check_word("the session token", session_token, CREDENTIALS_TOKEN_MAX, err);
    if (r < 0)
        return r;
    struct credentials *c = calloc(1, sizeof(*c));
    if (!c)
        return error_set_errno(err, ENOMEM, "credentials");
    atomic_init(&c->references, 1);
    c->source = source;
    c->refresh_ms = c->expires_ms = CLOCK_NEVER;
    c->access_key_id = strdup(access_key_id);
    c->secret_access_key = strdup(secret_access_key);
    c->session_token = strdup(session_token);
    c->role_arn = strdup(role_arn);
    if (!c->access_key_id || !c->secret_access_key || !c->session_token || !c->role_arn) {
        credentials_unref(c);
        return error_set_errno(err, ENOMEM, "credentials");
    }
    *ret_credentials = c;
    return 0;
}

void credentials_unref(struct credentials *c)
{
    if (!c || atomic_fetch_sub(&c->references, 1) != 1)
        return;
    http_wipe_text(c->access_key_id);
    http_wipe_text(c->secret_access_key);
    http_wipe_text(c->session_token);
    free(c->role_arn);
    free(c);
}

/* "2026-11-23T16:00:00Z", with or without a fraction. */
static int parse_time(const char *text, int64_t *ret_wall_ms)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest && *rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (!rest || strcmp(rest, "Z") != 0)
        return -EINVAL;
    *ret_wall_ms = (int64_t)timegm(&tm) * 1000;
    return 0;
}

/* What the endpoint says may be meant for the terminal that it ends up on. */
static int refuse_text(struct error *err, int code, const char *key, const char *said,
                       const char *wanted)
{
    char clean[41];
    snprintf(clean, sizeof(clean), "%s", said);
    http_clean_text(clean);
    return error_set(err, code, "\"%s\" is \"%s\", not %s", key, clean, wanted);
}

static int set_lifetime(struct credentials *c, const char *expiration, int64_t wall_ms,
                        struct error *err)
{
    int64_t expires_wall_ms;
    char sent[CLOCK_TEXT];
    if (parse_time(expiration, &expires_wall_ms) < 0)
        return refuse_text(err, EINVAL, "Expiration", expiration,
                           "a time like 2026-11-23T16:00:00Z");
    int64_t life_ms = expires_wall_ms - wall_ms;
    clock_format(wall_ms, sent);
    if (life_ms <= 0)
        return error_set(err, EKEYEXPIRED,
                         "\"Expiration\" %.40s had passed when it was sent, at %s", expiration,
                         sent);
    if (life_ms > LIFETIME_MAX_MS)
        return error_set(err, EINVAL, "\"Expiration\" %.40s is more than 7 days ahead of %s",
                         expiration, sent);
    int64_t window_ms = CREDENTIALS_REFRESH_WINDOW_MS + arc4random_uniform(REFRESH_JITTER_MS);
    c->expires_ms = clock_now_ms() + life_ms;
    c->refresh_ms = c->expires_ms - (window_ms < life_ms / 2 ? window_ms : life_ms / 2);
    return 0;
}

static void wipe_field(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    /* The string is jansson's and only const to us; it is released right after. */
    if (json_is_string(value))
        explicit_bzero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
}

static int parse_object(const char *source, const json_t *root, int64_t wall_ms,
                        struct credentials **ret_credentials, struct error *err)
{
    const char *id = "", *secret = "", *token = "", *expiration = "", *role = "", *code;
    if (json_get_string(root, "Code", 64, &code, NULL) == 0 && strcmp(code, "Success") != 0)
        return refuse_text(err, EIO, "Code", code, "\"Success\"");
    int r = json_get_string(root, "AccessKeyId", KEY_MAX, &id, err);
    if (r == 0)
        r = json_get_string(root, "SecretAccessKey", KEY_MAX, &secret, err);
    if (r == 0)
        r = json_get_string(root, "Token", CREDENTIALS_TOKEN_MAX, &token, err);
    if (r == 0)
        r = json_get_string(root, "Expiration", 64, &expiration, err);
    if (r < 0)
        return r;
    json_get_string(root, "RoleArn", 2048, &role, NULL);
    _cleanup_credentials_ struct credentials *c = NULL;
    r = credentials_new(source, id, secret, token, role, &c, err);
    if (c)
        r = set_lifetime(c, expiration, wall_ms, err);
    if (r == 0)
        *ret_credentials = take_ptr(c);
    return r;
}

int credentials_parse(const char *source, const char *body, size_t length, int64_t wall_ms,
                      struct credentials **ret_credentials, struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    /* Not json_parse()'s own words: they quote what they stumbled over. */
    if (json_parse(body, length, &root, NULL) < 0)
        return error_set(err, EINVAL, "the answer (%zu bytes) is not a JSON object", length);
    int r = parse_object(source, root, wall_ms, ret_credentials, err);
    wipe_field(root, "SecretAccessKey");
    wipe_field(root, "Token");
    return r;
}

/* ---- the store ---- */

int credentials_store_open(struct credentials_store **ret_store)
{
    struct credentials_store *store = calloc(1, sizeof(*store));
    pthread_condattr_t attributes;
    if (!store)
        return -ENOMEM;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->fetched, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret_store = store;
    return 0;
}

void credentials_store_close(struct credentials_store *store)
{
    if (!store)
        return;
    credentials_unref(store->current);
    pthread_mutex_destroy(&store->mutex);
    pthread_cond_destroy(&store->fetched);
    free(store);
}

static bool valid(const struct credentials_store *store)
{
    return store->current && clock_now_ms() < store->current->expires_ms;
}

static int wait_for_other(struct credentials_store *store, int64_t deadline_ms)
{
    int left_ms = clock_poll_timeout(deadline_ms);
    if (left_ms < 0)
        return -pthread_cond_wait(&store->fetched, &store->mutex);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (int64_t)(left_ms % 1000) * 1000000;
    until.tv_sec += left_ms / 1000 + (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    return -pthread_cond_timedwait(&store->fetched, &store->mutex, &until);
}

static int fetch(int64_t deadline_ms, struct credentials **ret_credentials, struct error *err)
{
    const struct credential_source *source = credential_source_find();
    if (!source)
        return error_set(err, ENOENT,
                         "there are no AWS credentials: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is "
                         "not set; give the task definition a taskRoleArn");
    int r = source->fetch(deadline_ms, ret_credentials, err);
    if (r < 0)
        error_prefix(err, "credentials from the %s", source->name);
    return r;
}

/* Called with the mutex held, which is given up meanwhile. */
static void refresh(struct credentials_store *store, int64_t deadline_ms, struct error *err)
{
    struct credentials *fetched = NULL, *old = NULL;
    struct error why = {0};
    int64_t soon_ms = clock_now_ms() + FETCH_MAX_MS;
    if (valid(store) && soon_ms < deadline_ms)
        deadline_ms = soon_ms;
    store->fetching = true;
    pthread_mutex_unlock(&store->mutex);
    int r = fetch(deadline_ms, &fetched, &why);
    pthread_mutex_lock(&store->mutex);
    store->fetching = false;
    store->last_error = why;
    if (fetched) {
        old = store->current;
        store->current = fetched;
        store->refresh_ms = fetched->refresh_ms;
    } else {
        store->refresh_ms =
            clock_now_ms() + RETRY_PAUSE_MS / 2 + arc4random_uniform(RETRY_PAUSE_MS);
    }
    pthread_cond_broadcast(&store->fetched);
    credentials_unref(old);
    if (r < 0)
        *err = why;
}

static int get_locked(struct credentials_store *store, int64_t deadline_ms,
                      struct credentials **ret_credentials, struct error *err)
{
    struct error why = {.code = EKEYEXPIRED, .text = "credentials: they expired as they came"};
    while (!valid(store) && store->fetching) {
        if (wait_for_other(store, deadline_ms) == -ETIMEDOUT)
            return error_set(err, ETIMEDOUT, "credentials: another call was still fetching them");
    }
    bool stale = !valid(store) || clock_now_ms() >= store->refresh_ms;
    if (stale && !store->fetching)
        refresh(store, deadline_ms, &why);
    if (!valid(store)) {
        if (err)
            *err = why;
        return -why.code;
    }
    atomic_fetch_add(&store->current->references, 1);
    *ret_credentials = store->current;
    return 0;
}

int credentials_get(struct credentials_store *store, int64_t deadline_ms,
                    struct credentials **ret_credentials, struct error *err)
{
    pthread_mutex_lock(&store->mutex);
    int r = get_locked(store, deadline_ms, ret_credentials, err);
    pthread_mutex_unlock(&store->mutex);
    return r;
}

void credentials_reject(struct credentials_store *store, const struct credentials *credentials)
{
    pthread_mutex_lock(&store->mutex);
    if (store->current == credentials)
        store->refresh_ms = 0;
    pthread_mutex_unlock(&store->mutex);
}

int credentials_last_error(struct credentials_store *store, struct error *err)
{
    pthread_mutex_lock(&store->mutex);
    int code = store->last_error.code;
    if (code && err)
        *err = store->last_error;
    pthread_mutex_unlock(&store->mutex);
    return -code;
}
