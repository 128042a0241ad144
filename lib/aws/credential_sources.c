#include "lib/aws/credential_sources.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/aws/curl.h"
#include "lib/aws/http.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json.h"

enum {
    ANSWER_MAX_BYTES = 64 * 1024,
    CONTAINER_TRY_MS = 2000,
    INSTANCE_TRY_MS = 1000, /* where there is none, nothing ever answers */
    URL_MAX = 1024,
};

/* NULL when the variable is not set or empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* ---- environment ---- */

static bool environment_configured(void)
{
    return variable("AWS_ACCESS_KEY_ID") || variable("AWS_SECRET_ACCESS_KEY");
}

static int environment_fetch(int64_t deadline_ms, struct credentials **ret_credentials,
                             struct error *err)
{
    const char *id = variable("AWS_ACCESS_KEY_ID"), *secret = variable("AWS_SECRET_ACCESS_KEY");
    const char *token = variable("AWS_SESSION_TOKEN");
    if (!id || !secret)
        return error_set(err, EINVAL, "%s is set but %s is not",
                         id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                         id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    return credentials_new("environment", id, secret, token ? token : "", "", ret_credentials, err);
}

/* ---- container endpoint ---- */

static bool own_address(const char *host)
{
    static const char *const agents[] = {"169.254.170.2", "169.254.170.23"};
    struct in_addr v4, agent;
    struct in6_addr v6, eks;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        for (size_t i = 0; i < ARRAY_LEN(agents); i++) {
            if (inet_pton(AF_INET, agents[i], &agent) == 1 && agent.s_addr == v4.s_addr)
                return true;
        }
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    char bare[INET6_ADDRSTRLEN];
    size_t length = strlen(host);
    if (length < 2 || length - 2 >= sizeof(bare) || host[0] != '[' || host[length - 1] != ']')
        return strcmp(host, "localhost") == 0; /* curl never asks a name server for it */
    snprintf(bare, sizeof(bare), "%.*s", (int)length - 2, host + 1);
    return inet_pton(AF_INET6, bare, &v6) == 1 && inet_pton(AF_INET6, "fd00:ec2::23", &eks) == 1 &&
           (IN6_IS_ADDR_LOOPBACK(&v6) || IN6_ARE_ADDR_EQUAL(&v6, &eks));
}

/* curl's own reading of the URL decides, because curl is who connects. */
int credential_source_check_url(const char *url, struct error *err)
{
    int r = curl_load(err);
    if (r < 0)
        return r;
    CURLU *parsed = curl_url();
    char *scheme = NULL, *host = NULL, *zone = NULL;
    bool good = curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    bool zoned = good && curl_url_get(parsed, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK;
    if (!good)
        r = error_set(err, EINVAL, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an URL");
    else if (strcmp(scheme, "https") != 0 &&
             (strcmp(scheme, "http") != 0 || zoned || !own_address(host)))
        r = error_set(err, EACCES,
                      "AWS_CONTAINER_CREDENTIALS_FULL_URI: %s://%.128s is refused: without TLS "
                      "only loopback, 169.254.170.2, 169.254.170.23 and [fd00:ec2::23] are asked",
                      scheme, host);
    curl_free(scheme);
    curl_free(host);
    curl_free(zone);
    curl_url_cleanup(parsed);
    return r;
}

static bool container_configured(void)
{
    return variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
           variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

static int container_url(char url[URL_MAX], struct error *err)
{
    const char *path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (path && path[0] != '/')
        return error_set(err, EINVAL,
                         "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with \"/\"");
    int n = snprintf(url, URL_MAX, "%s%s", path ? "http://169.254.170.2" : "", path ? path : full);
    if (n >= URL_MAX)
        return error_set(err, EINVAL, "AWS_CONTAINER_CREDENTIALS_%s_URI is longer than %d bytes",
                         path ? "RELATIVE" : "FULL", URL_MAX - 1);
    return path ? 0 : credential_source_check_url(url, err);
}

/* "Authorization: TOKEN", or NULL when none is wanted. */
static int container_authorization(char **ret_header, struct error *err)
{
    const char *file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    _cleanup_(cleanup_wiped_text_p) char *text = NULL;
    if (file) {
        size_t length = 0;
        int r = fs_read_file(AT_FDCWD, file, CREDENTIALS_TOKEN_MAX, &text, &length);
        if (r < 0)
            return error_set_errno(err, -r, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s", file);
        if (strlen(text) != length || length == 0)
            return error_set(err, EINVAL,
                             "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s is empty or not text",
                             file);
        token = text;
    }
    if (!token)
        return 0;
    if (strpbrk(token, "\r\n"))
        return error_set(err, EINVAL, "AWS_CONTAINER_AUTHORIZATION_TOKEN%s has a line break in it",
                         file ? "_FILE" : "");
    *ret_header = http_secret_header("Authorization", token);
    return *ret_header ? 0 : error_set_errno(err, ENOMEM, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
}

/* What the agent says about a failure: {"code": ..., "message": ...}. */
static int refused(const struct http_request *request, const struct http_response *response,
                   struct error *err)
{
    _cleanup_json_ json_t *root = NULL;
    const char *message = "";
    if (json_parse(response->body, response->length, &root, NULL) == 0 &&
        json_get_string(root, "message", 256, &message, NULL) < 0)
        json_get_string(root, "Message", 256, &message, NULL);
    char said[257];
    snprintf(said, sizeof(said), "%s", message);
    http_clean_text(said);
    int code = response->status == 401 || response->status == 403 ? EACCES : EIO;
    return error_set(err, code, "%.*s answered %ld%s%s", (int)strcspn(request->url, "?#"),
                     request->url, response->status, *said ? ": " : "", said);
}

static int read_answer(const char *source, const struct http_request *request,
                       const struct http_response *response, struct credentials **ret_credentials,
                       struct error *err)
{
    if (response->status != 200)
        return refused(request, response, err);
    int64_t sent_ms = response->date_wall_ms ? response->date_wall_ms : clock_wall_ms();
    int r =
        credentials_parse(source, response->body, response->length, sent_ms, ret_credentials, err);
    if (r < 0)
        error_prefix(err, "%.*s", (int)strcspn(request->url, "?#"), request->url);
    return r;
}

static int container_fetch(int64_t deadline_ms, struct credentials **ret_credentials,
                           struct error *err)
{
    char url[URL_MAX];
    _cleanup_(cleanup_wiped_text_p) char *authorization = NULL;
    _cleanup_http_response_ struct http_response response = {0};
    int r = container_url(url, err);
    if (r == 0)
        r = container_authorization(&authorization, err);
    if (r < 0)
        return r;
    struct http_request request = {
        .method = "GET",
        .url = url,
        .headers = {"Accept: application/json", authorization},
        .response_max = ANSWER_MAX_BYTES,
        .deadline_ms = deadline_ms,
        .direct = true,
    };
    r = http_exchange_patiently(&request, CONTAINER_TRY_MS, 0, &response, err);
    return r < 0 ? r : read_answer("container", &request, &response, ret_credentials, err);
}

/* ---- instance metadata service ---- */

static bool instance_configured(void)
{
    const char *disabled = variable("AWS_EC2_METADATA_DISABLED");
    const char *where = variable("AWS_EXECUTION_ENV");
    return !(disabled && strcasecmp(disabled, "true") == 0) &&
           !(where && strcmp(where, "AWS_ECS_FARGATE") == 0);
}

static int instance_call(const char *method, const char *path, const char *header,
                         int64_t deadline_ms, struct http_response *ret_response, struct error *err)
{
    const char *endpoint = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    char url[URL_MAX];
    if (!endpoint)
        endpoint = "http://169.254.169.254";
    size_t length = strlen(endpoint);
    while (length > 0 && endpoint[length - 1] == '/')
        length--;
    if (snprintf(url, sizeof(url), "%.*s%s", (int)length, endpoint, path) >= URL_MAX)
        return error_set(err, EINVAL, "AWS_EC2_METADATA_SERVICE_ENDPOINT is too long");
    int64_t soon_ms = clock_now_ms() + INSTANCE_TRY_MS;
    struct http_request request = {
        .method = method,
        .url = url,
        .headers = {header},
        .response_max = ANSWER_MAX_BYTES,
        .deadline_ms = soon_ms < deadline_ms ? soon_ms : deadline_ms,
        .direct = true,
    };
    int r = http_exchange(&request, ret_response, err);
    return r == 0 && ret_response->status != 200 ? refused(&request, ret_response, err) : r;
}

/* The first line, if it can be a role's name. */
static int role_name(const struct http_response *response, char name[65], struct error *err)
{
    size_t length = strcspn(response->body, "\r\n");
    size_t good = strspn(response->body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789+=,.@_-");
    if (length == 0 || length > 64 || good < length)
        return error_set(err, EINVAL, "the metadata service names no role");
    snprintf(name, 65, "%.*s", (int)length, response->body);
    return 0;
}

static int instance_fetch(int64_t deadline_ms, struct credentials **ret_credentials,
                          struct error *err)
{
    static const char roles[] = "/latest/meta-data/iam/security-credentials/";
    _cleanup_http_response_ struct http_response token = {0}, list = {0}, answer = {0};
    _cleanup_(cleanup_wiped_text_p) char *header = NULL;
    char name[65], path[sizeof(roles) + sizeof(name)];
    int r = instance_call("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600",
                          deadline_ms, &token, err);
    if (r == -ETIMEDOUT)
        error_prefix(err, "no task role is set, and the instance does not answer (from a container "
                          "in bridge mode its hop limit has to be 2)");
    if (r < 0)
        return r;
    header = http_secret_header("X-aws-ec2-metadata-token", token.body);
    if (!header)
        return error_set_errno(err, ENOMEM, "the metadata service");
    r = instance_call("GET", roles, header, deadline_ms, &list, err);
    if (r == 0)
        r = role_name(&list, name, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%s%s", roles, name);
    r = instance_call("GET", path, header, deadline_ms, &answer, err);
    struct http_request request = {.url = path};
    return r < 0 ? r : read_answer("instance", &request, &answer, ret_credentials, err);
}

/* ---- the table ---- */

static const struct credential_source sources[] = {
    {"environment", true, environment_configured, environment_fetch},
    {"container endpoint", true, container_configured, container_fetch},
    {"instance metadata service", false, instance_configured, instance_fetch},
};

const struct credential_source *credential_source_find(void)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        if (sources[i].configured())
            return &sources[i];
    }
    return NULL;
}
