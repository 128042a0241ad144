#include "sidecar/reaction_rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/glob.h"
#include "lib/parse.h"

static const char http_prefix[] = "http://", signal_prefix[] = "signal:";

/* Those that programs use to be told something. KILL and STOP tell nothing. */
static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2},   {"INT", SIGINT},
    {"QUIT", SIGQUIT}, {"TERM", SIGTERM}, {"WINCH", SIGWINCH},
};

bool reaction_is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    switch (address->ss_family) {
    case AF_INET:
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    default:
        return false;
    }
}

/* ---- the target ---- */

static int bad_host(const char *host, struct error *err)
{
    return error_set(err, EINVAL,
                     "the host \"%.64s\" is not of this task: only 127.0.0.1, [::1] and localhost "
                     "are asked, because the containers of a task share them and nobody else does",
                     host);
}

/* Names are not resolved: what they mean could change, and asking takes time. */
static int set_address(struct reaction_rule *rule, const char *host, uint16_t port,
                       struct error *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&rule->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&rule->address;
    const char *numeric = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    rule->address = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, numeric, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        rule->address_length = sizeof(*v4);
    } else if (inet_pton(AF_INET6, numeric, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        rule->address_length = sizeof(*v6);
    }
    return reaction_is_loopback(&rule->address) ? 0 : bad_host(host, err);
}

static int parse_port(const char *text, size_t length, uint16_t *ret_port, struct error *err)
{
    char digits[8] = "";
    int64_t port = 80;
    if (length > 0) { /* with its colon */
        snprintf(digits, sizeof(digits), "%.*s", (int)length - 1, text + 1);
        if (*text != ':' || length > 6 || parse_i64(digits, 1, UINT16_MAX, &port) < 0)
            return error_set(err, EINVAL, "the port \"%.*s\" is not a number from 1 to 65535",
                             length > 20 ? 20 : (int)length, text);
    }
    *ret_port = (uint16_t)port;
    return 0;
}

static int parse_http(struct reaction_rule *rule, const char *url, struct error *err)
{
    char host[REACTION_HOST_MAX];
    uint16_t port = 0;
    const char *authority = url + strlen(http_prefix);
    size_t length = strcspn(authority, "/?#");
    bool brackets = *authority == '[';
    size_t host_length = strcspn(authority, brackets ? "]" : ":/?#");
    if (host_length > length)
        host_length = length;
    snprintf(host, sizeof(host), "%.*s", (int)host_length - brackets, authority + brackets);
    bool whole = host_length < sizeof(host) && (!brackets || authority[host_length] == ']');
    host_length += brackets;
    int r = whole ? 0 : bad_host(host, err);
    if (r == 0)
        r = parse_port(authority + host_length, length - host_length, &port, err);
    if (r == 0)
        r = set_address(rule, host, port, err);
    if (r < 0)
        return r;
    snprintf(rule->host, sizeof(rule->host), "%.*s", (int)length, authority);
    snprintf(rule->path, sizeof(rule->path), "%s%s", authority[length] == '/' ? "" : "/",
             authority + length);
    for (const char *p = rule->path; *p; p++)
        if (*p <= ' ' || *p > '~' || *p == '#')
            return error_set(err, EINVAL,
                             "the path of the URL has a byte that must be written as %%%02X",
                             (unsigned char)*p);
    rule->kind = REACTION_HTTP;
    return 0;
}

static int parse_signal(struct reaction_rule *rule, const char *text, struct error *err)
{
    const char *name = text + strlen(signal_prefix);
    size_t length = strcspn(name, ":"), i = 0;
    while (i < ARRAY_LEN(signals) &&
           (strlen(signals[i].name) != length || memcmp(signals[i].name, name, length) != 0))
        i++;
    if (i == ARRAY_LEN(signals))
        return error_set(err, EINVAL,
                         "the signal \"%.*s\" is none of HUP, USR1, USR2, INT, QUIT, TERM, WINCH",
                         length > 20 ? 20 : (int)length, name);
    const char *process = name + length + (name[length] == ':');
    if (!*process || strchr(process, '/') || strlen(process) > REACTION_PROCESS_MAX)
        return error_set(err, EINVAL,
                         "\"%.64s\" is not the name of a process: signal:HUP:NAME, without a path",
                         process);
    rule->kind = REACTION_SIGNAL;
    rule->signal_number = signals[i].number;
    snprintf(rule->process, sizeof(rule->process), "%s", process);
    return 0;
}

