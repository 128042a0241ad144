/*
 * cache_pins: what is to have a copy whether it is opened or not: pinned subtrees (cache.pin), and
 * what is warmed once (cache.warm, POST /v1/cache/warm). For cache.c only, which asks EFS.
 *
 *     r = cache_pins_add(pins, "models", true);              // it and all below it
 *     while (cache_pins_next(pins, &path, &is_dir))          // to be asked about, or listed
 *         ...
 *     cache_pins_found(pins, "models", names, n, bytes)      // a directory's entries
 *     cache_pins_done(pins, hash, result, size);             // 0: it has a copy
 *     cache_pins_changed(pins, path, is_dir);                // it may be another one now
 *     r = cache_pins_take_gone(pins, path);                  // a file that the last walk missed
 *     cache_pins_report_on(pins, "models");                  // what came of it and all below it
 *     cache_pins_report(pins, &report);
 *
 * A walk lists every directory; the next one begins PINS_WALK_MS after the last or with
 * cache_pins_walk(). What it does not find is gone, unless a directory could not be listed.
 *
 * Threads: one at a time. Everything has a cap: at most `max` files and directories. What was
 * warmed is forgotten when other things have been warmed since.
 */
#ifndef SIDECAR_CACHE_PINS_H
#define SIDECAR_CACHE_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/settings.h"
#include "shim/cache_layout.h"
#include "sidecar/cache_fetch.h"

enum { PINS_WALK_MS = 5 * 60 * 1000, PINS_ROOTS_MAX = 2 * CONFIG_NAMES_MAX };

struct cache_pins;

struct cache_pins_progress {
    uint64_t files, done, failed;      /* failed: will have none as it is now */
    uint64_t sized, bytes, done_bytes; /* bytes of those whose size is known */
    bool walked;                       /* since the last resync: `files` is all there are */
    bool complete;                     /* and nothing is under way */
    bool over;                         /* there are more than `max` */
    int64_t began_ms;                  /* when the work began that is under way; 0: none */
    int64_t took_ms;                   /* the last work, to its end */
};

struct cache_pins_report {
    uint64_t files, copies, failed_files;
    uint64_t failed[CACHE_FAILURES]; /* directories too */
    uint64_t pending;                /* not known yet; directories too */
    uint64_t refused;                /* of the paths that were asked for: failed themselves */
    int first_error;                 /* errno of the first that failed, in no certain order */
    char first[CACHE_PATH_MAX + 1];
};

/* The path below the mount: "models/", "/models" and, on /data, "/data/models" are "models"; two
 * stars behind say the same. -EINVAL: no directory. */
int cache_pins_parse(const char *text, const char *mount, char ret_path[CACHE_PATH_MAX + 1]);

/* Tell all that is wrong with cache.pin. */
void cache_pins_check(const struct settings *settings, struct config_report *report);

int cache_pins_new(size_t max, struct cache_pins **ret_pins);
void cache_pins_free(struct cache_pins *pins); /* NULL is fine */

/* pinned: for good; else once. -ENOSPC: too many. */
int cache_pins_add(struct cache_pins *pins, const char *path, bool pinned);
bool cache_pins_has(const struct cache_pins *pins, const char *path); /* pinned */

/* Valid until the next call. */
bool cache_pins_next(struct cache_pins *pins, const char **ret_path, bool *ret_is_dir);
void cache_pins_put_back(struct cache_pins *pins, const char *path);

/* What is in a directory: names as "dNAME" or "fNAME", each with its NUL. */
void cache_pins_found(struct cache_pins *pins, const char *dir, const char *names, size_t bytes);
void cache_pins_sized(struct cache_pins *pins, uint64_t hash, uint64_t size);
void cache_pins_done(struct cache_pins *pins, uint64_t hash, int result);

void cache_pins_changed(struct cache_pins *pins, const char *path, bool is_dir);
void cache_pins_gone(struct cache_pins *pins, const char *path);
void cache_pins_walk(struct cache_pins *pins); /* from the roots, again */

/* Into path of CACHE_PATH_MAX + 1 bytes; false: no more. */
bool cache_pins_take_gone(struct cache_pins *pins, char *path);

/* What there is to do by the clock. */
void cache_pins_turn(struct cache_pins *pins);

/* Something that belongs to a pin has changed since this was asked last, and all is there. */
bool cache_pins_take_version(struct cache_pins *pins);

void cache_pins_report_on(struct cache_pins *pins, const char *path);
/* Of all that this was said of since the last report. */
void cache_pins_report(struct cache_pins *pins, struct cache_pins_report *ret_report);

void cache_pins_progress(const struct cache_pins *pins, struct cache_pins_progress *ret_progress);

#endif
