#include "sidecar/api.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/parse.h"
#include "sidecar/api_cache.h"
#include "sidecar/api_changes.h"
#include "sidecar/api_claims.h"
#include "sidecar/api_locks.h"
#include "sidecar/api_metrics.h"
#include "sidecar/api_publish.h"
#include "sidecar/api_rate.h"
#include "sidecar/api_socket.h"
#include "sidecar/api_status.h"
#include "sidecar/api_tasks.h"
#include "sidecar/http.h"
#include "sidecar/metrics.h"

struct api {
    struct api_sources from;
    struct api_socket socket;
    struct http_server *server;
    struct api_changes *changes;
    struct api_locks *locks;
    struct api_rate rate;
    size_t n_uids; /* 0: everybody who may connect */
    uid_t uids[CONFIG_NAMES_MAX];
};

/* ---- handlers ---- */

static void serve_healthz(struct api *api, struct http_request *request)
{
    http_reply_json(request, api_healthz_json(&api->from));
}

static void serve_status(struct api *api, struct http_request *request)
{
    http_reply_json(request, api_status_json(&api->from));
}

static void serve_config(struct api *api, struct http_request *request)
{
    http_reply_json(request, config_to_json(&settings_table, api->from.settings));
}

static void serve_metrics(struct api *api, struct http_request *request)
{
    struct metrics_view view;
    size_t length;
    metrics_look(api->from.metrics, &view);
    _cleanup_free_ char *text = prometheus_render(&view, &length);
    if (text)
        http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", text, length);
    else
        http_error(request, 503, NULL, "no memory");
}

static void serve_metrics_json(struct api *api, struct http_request *request)
{
    http_reply_json(request, api_metrics_json(&api->from));
}

static void serve_changes(struct api *api, struct http_request *request)
{
    api_changes_serve(api->changes, request);
}

static void serve_cache(struct api *api, struct http_request *request)
{
    http_reply_json(request, api_cache_json(&api->from));
}

static void serve_cache_evict(struct api *api, struct http_request *request)
{
    api_cache_serve(&api->from, CACHE_COMMAND_EVICT, request);
}

static void serve_cache_warm(struct api *api, struct http_request *request)
{
    api_cache_serve(&api->from, CACHE_COMMAND_WARM, request);
}

static void serve_cache_pin(struct api *api, struct http_request *request)
{
    api_cache_serve(&api->from, CACHE_COMMAND_PIN, request);
}

static void serve_cache_report(struct api *api, struct http_request *request)
{
    api_cache_serve(&api->from, CACHE_COMMAND_REPORT, request);
}

static void serve_publish(struct api *api, struct http_request *request)
{
    api_publish_serve(&api->from, request);
}

static void serve_tasks(struct api *api, struct http_request *request)
{
    api_tasks_serve(&api->from, request);
}

static void serve_log(struct api *api, struct http_request *request)
{
    http_reply_json(request, json_pack("{s:s, s:o}", "level", log_level_names[log_get_level()],
                                       "lines", log_recent()));
}

static void serve_log_level(struct api *api, struct http_request *request)
{
    const char *query = request->head.query;
    for (enum log_level level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (strncmp(query, "level=", 6) != 0 || strcmp(query + 6, log_level_names[level]) != 0)
            continue;
        log_set_level(level);
        http_reply_json(request, json_pack("{s:s}", "level", log_level_names[level]));
        return;
    }
    http_error(request, 400, "use level=error, warn, info or debug", "which level is \"%.64s\"?",
               query);
}

static const struct route {
    const char *method, *path;
    bool has_query;
    void (*serve)(struct api *api, struct http_request *request);
} routes[] = {
    {"GET", "/healthz", false, serve_healthz},
    {"GET", "/metrics", false, serve_metrics},
    {"GET", "/v1/status", false, serve_status},
    {"GET", "/v1/config", false, serve_config},
    {"GET", "/v1/changes", true, serve_changes},
    {"GET", "/v1/metrics", false, serve_metrics_json},
    {"POST", "/v1/publish", false, serve_publish},
    {"GET", "/v1/cache", false, serve_cache},
    {"POST", "/v1/cache/evict", false, serve_cache_evict},
    {"POST", "/v1/cache/warm", false, serve_cache_warm},
    {"POST", "/v1/cache/pin", false, serve_cache_pin},
    {"POST", "/v1/cache/report", false, serve_cache_report},
    {"GET", "/v1/tasks", true, serve_tasks},
    {"GET", "/v1/log", false, serve_log},
    {"POST", "/v1/log", true, serve_log_level},
};

