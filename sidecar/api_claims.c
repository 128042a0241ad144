#include "sidecar/api_claims.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json_path.h"
#include "sidecar/claims.h"
#include "sidecar/mounts.h"

#define CLAIMS_PATH "/v1/claims"
#define USAGE       "POST /v1/claims?dir=DIR&match=GLOB&batch=N&limit=N&wait_ms=N&max_attempts=N"

enum {
    PENDING_MAX = 64 * 1024, /* of a client that does not read: what is not vital is left out */
    WAIT_MOST_MS = 20 * 24 * 3600 * 1000,
    LIST_MAX = 1000, /* claims that are shown */
};

/* A client that claims files. */
struct stream {
    struct http_stream *http;
    struct claimer *claimer;
    const char *mount;
};

/* A request that ends a claim, until that is done. */
struct waiter {
    struct http_stream *http; /* NULL: who asked has left */
};

static bool is_slow(const struct stream *stream)
{
    return http_stream_pending(stream->http) > PENDING_MAX;
}

/* ---- what claims say ---- */

static json_t *claim_json(const char *mount, const struct claim_view *claim)
{
    char id[17];
    snprintf(id, sizeof(id), "%016" PRIx64, claim->id);
    json_t *json = json_pack("{s:s, s:i, s:I, s:I}", "id", id, "attempts", (int)claim->attempts,
                             "valid_until_ms", (json_int_t)claim->valid_until_ms, "now_ms",
                             (json_int_t)clock_now_ms());
    if (!json)
        return NULL;
    json_path_set(json, "mount", mount);
    json_path_set(json, "path", claim->path);
    json_path_set(json, "name", claim->name);
    json_path_set(json, "queue", claim->queue);
    return json;
}

static void on_waiting(void *arg)
{
    const struct stream *stream = arg;
    if (!is_slow(stream))
        http_stream_write_json(stream->http, json_pack("{s:s}", "event", "waiting"));
}

static void on_claimed(void *arg, const struct claim_view *claim)
{
    const struct stream *stream = arg;
    json_t *line = claim_json(stream->mount, claim);
    if (line)
        json_object_set_new(line, "event", json_string("claimed"));
    http_stream_write_json(stream->http, line);
}

static void on_valid(void *arg, int64_t valid_until_ms)
{
    const struct stream *stream = arg;
    if (!is_slow(stream))
        http_stream_write_json(stream->http,
                               json_pack("{s:s, s:I}", "event", "valid", "valid_until_ms",
                                         (json_int_t)valid_until_ms));
}

static void on_draining(void *arg)
{
    const struct stream *stream = arg;
    http_stream_write_json(stream->http, json_pack("{s:s}", "event", "draining"));
}

static void on_ended(void *arg, enum claimer_end end, const struct error *err)
{
    static const struct {
        const char *event, *key; /* of the words, if there are any */
    } names[] = {
        [CLAIMER_TIMEOUT] = {"timeout", NULL},  [CLAIMER_FINISHED] = {"finished", NULL},
        [CLAIMER_DRAINED] = {"drained", NULL},  [CLAIMER_LOST] = {"lost", "reason"},
        [CLAIMER_ERROR] = {"error", "message"},
    };
    struct stream *stream = arg;
    json_t *line = json_pack("{s:s}", "event", names[end].event);
    if (line && names[end].key)
        json_object_set_new(line, names[end].key,
                            json_string_lossy(err ? err->text : "the sidecar is ending"));
    http_stream_write_json(stream->http, line);
    http_stream_end(stream->http);
    free(stream);
}

static const struct claim_client_ops client_ops = {
    .waiting = on_waiting,
    .claimed = on_claimed,
    .valid = on_valid,
    .draining = on_draining,
    .ended = on_ended,
};

static void on_drained(void *arg) {}

static void on_closed(void *arg)
{
    struct stream *stream = arg;
    claimer_abandon(stream->claimer);
    free(stream);
}

/* ---- asking for files ---- */

/* What dir is beneath that mount; NULL: elsewhere. */
static const char *beneath(const char *dir, const char *mount)
{
    size_t n = strcmp(mount, "/") == 0 ? 0 : strlen(mount);
    if (*dir != '/')
        return dir;
    if (strncmp(dir, mount, n) != 0 || (dir[n] != '/' && dir[n] != '\0'))
        return NULL;
    dir += n + strspn(dir + n, "/");
    return *dir ? dir : ".";
}

