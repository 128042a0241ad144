/*
 * api_locks: locks over the API (see locks.h for what they promise).
 *
 *     POST /v1/locks/NAME?wait_ms=&purpose=&mount=&once=    a JSON line per event, for as long as
 *                                                            the client stays:
 *         {"event":"waiting","position":1,"holder":{"task","zone","purpose","token","since"}|null}
 *         {"event":"granted","hold":"HEX","token":"G.N","valid_until_ms":N,"now_ms":N}
 *         {"event":"valid","valid_until_ms":N}
 *         {"event":"lost","reason":"...","valid_until_ms":N}
 *         {"event":"released"} {"event":"timeout"} {"event":"done","exit_status":N}
 *         {"event":"error","message":"..."}                 these four end the answer
 *     POST /v1/locks/NAME/release?hold=HEX&done=&exit_status=    {"released":true} when it is, 410
 *                                                            when it was lost
 *     GET /v1/locks, GET /v1/locks/NAME?mount=               see api_lock_list.h
 *
 * Times ending in _ms are CLOCK_BOOTTIME of this host. Only the client's word (release) gives a
 * lock back at once; after a connection that just closed it is kept until the last valid_until_ms.
 *
 * Ownership: streams belong to the list and end with their connections. Threads: loop thread only.
 */
#ifndef SIDECAR_API_LOCKS_H
#define SIDECAR_API_LOCKS_H

#include "sidecar/api.h"
#include "sidecar/http.h"

struct api_locks;

int api_locks_open(const struct api_sources *from, struct api_locks **ret_api);
void api_locks_close(struct api_locks *api); /* after the HTTP server; NULL is fine */

/* The target is "/v1/locks" or begins with "/v1/locks/". */
void api_locks_serve(struct api_locks *api, struct http_request *request);

#endif
