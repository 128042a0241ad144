#include "cli/cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/field.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/text.h"

enum { OPTION_JSON, OPTION_MOUNT, OPTION_NO_WAIT };
enum { POLL_MS = 500, BAR = 24 };

/* ---- what is known ---- */

static int get_cache(const struct command_call *call, struct client **ret_client, json_t **ret_root,
                     const char **ret_text)
{
    return command_get(call, "/v1/cache", COMMAND_TIMEOUT_MS, ret_client, ret_root, ret_text);
}

/* The one that is meant, or the first; NULL: said on stderr. */
static const json_t *pick(const struct command_call *call, const json_t *root)
{
    size_t i;
    json_t *mount;
    const char *wanted = call->values[OPTION_MOUNT];
    json_array_foreach(json_object_get(root, "mounts"), i, mount)
    {
        if (!wanted || strcmp(field_text(mount, "mount"), wanted) == 0)
            return mount;
    }
    fputs("efsctl: there is no cache", stderr);
    if (wanted) {
        fputs(" of ", stderr);
        text_put(stderr, wanted);
    }
    fputs("; the sidecar needs EFS_SIDECAR_PROFILE=cache\n", stderr);
    return NULL;
}

/* ---- stats ---- */

static void print_rules(const json_t *mount)
{
    size_t i;
    json_t *rule;
    char size[TEXT_SHORT];
    json_array_foreach(json_object_get(mount, "rules"), i, rule)
    {
        fputs("  ", stdout);
        text_column(stdout, 24, field_text(rule, "glob"));
        text_column(stdout, 10, field_text(rule, "mode"));
        printf("%8lld files %10s", field_integer(rule, "files"),
               text_size(field_integer(rule, "bytes"), size));
        double month = json_real_value(json_object_get(rule, "dollars_month"));
        double opens = json_real_value(json_object_get(rule, "dollars_per_million_opens"));
        if (month > 0)
            printf("  $%.2f a month", month);
        if (opens > 0)
            printf("  $%.2f per million opens", opens);
        putchar('\n');
    }
}

/* What an earlier sidecar had copied and is the file still. */
static void print_kept(const json_t *warming)
{
    char bytes[TEXT_SHORT];
    if (field_integer(warming, "kept_files") > 0)
        printf(", %lld of them (%s) kept from before the restart",
               field_integer(warming, "kept_files"),
               text_size(field_integer(warming, "kept_bytes"), bytes));
    putchar('\n');
}

static void print_mount(const json_t *mount)
{
    char bytes[TEXT_SHORT], size[TEXT_SHORT];
    const json_t *opens = json_object_get(mount, "opens"), *cost = json_object_get(mount, "cost");
    const json_t *warming = json_object_get(mount, "warming");
    text_put(stdout, field_text(mount, "mount"));
    fputs(" in ", stdout);
    text_put(stdout, field_text(mount, "dir"));
    printf(": %lld files, %s of %s%s\n", field_integer(mount, "files"),
           text_size(field_integer(mount, "bytes"), bytes),
           text_size(field_integer(mount, "size"), size),
           json_is_true(json_object_get(mount, "ready")) ? "" : ", not ready");
    printf("  %lld hits, %lld copies made, %lld evicted, %lld changed; EFS was asked %lld times, "
           "$%.4f so far\n",
           field_integer(opens, "hits"), field_integer(mount, "fetches"),
           field_integer(mount, "evictions"), field_integer(mount, "invalidations"),
           field_integer(cost, "calls"), json_real_value(json_object_get(cost, "dollars")));
    if (field_integer(warming, "files") > 0) {
        printf("  pinned and warmed: %lld files, %lld there, %lld failed",
               field_integer(warming, "files"), field_integer(warming, "done"),
               field_integer(warming, "failed"));
        print_kept(warming);
    }
    print_rules(mount);
}

static int stats_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    const char *text;
    int code = get_cache(call, &client, &root, &text);
    if (code != 0)
        return code;
    if (call->values[OPTION_JSON]) {
        puts(text);
        return 0;
    }
    size_t i;
    json_t *mount;
    if (!pick(call, root))
        return COMMAND_REFUSED;
    json_array_foreach(json_object_get(root, "mounts"), i, mount)
    {
        print_mount(mount);
    }
    return 0;
}

/* ---- progress ---- */

/* What is left takes as long, by the byte, as what is done; the files that were not looked at yet
 * are taken to be like the others. */
static int64_t left_ms(const json_t *warming)
{
    double files = (double)field_integer(warming, "files"),
           sized = (double)field_integer(warming, "sized"),
           bytes = (double)field_integer(warming, "bytes"),
           done = (double)field_integer(warming, "done_bytes");
    if (sized < 1 || done < 1)
        return -1;
    double all = bytes / sized * files;
    return (int64_t)((double)field_integer(warming, "ms") * (all - done) / done);
}

