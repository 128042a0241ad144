/*
 * api_claims: claims over the API (see claims.h for what they promise).
 *
 *     POST /v1/claims?dir=DIR&match=GLOB&batch=N&limit=N&wait_ms=N&max_attempts=N&mount=PATH
 *                                          a JSON line per event, for as long as the client stays:
 *         {"event":"waiting"}
 *         {"event":"claimed","id":"HEX","mount","path","name","queue","attempts","valid_until_ms",
 *          "now_ms"}
 *         {"event":"valid","valid_until_ms"}   of all that it has
 *         {"event":"draining"}                 nothing more comes
 *         {"event":"timeout"} {"event":"finished"} {"event":"drained"} {"event":"lost","reason"}
 *         {"event":"error","message"}          these end the answer
 *     POST /v1/claims/ID/done|failed|release   {"result":"done|returned|dead"}, 410: it was lost
 *     GET /v1/claims                           all of this task, and what is left to do
 *
 * dir is beneath the mount, or absolute. Paths are relative to the mount; one that is not UTF-8 is
 * in "path_base64" too. Times ending in _ms are CLOCK_BOOTTIME of this host. Only the client's word
 * ends a claim at once; what a connection that just closed had counts as failed when its time is
 * up.
 *
 * Ownership: streams end with their connections. Threads: loop thread only.
 */
#ifndef SIDECAR_API_CLAIMS_H
#define SIDECAR_API_CLAIMS_H

#include "sidecar/api.h"
#include "sidecar/http.h"

/* The target is "/v1/claims" or begins with "/v1/claims/". */
void api_claims_serve(const struct api_sources *from, struct http_request *request);

#endif
