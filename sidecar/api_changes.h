/*
 * api_changes: GET /v1/changes?path=&mount=&since=&op=&remote=, a JSON line per change for as long
 * as the client stays.
 *
 *     {"ready":true,"mount":"/data","cursor":"7.41"}       per mount, once all of it is watched
 *     {"path":"a/b","op":"modify",...,"mount":"/data"}
 *     {"op":"resync","reason":"slow_reader",...}           look again under "path"
 *     {"keepalive":true,"mount":"/data","cursor":"7.44"}   every 15 s
 *
 * path: only what lies at or under it, by whole components (what happens to a directory above it as
 * a whole too). op: only these operations, with commas between. remote=1: not what this host's own
 * kernel saw. A resync passes every filter, see change_filter.h. since: go on behind this cursor;
 * what is not known any more becomes a resync, told after the ready line with the same cursor. Such
 * a resync, of the API itself, has no observer, and nothing is reported again behind it.
 *
 * A stream reads the mounts' feeds no faster than its client takes the lines, so its memory is
 * bounded; what drops out of the feed meanwhile becomes a resync. Ownership: streams belong to the
 * list and end with it. Threads: loop thread only.
 */
#ifndef SIDECAR_API_CHANGES_H
#define SIDECAR_API_CHANGES_H

#include "sidecar/api.h"
#include "sidecar/http.h"

struct api_changes;

int api_changes_open(const struct api_sources *from, struct api_changes **ret_changes);
void api_changes_close(struct api_changes *changes); /* after the HTTP server */

/* Answers the request. */
void api_changes_serve(struct api_changes *changes, struct http_request *request);

#endif