static void print_progress(const json_t *warming, bool on_terminal)
{
    char done[TEXT_SHORT], bytes[TEXT_SHORT], left[TEXT_SHORT], bar[BAR + 1];
    long long files = field_integer(warming, "files"), there = field_integer(warming, "done");
    int64_t ms = left_ms(warming);
    int n = files > 0 ? (int)(there * BAR / files) : 0;
    memset(bar, '.', BAR);
    memset(bar, '#', n < BAR ? (size_t)n : BAR);
    bar[BAR] = '\0';
    printf("%s[%s] %lld of %lld%s files, %s of %s, %s left%s", on_terminal ? "\r" : "", bar, there,
           files, json_is_true(json_object_get(warming, "listed")) ? "" : " or more",
           text_size(field_integer(warming, "done_bytes"), done),
           text_size(field_integer(warming, "bytes"), bytes),
           ms < 0 ? "-" : text_duration(ms, left), on_terminal ? "\033[K" : "\n");
    fflush(stdout);
}

/* ---- what changes something ---- */

/* Relative to its mount, whatever it was given as. */
static const char *strip(const char *path, const char *mount)
{
    size_t length = strlen(mount);
    if (strncmp(path, mount, length) == 0 && (path[length] == '/' || path[length] == '\0'))
        path += length;
    return path + strspn(path, "/");
}

/* The answer to a POST about the paths of the command line; without any, about all of the mount.
 * NULL and 0: the sidecar is older than what is asked of it. */
static int post(const struct command_call *call, const char *word, const char *mount,
                json_t **ret_answer)
{
    _cleanup_client_ struct client *client = NULL;
    char target[64], code_text[COMMAND_CODE_SIZE];
    struct error err;
    const char *text;
    size_t length;
    json_t *paths = json_array();
    for (int i = 1; i < call->n_arguments; i++)
        json_array_append_new(paths, json_string(strip(call->arguments[i], mount)));
    if (call->n_arguments <= 1)
        json_array_append_new(paths, json_string(""));
    _cleanup_json_ json_t *body = json_pack("{s:s, s:o}", "mount", mount, "paths", paths);
    _cleanup_free_ char *body_text = json_dumps(body, JSON_COMPACT);
    if (!body_text)
        return command_misuse(call, "a path is not UTF-8");
    snprintf(target, sizeof(target), "/v1/cache/%s", word);
    int r =
        client_post_json(call->socket_path, target, body_text, COMMAND_TIMEOUT_MS, &client, &err);
    if (r < 0)
        return command_failed(&err);
    if (client_status(client) == 404 && strcmp(word, "report") == 0)
        return 0;
    if (client_status(client) != 200)
        return command_refused(client, code_text);
    r = client_body(client, &text, &length, &err);
    if (r == 0)
        r = json_parse(text, length, ret_answer, &err);
    return r < 0 ? command_failed(&err) : 0;
}

/* ---- what came of it ---- */

static const char *explain(const char *reason)
{
    static const struct {
        const char *reason, *text;
    } known[] = {
        {"changed", "it is written to again and again"},
        {"gone", "it is not there, or is no regular file"},
        {"rights", "not everybody may read it and search every directory above it; cache.as names "
                   "the user who may"},
        {"too_large", "it is larger than cache.file_max, which does not hold for what is pinned"},
        {"no_room", "cache.size, cache.files, cache.min_free or the disk leave no room"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].reason, reason) == 0)
            return known[i].text;
    return "it could not be read or copied";
}

/* Which, and why. */
static void tell_failed(const json_t *report)
{
    const json_t *first = json_object_get(report, "first");
    const char *reason, *separator = "";
    json_t *n;
    if (!json_is_object(first))
        return;
    fputs("efsctl: there is no copy of ", stderr);
    text_put(stderr, *field_text(first, "path") ? field_text(first, "path") : "the mount");
    fprintf(stderr, ": %s (", explain(field_text(first, "reason")));
    text_put(stderr, field_text(first, "error"));
    fputs(")\nefsctl: files and directories without: ", stderr);
    json_object_foreach(json_object_get(report, "failed"), reason, n)
    {
        if (json_integer_value(n) == 0)
            continue;
        fputs(separator, stderr);
        text_put(stderr, reason);
        fprintf(stderr, " %lld", (long long)json_integer_value(n));
        separator = ", ";
    }
    fputc('\n', stderr);
}

/* Directories that nobody asked for by name may be closed, as other tasks' are. */
static bool is_refused(const json_t *report)
{
    bool has_none =
        json_is_object(json_object_get(report, "first")) && field_integer(report, "copies") == 0;
    return field_integer(report, "failed_files") > 0 || field_integer(report, "refused") > 0 ||
           has_none;
}