/* ---- from a request to its handler ---- */

static bool is_allowed(const struct api *api, uid_t uid)
{
    if (api->n_uids == 0 || uid == 0 || uid == geteuid())
        return true;
    for (size_t i = 0; i < api->n_uids; i++)
        if (api->uids[i] == uid)
            return true;
    return false;
}

/* Locks have their names in the path, claims their ids. */
static bool is_about(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(path, prefix, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static const struct route *find_route(const struct http_head *head, bool *ret_path_exists)
{
    *ret_path_exists = false;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].path, head->path) != 0)
            continue;
        *ret_path_exists = true;
        if (strcmp(routes[i].method, head->method) == 0)
            return &routes[i];
    }
    return NULL;
}

static int check_body(const struct http_request *request, struct error *err)
{
    _cleanup_json_ json_t *body = NULL;
    if (request->head.body_bytes == 0)
        return 0;
    int r = json_parse(request->body, request->head.body_bytes, &body, err);
    if (r < 0)
        error_prefix(err, "the body is not a JSON object");
    return r;
}

static void on_request(void *arg, struct http_request *request)
{
    struct api *api = arg;
    const struct http_head *head = &request->head;
    bool path_exists;
    struct error err = {0};
    const struct route *route = find_route(head, &path_exists);
    log_debug("%s %.256s by uid %u, pid %d", head->method, head->path, request->peer.uid,
              request->peer.pid);
    if (!is_allowed(api, request->peer.uid))
        http_error(request, 403, "add it to api.uids", "uid %u (pid %d) may not use this API",
                   request->peer.uid, request->peer.pid);
    else if (api_rate_costs(head) &&
             !api_rate_take(&api->rate, request->peer.uid, head->body_bytes, clock_now_ms()))
        http_error(request, 429, "ask less often, or raise api.rate",
                   "uid %u asks for more than %lld things in a second that cost calls to EFS",
                   request->peer.uid, (long long)api->rate.per_second);
    else if (is_about(head->path, "/v1/locks"))
        api_locks_serve(api->locks, request);
    else if (is_about(head->path, "/v1/claims"))
        api_claims_serve(&api->from, request);
    else if (!route && path_exists)
        http_error(request, 405, strcmp(head->method, "GET") == 0 ? "use POST" : "use GET",
                   "%s is not possible on %.128s", head->method, head->path);
    else if (!route)
        http_error(
            request, 404,
            "there are /healthz /metrics /v1/status /v1/config /v1/changes /v1/metrics /v1/locks "
            "/v1/claims /v1/publish /v1/tasks /v1/cache /v1/cache/evict /v1/cache/warm "
            "/v1/cache/pin /v1/cache/report /v1/log",
            "there is no %.128s", head->path);
    else if (*head->query && !route->has_query)
        http_error(request, 400, NULL, "%s takes no query, not \"%.64s\"", head->path, head->query);
    else if (check_body(request, &err) < 0)
        http_error(request, 400, NULL, "%s", err.text);
    else
        route->serve(api, request);
}

static void on_answered(void *arg, int status)
{
    struct api *api = arg;
    struct metric_group *process = metrics_of_process(api->from.metrics);
    metrics_count(process, METRIC_API_REQUESTS, 1);
    if (status >= 400)
        metrics_count(process, METRIC_API_REFUSALS, 1);
}

void api_refuse(struct http_request *request, int r, const char *usage, const char *list,
                const struct error *err)
{
    const struct {
        int code, status;
        const char *hint;
    } known[] = {
        {EINVAL, 400, usage},
        {ENOENT, 404, "GET /v1/status (efsctl status) lists the mounts"},
        {EAGAIN, 409, "condition LocksReady in GET /v1/status says why; try again"},
        {ESHUTDOWN, 409, "the task is ending"},
        {EDQUOT, 429, list},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].code == -r) {
            http_error(request, known[i].status, known[i].hint, "%s", err->text);
            return;
        }
    http_error(request, 503, NULL, "%s", err->text);
}

