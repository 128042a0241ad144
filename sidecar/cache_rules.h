/*
 * cache_rules: which files are cached, and how fresh their copies are, as cache.rules says.
 *
 *     GLOB=MODE, the first that matches; no other than "**=validate" when none does
 *     immutable     the file never changes under its name: a copy is used until it is evicted
 *     validate      each open asks EFS (one statx) whether the copy is still the file
 *     bounded:T     a copy is never older than T, which is asked for in the background
 *     off           no copy is made
 *
 *     r = cache_rules_parse(&settings->cache_rules, "/data", &rules, &err);
 *     const struct cache_rule *rule = cache_rules_find(&rules, "models/a.bin");
 *
 * A glob (lib/glob.h) is for paths relative to the mount; one that begins with '/' is for whole
 * paths, below one mount. Threads: safe once parsed.
 */
#ifndef SIDECAR_CACHE_RULES_H
#define SIDECAR_CACHE_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/settings.h"
#include "shim/cache_layout.h"

enum { CACHE_BOUND_MIN_MS = 1000, CACHE_BOUND_MAX_MS = 3600 * 1000 };

struct cache_rule {
    char glob[CONFIG_TEXT_MAX + 1];
    enum cache_mode mode; /* CACHE_OFF: off */
    int64_t bound_ms;     /* CACHE_BOUNDED */
};

/* One more than can be given: what holds when none matches. */
enum { CACHE_RULES_MAX = CONFIG_NAMES_MAX + 1 };

struct cache_rules {
    size_t n; /* at least 1 */
    struct cache_rule of[CACHE_RULES_MAX];
};

extern const char *const cache_mode_names[]; /* by enum cache_mode */

/* Those that can be about this mount; all are checked, and err names the first wrong one. */
int cache_rules_parse(const struct name_list *texts, const char *mount,
                      struct cache_rules *ret_rules, struct error *err);

/* Never cached, whatever the rules say: nothing tells of changes there, and only sidecars read it.
 */
bool cache_rules_exclude(const char *path, const char *state_dir);

/* Tell all that is wrong with them. */
void cache_rules_check(const struct settings *settings, struct config_report *report);

/* Never NULL. Its place in rules->of tells it from others. */
const struct cache_rule *cache_rules_find(const struct cache_rules *rules, const char *path);

#endif