/* A sidecar that makes no reports counts. */
static bool has_failed(const json_t *warming)
{
    long long failed = field_integer(warming, "failed");
    if (failed > 0)
        fprintf(
            stderr,
            "efsctl: %lld %s no copy: \"failed\" in efsctl cache stats --json says why (rights, "
            "no_room, gone)\n",
            failed, failed == 1 ? "file has" : "files have");
    return failed > 0;
}

static int judge(const struct command_call *call, const char *mount, const json_t *warming)
{
    _cleanup_json_ json_t *report = NULL;
    char took[TEXT_SHORT], bytes[TEXT_SHORT];
    bool has_too_many = json_is_true(json_object_get(warming, "too_many"));
    int code = post(call, "report", mount, &report);
    if (code != 0)
        return code;
    printf("%lld files, %s, in %s", field_integer(warming, "done"),
           text_size(field_integer(warming, "done_bytes"), bytes),
           text_duration(field_integer(warming, "ms"), took));
    print_kept(warming);
    if (has_too_many)
        fputs("efsctl: there are more files than cache.files allows\n", stderr);
    if (report)
        tell_failed(report);
    bool refused = report ? is_refused(report) : has_failed(warming);
    return refused || has_too_many ? COMMAND_REFUSED : 0;
}

static int wait_complete(const struct command_call *call)
{
    bool on_terminal = isatty(STDOUT_FILENO);
    for (int64_t told_ms = clock_now_ms();; usleep(POLL_MS * 1000)) {
        _cleanup_client_ struct client *client = NULL;
        _cleanup_json_ json_t *root = NULL;
        int code = get_cache(call, &client, &root, NULL);
        const json_t *mount = code == 0 ? pick(call, root) : NULL;
        const json_t *warming = json_object_get(mount, "warming");
        if (!mount)
            return code ? code : COMMAND_REFUSED;
        bool is_complete = json_is_true(json_object_get(warming, "complete"));
        if (on_terminal || (!is_complete && clock_now_ms() - told_ms >= 10 * 1000)) {
            print_progress(warming, on_terminal);
            told_ms = clock_now_ms();
        }
        if (!is_complete)
            continue;
        if (on_terminal)
            putchar('\n');
        return judge(call, field_text(mount, "mount"), warming);
    }
}

static int change_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL, *answer = NULL;
    bool evicts = strcmp(call->arguments[0], "evict") == 0;
    int code = get_cache(call, &client, &root, NULL);
    const json_t *mount = code == 0 ? pick(call, root) : NULL;
    if (!mount)
        return code ? code : COMMAND_REFUSED;
    code = call->n_arguments > 1
               ? post(call, call->arguments[0], field_text(mount, "mount"), &answer)
               : 0;
    if (code != 0)
        return code;
    if (field_integer(answer, "refused") > 0) {
        fprintf(stderr,
                "efsctl: %lld of the paths cannot have copies: they are outside of the mount, "
                "or cache.rules says off\n",
                field_integer(answer, "refused"));
        return COMMAND_REFUSED;
    }
    if (evicts)
        printf("%lld copies are gone\n", field_integer(answer, "copies"));
    return evicts || call->values[OPTION_NO_WAIT] ? 0 : wait_complete(call);
}

/* ---- path ---- */

/* Where a program finds the copy without the library. */
static int path_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    char path[PATH_MAX];
    int code = get_cache(call, &client, &root, NULL);
    const json_t *mount = code == 0 ? pick(call, root) : NULL;
    if (!mount)
        return code ? code : COMMAND_REFUSED;
    const char *below =
        call->n_arguments > 1 ? strip(call->arguments[1], field_text(mount, "mount")) : "";
    const char *dir =
        field_text(mount, json_is_string(json_object_get(mount, "current")) ? "current" : "dir");
    int n = snprintf(path, sizeof(path), "%s%s%s", dir, *below ? "/" : "", below);
    if (n < 0 || (size_t)n >= sizeof(path))
        return command_misuse(call, "the path is too long");
    puts(path);
    if (access(path, F_OK) == 0)
        return 0;
    fputs("efsctl: there is no copy now; what is to be there always is for cache.pin\n", stderr);
    return COMMAND_REFUSED;
}

static const struct {
    const char *word;
    int min_arguments;
    int (*run)(const struct command_call *call);
} words[] = {
    {"stats", 0, stats_run},  {"warm", 0, change_run}, {"pin", 1, change_run},
    {"evict", 1, change_run}, {"path", 0, path_run},
};

int cache_run(const struct command_call *call)
{
    if (call->n_arguments == 0)
        return stats_run(call);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].word, call->arguments[0]) != 0)
            continue;
        if (call->n_arguments - 1 < words[i].min_arguments)
            return command_misuse(call, "which path?");
        return words[i].run(call);
    }
    return command_misuse(call, "it is stats, warm, pin, evict or path, not %.64s",
                          call->arguments[0]);
}
