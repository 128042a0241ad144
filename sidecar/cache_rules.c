#include "sidecar/cache_rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/glob.h"
#include "lib/parse.h"

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

static int parse_one(const char *text, struct cache_rule *rule, struct error *err)
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
    return 0;
}

int cache_rules_parse(const struct name_list *texts, struct cache_rules *ret_rules,
                      struct error *err)
{
    struct cache_rules rules = {0};
    for (size_t i = 0; i < texts->n; i++) {
        int r = parse_one(texts->names[i], &rules.of[rules.n++], err);
        if (r < 0)
            return r;
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
