/*
 * api_lock_list: what GET says of locks. For api_locks.c only, which has the words of the API.
 *
 *     GET /v1/locks          {"locks":[{"mount","name","state","held_here","holder","held_ms",
 *                            "valid_until_ms","waiters"}],"held","waiting","budget","now_ms"}
 *     GET /v1/locks/NAME     {"mount","name","file","taken","record":{"task","zone","purpose",
 *                            "token","since","clean","done","exit_status","fence_ms"}|null}
 *                            as its file says, also when nobody here uses it
 *
 * Threads: loop thread only.
 */
#ifndef SIDECAR_API_LOCK_LIST_H
#define SIDECAR_API_LOCK_LIST_H

#include <jansson.h>

#include "lib/share/lock_record.h"
#include "sidecar/api.h"
#include "sidecar/http.h"

struct locks;

json_t *api_lock_holder_json(const struct lock_record *holder); /* null for NULL */
void api_lock_list_serve(const struct api_sources *from, struct http_request *request);

/* Answers, or returns -errno as locks_look() does. */
int api_lock_look_serve(struct locks *locks, const char *mount, const char *name,
                        struct http_request *request, struct error *err);

#endif
