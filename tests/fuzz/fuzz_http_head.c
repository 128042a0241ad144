/* A request to the API as any process of the task can send it: head, path and query. What is taken
 * has no byte that could mislead who prints it or makes a path of it. */
#include <string.h>

#include "lib/cleanup.h"
#include "lib/error.h"
#include "sidecar/http_head.h"
#include "tests/fuzz/driver.h"

static const char *const names[] = {"path", "mount", "since", "dir", "wait", NULL};

int fuzz_parse(const char *text, size_t length)
{
    struct http_head head = {0};
    struct http_query query = {0};
    struct error err = {0};
    if (length > HTTP_HEAD_MAX)
        return -1;
    _cleanup_free_ char *copy = malloc(length + 1);
    MUST(copy);
    memcpy(copy, text, length);
    copy[length] = '\0';
    int r = http_head_parse(copy, length, &head, &err);
    MUST((r < 0) == (err.text[0] != '\0'));
    if (r < 0)
        return -1;
    const char *end = copy + length;
    MUST(head.method >= copy && head.method < end && head.path >= copy && head.path <= end);
    MUST(head.path[0] == '/' && head.query >= copy && head.query <= end);
    MUST(head.body_bytes <= HTTP_BODY_MAX);
    _cleanup_free_ char *path = strdup(head.path);
    MUST(path);
    if (http_path_decode(path, NULL) < 0 || http_query_parse(head.query, names, &query, &err) < 0)
        return -1;
    MUST(strlen(path) <= strlen(head.path) && query.n <= HTTP_QUERY_MAX);
    for (size_t i = 0; i < query.n; i++)
        MUST(http_query_get(&query, query.of[i].name) == query.of[i].value);
    return 0;
}
