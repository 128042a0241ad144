/*
 * api_cache: what the API says and does about the caches of the mounts.
 *
 *     GET /v1/cache            {"mounts":[{"mount","dir","ready","files","bytes","size",...}]}
 *     POST /v1/cache/evict     {"mount":PATH,"paths":[...]} -> {"copies":N}: gone from the cache
 *     POST /v1/cache/warm      the same -> {"copies":N,"refused":N}: so many are fetched, or looked
 *                              at where there is a copy; directories with all below them
 *     POST /v1/cache/pin       the same, and they stay, and stay new, until the sidecar ends
 *     POST /v1/cache/report    what came of that: {"files","copies","pending","refused",
 *                              "failed_files","failed":{REASON:N,...},"first":{"path","reason",
 *                              "error"}|null}; refused are the paths themselves that have no copy,
 *                              failed are files and directories at and below them
 *
 * Without "mount" it is the first that has a cache. Paths are relative to it; what is under a
 * directory is evicted with it, "" is all. Threads: loop thread only.
 */
#ifndef SIDECAR_API_CACHE_H
#define SIDECAR_API_CACHE_H

#include <jansson.h>

#include "sidecar/api.h"
#include "sidecar/http.h"
#include "sidecar/mount_cache.h"

enum { CACHE_PATHS_MAX = 1000 }; /* in one request */

json_t *api_cache_json(const struct api_sources *from);
json_t *api_cache_summary_json(const struct mount_cache *cache); /* for GET /v1/status */

void api_cache_serve(const struct api_sources *from, enum cache_command_kind kind,
                     struct http_request *request);

#endif
