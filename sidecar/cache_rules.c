#include "sidecar/cache_rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/glob.h"
#include "lib/parse.h"
#include "lib/share/layout.h"

const char *const cache_mode_names[] = {
    [CACHE_OFF] = "off",
    [CACHE_IMMUTABLE] = "immutable",
    [CACHE_VALIDATE] = "validate",
    [CACHE_BOUNDED] = "bounded",
};

static const char bounded_prefix[] = "bounded:";

static int parse_mode_word(const char *word, struct cache_rule *rule)
{
    size_t n = sizeof(bounded_prefix) - 1;
    if (strncmp(word, bounded_prefix, n) == 0) {
        rule->mode = CACHE_BOUNDED;
        return parse_duration_ms(word + n, CACHE_BOUND_MIN_MS, CACHE_BOUND_MAX_MS, &rule->bound_ms);
    }
    for (enum cache_mode mode = CACHE_OFF; mode < CACHE_BOUNDED; mode++)
        if (strcmp(word, cache_mode_names[mode]) == 0) {
            rule->mode = mode;
            return 0;
        }
    return -EINVAL;
}

/* Behind the mount's path and its '/', or NULL: the glob is about another one. */
static const char *below(const char *glob, const char *mount)
{
    size_t length = strcmp(mount, "/") == 0 ? 0 : strlen(mount);
    return strncmp(glob, mount, length) == 0 && glob[length] == '/' ? glob + length + 1 : NULL;
}

/* *ret_glob is where the glob begins, as it is for paths relative to the mount. */
static int parse_one(const char *text, const char *mount, struct cache_rule *rule,
                     const char **ret_glob, struct error *err)
{
    const char *equals = strrchr(text, '='), *why = NULL;
    const char *glob = text + (*text == '/');
    if (!equals)
        return error_set(err, EINVAL, "\"%s\" has no mode: write GLOB=validate, for example", text);
    if (parse_mode_word(equals + 1, rule) < 0)
        return error_set(err, EINVAL,
                         "\"%s\": \"%s\" is none of immutable, validate, off and bounded:TIME with "
                         "a time from 1s to 1h",
                         text, equals + 1);
    int n = equals > glob ? (int)(equals - glob) : 0;
    snprintf(rule->glob, sizeof(rule->glob), "%.*s", n, glob);
    if (glob_check(rule->glob, &why) < 0)
        return error_set(err, EINVAL, "\"%s\": the pattern %s", text, why);
    *ret_glob = *text == '/' ? below(text, mount) : text;
    if (*ret_glob && *ret_glob < equals)
        snprintf(rule->glob, sizeof(rule->glob), "%.*s", (int)(equals - *ret_glob), *ret_glob);
    return 0;
}

int cache_rules_parse(const struct name_list *texts, const char *mount,
                      struct cache_rules *ret_rules, struct error *err)
{
    struct cache_rules rules = {0};
    for (size_t i = 0; i < texts->n; i++) {
        const char *glob = NULL;
        int r = parse_one(texts->names[i], mount, &rules.of[rules.n], &glob, err);
        if (r < 0)
            return r;
        rules.n += glob != NULL;
    }
    rules.of[rules.n++] = (struct cache_rule){.glob = "**", .mode = CACHE_VALIDATE};
    *ret_rules = rules;
    return 0;
}

const struct cache_rule *cache_rules_find(const struct cache_rules *rules, const char *path)
{
    size_t i = 0;
    while (i < rules->n - 1 && !glob_matches(rules->of[i].glob, path))
        i++;
    return &rules->of[i];
}

static bool has_component(const char *path, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = path; (p = strstr(p, name)); p += length)
        if ((p == path || p[-1] == '/') && (p[length] == '\0' || p[length] == '/'))
            return true;
    return false;
}

bool cache_rules_exclude(const char *path, const char *state_dir)
{
    return has_component(path, state_dir) || has_component(path, LAYOUT_STAGE);
}

static bool is_on_a_mount(char *rule, const struct mount_list *mounts)
{
    const struct name_list alone = {.n = 1, .names = {rule}};
    struct cache_rules rules;
    for (size_t i = 0; i < mounts->n; i++)
        if (cache_rules_parse(&alone, mounts->mounts[i].path, &rules, NULL) == 0 && rules.n > 1)
            return true;
    return false;
}

void cache_rules_check(const struct settings *settings, struct config_report *report)
{
    const struct name_list *texts = &settings->cache_rules;
    struct cache_rules rules;
    struct error err;
    if (cache_rules_parse(texts, "/", &rules, &err) < 0)
        config_error(report, "cache.rules: %s", err.text);
    else
        for (size_t i = 0; i < texts->n; i++)
            if (!is_on_a_mount(texts->names[i], &settings->mounts))
                config_error(report,
                             "cache.rules: \"%s\" is below none of the mounts: write it without "
                             "the \"/\" in front to have it relative to each",
                             texts->names[i]);
}
