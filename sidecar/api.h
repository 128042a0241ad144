/*
 * api: what the sidecar tells others, over HTTP/1.1 on a Unix socket.
 *
 *     const struct api_sources from = {base, &settings, &health, mounts, metrics};
 *     r = api_open(&from, &api, &err);
 *     ... now and then:
 *     r = api_keep(api, &err);         // the socket is put back when somebody removed it
 *     ...
 *     api_close(api);                  // ends the streams, removes the socket if it is still ours
 *
 * GET /healthz, /metrics, /v1/status, /v1/config, /v1/metrics, /v1/changes, /v1/cache, /v1/tasks.
 * Every answer but the last comes from memory, so all of them go on while mounts hang. Errors are
 * {"code","message","hint"}. Who may connect is decided by the socket's mode and group, and by
 * api.uids.
 *
 * Ownership: the sources are the caller's and outlive the API. Threads: loop thread only.
 */
#ifndef SIDECAR_API_H
#define SIDECAR_API_H

#include <event2/event.h>

#include "lib/error.h"
#include "lib/settings.h"

struct health;
struct http_request;
struct metrics;
struct mounts;

struct api_sources {
    struct event_base *base;
    const struct settings *settings;
    struct health *health;
    struct mounts *mounts;
    struct metrics *metrics;
};

struct api;

/* Tell all that is wrong with the API's settings. */
void api_check(const struct settings *settings, struct config_report *report);

/* What could not be begun: the status and the advice for -errno. list says where the others are. */
void api_refuse(struct http_request *request, int r, const char *usage, const char *list,
                const struct error *err);

int api_open(const struct api_sources *from, struct api **ret_api, struct error *err);
int api_keep(struct api *api, struct error *err); /* 1: it was gone and is there again */
void api_close(struct api *api);                  /* NULL is fine */

#endif