/* The claims of that mount; of the first that has some, or that has dir, when it is NULL. */
static struct claims *find_claims(struct mounts *mounts, const char *mount, const char **dir,
                                  const char **ret_mount, struct error *err)
{
    for (size_t i = 0; i < mounts_count(mounts); i++) {
        const char *path = mounts_path(mounts, i);
        struct claims *claims = mounts_claims(mounts, i);
        const char *rest = beneath(*dir, path);
        if (!claims || !rest || (mount && strcmp(path, mount) != 0))
            continue;
        *dir = rest;
        *ret_mount = path;
        return claims;
    }
    error_set(err, ENOENT,
              "no mount that can be written has %s%s%s: the profile must be coordinate or cache",
              *dir, mount ? " and is " : "", mount ? mount : "");
    return NULL;
}

static int parse_request(const struct http_query *query, struct claim_request *ret_request,
                         struct error *err)
{
    const char *match = http_query_get(query, "match"), *dir = http_query_get(query, "dir");
    int64_t batch = 1, limit = 0, wait_ms = -1, max_attempts = 0;
    if (!dir || !*dir)
        return error_set(err, EINVAL, "dir is missing: the directory to claim files from");
    int r = http_query_i64(query, "batch", 1, CLAIMS_BATCH_MAX, &batch, err);
    if (r == 0)
        r = http_query_i64(query, "limit", 1, INT32_MAX, &limit, err);
    if (r == 0)
        r = http_query_i64(query, "wait_ms", 0, WAIT_MOST_MS, &wait_ms, err);
    if (r == 0)
        r = http_query_i64(query, "max_attempts", 1, CLAIMS_ATTEMPTS_MAX, &max_attempts, err);
    if (r < 0)
        return r;
    *ret_request = (struct claim_request){
        .queue = dir,
        .match = match ? match : "",
        .batch = (unsigned)batch,
        .limit = (unsigned)limit,
        .wait_ms = wait_ms,
        .max_attempts = (unsigned)max_attempts,
    };
    return 0;
}

static void serve_request(const struct api_sources *from, struct http_request *request)
{
    static const char *const names[] = {"dir",     "match",        "batch", "limit",
                                        "wait_ms", "max_attempts", "mount", NULL};
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_closed};
    struct http_query query;
    struct claim_request wanted = {.queue = ""};
    struct error err = {0};
    struct claims *claims = NULL;
    const char *mount = NULL;
    int r = http_query_parse(request->head.query, names, &query, &err);
    if (r == 0)
        r = parse_request(&query, &wanted, &err);
    if (r == 0 && !(claims = find_claims(from->mounts, http_query_get(&query, "mount"),
                                         &wanted.queue, &mount, &err)))
        r = -ENOENT;
    if (r == 0 && http_stream_refused(request))
        return;
    _cleanup_free_ struct stream *stream = calloc(1, sizeof(*stream));
    if (r == 0 && !stream)
        r = error_set(&err, ENOMEM, "no memory");
    if (stream)
        stream->mount = mount;
    if (r == 0)
        r = claims_request(claims, &wanted, &client_ops, stream, &stream->claimer, &err);
    if (r < 0) {
        api_refuse(request, r, USAGE, "GET /v1/claims lists them", &err);
        return;
    }
    struct stream *kept = take_ptr(stream); /* belongs to the connection and the claimer now */
    http_stream_begin(request, "application/x-ndjson", &ops, kept, &kept->http);
}

/* ---- ending a claim ---- */

static void on_finished(void *arg, int r, enum claim_fate fate, const struct error *err)
{
    static const char *const names[] = {
        [CLAIM_IS_DONE] = "done", [CLAIM_IS_RETURNED] = "returned", [CLAIM_IS_DEAD] = "dead"};
    _cleanup_free_ struct waiter *waiter = arg;
    if (!waiter->http)
        return;
    struct http_request *request = http_deferred(waiter->http);
    const char *words = err ? err->text : "the sidecar is ending";
    if (r == 0)
        http_reply_json(request, json_pack("{s:s}", "result", names[fate]));
    else if (r == -EIO || r == -ESTALE)
        http_error(request, 410, "another task works on it then", "the claim was lost: %s", words);
    else
        http_error(request, 503, "the sidecar tries it again by itself", "%s", words);
}

static void on_waiter_closed(void *arg)
{
    struct waiter *waiter = arg;
    waiter->http = NULL;
}

