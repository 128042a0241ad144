/* Which requests may be signed: method, URL and headers, a line each. */
#include <string.h>

#include "lib/aws/sign.h"
#include "tests/fuzz/driver.h"

static int check(char *lines)
{
    static const struct sign_key key = {"AKIAEXAMPLE", "secret", "eu-west-1", "sts"};
    struct http_request request = {.sign = &key};
    struct error err = {0};
    size_t n = 0;
    request.method = strsep(&lines, "\n");
    request.url = lines ? strsep(&lines, "\n") : "";
    for (char *line; n < HTTP_HEADERS_MAX && (line = strsep(&lines, "\n")) && *line;)
        request.headers[n++] = line;
    if (strcmp(request.method, "POST") == 0) {
        request.body = "x";
        request.body_length = 1;
    }
    int r = sign_check(&request, &err);
    MUST((r < 0) == (err.text[0] != '\0'));
    if (r < 0)
        return -1;
    const char *scheme = strstr(request.url, "://"), *after = scheme ? scheme + 3 : request.url;
    const char *path = strpbrk(after, "/?#");
    MUST(path && *path == '/' && !strstr(path, "//") && !strpbrk(path, "#+ \r\n\t"));
    MUST(!memchr(path, '%', strcspn(path, "?")));
    for (size_t i = 0; i < n; i++)
        MUST(strstr(request.headers[i], ": ") && !strpbrk(request.headers[i], "\r\n"));
    return 0;
}

int fuzz_parse(const char *text, size_t length)
{
    char *lines = strndup(text, length);
    MUST(lines);
    int r = check(lines);
    free(lines);
    return r;
}