/* ---- the glob ---- */

/* The mount of a whole path, and what is beneath it. */
static const char *find_mount(const struct mount_list *mounts, const char *path,
                              const char **ret_rest)
{
    const char *found = NULL;
    size_t best = 0;
    for (size_t i = 0; i < mounts->n; i++) {
        const char *mount = mounts->mounts[i].path;
        size_t length = strcmp(mount, "/") == 0 ? 0 : strlen(mount);
        if (strncmp(path, mount, length) != 0 || path[length] != '/' || (found && length < best))
            continue;
        found = mount;
        best = length;
        *ret_rest = path + length + 1;
    }
    return found;
}

static int parse_glob(struct reaction_rule *rule, const char *glob, const struct mount_list *mounts,
                      struct error *err)
{
    const char *rest = glob, *why;
    rule->mount = NULL;
    if (*glob == '/' && !(rule->mount = find_mount(mounts, glob, &rest)))
        return error_set(err, EINVAL, "%.200s lies on none of the mounts", glob);
    if (glob_check(rest, &why) < 0)
        return error_set(err, EINVAL, "the pattern %.200s %s", rest, why);
    memmove(rule->glob, rest, strlen(rest) + 1);
    return 0;
}

static const char *find_target(const char *text)
{
    for (const char *p = strchr(text, '='); p; p = strchr(p + 1, '='))
        if (strncmp(p + 1, "http", 4) == 0 || strncmp(p + 1, signal_prefix, 7) == 0)
            return p + 1;
    return NULL;
}

static int parse(const char *text, const struct mount_list *mounts, struct reaction_rule *rule,
                 struct error *err)
{
    char glob[CONFIG_TEXT_MAX];
    const char *target = find_target(text);
    if (!target || strlen(text) >= CONFIG_TEXT_MAX)
        return error_set(err, EINVAL,
                         "it is not GLOB=http://127.0.0.1:PORT/PATH or GLOB=signal:HUP:PROCESS");
    *(char *)mempcpy(glob, text, (size_t)(target - 1 - text)) = '\0';
    int r = parse_glob(rule, glob, mounts, err);
    if (r < 0)
        return r;
    if (strncmp(target, signal_prefix, strlen(signal_prefix)) == 0)
        return parse_signal(rule, target, err);
    if (strncmp(target, http_prefix, strlen(http_prefix)) != 0)
        return error_set(err, EINVAL,
                         "only http:// is possible: what is asked does not leave this task");
    return parse_http(rule, target, err);
}

int reaction_rule_parse(const char *text, const struct mount_list *mounts,
                        struct reaction_rule *ret_rule, struct error *err)
{
    struct reaction_rule rule = {0};
    int r = parse(text, mounts, &rule, err);
    if (r < 0)
        error_prefix(err, "on_change: \"%.128s\"", text);
    else
        *ret_rule = rule;
    return r;
}

bool reaction_rule_concerns(const struct reaction_rule *rule, const char *mount,
                            const struct change *change)
{
    const char *from = change->from ? change->from : "";
    if (rule->mount && strcmp(rule->mount, mount) != 0)
        return false;
    if (glob_matches(rule->glob, change->path) || (*from && glob_matches(rule->glob, from)))
        return true;
    bool whole = change->op == CHANGE_RESYNC ||
                 (change->flags & CHANGE_IS_DIR &&
                  (change->op == CHANGE_DELETE || change->op == CHANGE_RENAME));
    return whole &&
           (glob_reaches(rule->glob, change->path) || (*from && glob_reaches(rule->glob, from)));
}