static int find_claim(struct mounts *mounts, uint64_t id, enum claim_word word,
                      struct waiter *waiter, struct error *err)
{
    int r = error_set(err, ENOENT, "nobody holds that claim any more");
    for (size_t i = 0; i < mounts_count(mounts) && r == -ENOENT; i++) {
        struct claims *claims = mounts_claims(mounts, i);
        if (claims)
            r = claims_finish(claims, id, word, on_finished, waiter, err);
    }
    return r;
}

static void serve_word(const struct api_sources *from, struct http_request *request, uint64_t id,
                       enum claim_word word)
{
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_waiter_closed};
    struct error err;
    struct waiter *waiter = calloc(1, sizeof(*waiter));
    int r = waiter ? find_claim(from->mounts, id, word, waiter, &err)
                   : error_set(&err, ENOMEM, "no memory");
    if (r == 0) { /* it is called later */
        http_defer(request, &ops, waiter, &waiter->http);
        return;
    }
    free(waiter);
    if (r == -ENOENT)
        http_error(request, 410, "it was lost, or is ended already", "%s", err.text);
    else
        http_error(request, r == -EALREADY ? 409 : 503, NULL, "%s", err.text);
}

/* "ID/done" */
static int parse_word(const char *text, uint64_t *ret_id, enum claim_word *ret_word)
{
    static const char *const names[] = {
        [CLAIM_DONE] = "done", [CLAIM_FAILED] = "failed", [CLAIM_RELEASED] = "release"};
    char *end;
    if (strspn(text, "0123456789abcdef") != 16 || text[16] != '/')
        return -EINVAL;
    *ret_id = strtoull(text, &end, 16);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text + 17, names[i]) == 0) {
            *ret_word = (enum claim_word)i;
            return 0;
        }
    return -EINVAL;
}

/* ---- the list ---- */

static void add_claims(json_t *list, const char *mount, const struct claims *claims)
{
    struct claim_view view;
    for (size_t i = 0; json_array_size(list) < LIST_MAX && claims_view(claims, i, &view); i++) {
        json_t *json = claim_json(mount, &view);
        if (!json)
            return;
        json_object_set_new(json, "held_ms", json_integer((json_int_t)view.held_ms));
        json_object_set_new(json, "abandoned", json_boolean(view.abandoned));
        json_array_append_new(list, json);
    }
}

static void serve_list(const struct api_sources *from, struct http_request *request)
{
    struct claim_counts counts, sum = {0};
    bool draining = false;
    json_t *list = json_array();
    for (size_t i = 0; list && i < mounts_count(from->mounts); i++) {
        const struct claims *claims = mounts_claims(from->mounts, i);
        if (!claims)
            continue;
        claims_count(claims, &counts);
        sum.held += counts.held;
        sum.claimers += counts.claimers;
        sum.done += counts.done;
        sum.failed += counts.failed;
        sum.dead += counts.dead;
        draining |= counts.draining;
        add_claims(list, mounts_path(from->mounts, i), claims);
    }
    http_reply_json(request, json_pack("{s:o, s:i, s:i, s:I, s:I, s:I, s:b, s:I}", "claims", list,
                                       "held", (int)sum.held, "claimers", (int)sum.claimers, "done",
                                       (json_int_t)sum.done, "failed", (json_int_t)sum.failed,
                                       "dead", (json_int_t)sum.dead, "draining", draining, "now_ms",
                                       (json_int_t)clock_now_ms()));
}

void api_claims_serve(const struct api_sources *from, struct http_request *request)
{
    const struct http_head *head = &request->head;
    bool is_get = strcmp(head->method, "GET") == 0, is_post = strcmp(head->method, "POST") == 0;
    bool is_all = strcmp(head->path, CLAIMS_PATH) == 0;
    enum claim_word word;
    uint64_t id;
    if (!is_post && !(is_get && is_all))
        http_error(request, 405, is_all ? "use GET or POST" : "use POST",
                   "%s is not possible on %.128s", head->method, head->path);
    else if (*head->query && (is_get || !is_all))
        http_error(request, 400, NULL, "%.128s takes no query", head->path);
    else if (is_get)
        serve_list(from, request);
    else if (is_all)
        serve_request(from, request);
    else if (parse_word(head->path + strlen(CLAIMS_PATH "/"), &id, &word) < 0)
        http_error(request, 404, "POST " CLAIMS_PATH "/ID/done, failed or release",
                   "there is no %.128s", head->path);
    else
        serve_word(from, request, id, word);
}