/* ---- open and close ---- */

static int parse_uid(const char *text, uid_t *ret_uid)
{
    int64_t uid;
    int r = parse_i64(text, 0, UINT_MAX - 1LL, &uid);
    if (r == 0)
        *ret_uid = (uid_t)uid;
    return r;
}

void api_check(const struct settings *settings, struct config_report *report)
{
    const struct name_list *uids = &settings->api_uids;
    char path[CONFIG_TEXT_MAX];
    uid_t uid;
    for (size_t i = 0; i < uids->n; i++)
        if (parse_uid(uids->names[i], &uid) < 0)
            config_error(report, "api.uids: \"%s\" is not a numeric user id", uids->names[i]);
    if (settings_api_socket(settings, path, sizeof(path)) < 0 || strlen(path) > API_SOCKET_PATH_MAX)
        config_error(report, "%s: the path of the API's socket can have %d bytes, this is longer",
                     *settings->api_socket ? "api.socket" : "run_dir", API_SOCKET_PATH_MAX);
}

/* A set of files. */
static bool takes_large(const char *path)
{
    return strcmp(path, "/v1/publish") == 0;
}

static int open_socket(const struct settings *settings, struct api_socket *ret_socket,
                       struct error *err)
{
    char path[CONFIG_TEXT_MAX];
    int r = settings_api_socket(settings, path, sizeof(path));
    if (r < 0)
        return error_set(err, -r, "api.socket: the path is too long");
    return api_socket_open(ret_socket, path, settings->api_mode, (gid_t)settings->api_gid, err);
}

static int listen_and_serve(struct api *api, struct error *err)
{
    static const struct http_handlers handlers = {
        .handle = on_request, .answered = on_answered, .takes_large = takes_large};
    int r = open_socket(api->from.settings, &api->socket, err);
    if (r < 0)
        return r;
    r = http_open(api->from.base, api->socket.fd, &handlers, api, &api->server);
    if (r < 0) {
        close(api->socket.fd);
        api_socket_remove(&api->socket);
        return error_set_errno(err, -r, "the API cannot be served");
    }
    return 0;
}

int api_open(const struct api_sources *from, struct api **ret_api, struct error *err)
{
    struct api *api = calloc(1, sizeof(*api));
    if (!api)
        return error_set(err, ENOMEM, "no memory for the API");
    api->from = *from;
    api_rate_init(&api->rate, from->settings->api_rate);
    const struct name_list *uids = &from->settings->api_uids;
    while (api->n_uids < uids->n &&
           parse_uid(uids->names[api->n_uids], &api->uids[api->n_uids]) == 0)
        api->n_uids++;
    int r = api->n_uids < uids->n
                ? error_set(err, EINVAL, "api.uids: \"%s\" is not a numeric user id",
                            uids->names[api->n_uids])
                : api_changes_open(from, &api->changes);
    if (r == 0)
        r = api_locks_open(from, &api->locks);
    if (r == -ENOMEM)
        error_set(err, ENOMEM, "no memory for the API");
    if (r == 0)
        r = listen_and_serve(api, err);
    if (r < 0) {
        api_changes_close(api->changes);
        api_locks_close(api->locks);
        free(api);
        return r;
    }
    *ret_api = api;
    return 0;
}

int api_keep(struct api *api, struct error *err)
{
    struct api_socket socket = {.fd = -1};
    if (api_socket_is_in_place(&api->socket))
        return 0;
    int r = open_socket(api->from.settings, &socket, err);
    if (r < 0)
        return r;
    r = http_listen(api->server, socket.fd);
    if (r < 0) {
        close(socket.fd);
        api_socket_remove(&socket);
        return error_set_errno(err, -r, "the API cannot be served");
    }
    api->socket = socket;
    return 1;
}

void api_close(struct api *api)
{
    if (!api)
        return;
    api_socket_remove(&api->socket);
    http_close(api->server);
    api_changes_close(api->changes);
    api_locks_close(api->locks);
    free(api);
}
