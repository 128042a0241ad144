/*
 * api_publish: POST /v1/publish, see publish_body.h for what is asked and publish.h for what is
 * promised.
 *
 *     200 {"path","size","sha256","outcome":"published"}, of a set {"manifest","files":[...],...};
 *         "warning" when the old name could not be removed
 *     409 Exists: without replace, the place is taken; StaleToken: the lock is given back, lost, or
 *         somebody else's
 *     503 OutcomeUnknown: the mount did not answer; it may be published or not, and still be
 *
 * A client that leaves does not stop it. Threads: loop thread only.
 */
#ifndef SIDECAR_API_PUBLISH_H
#define SIDECAR_API_PUBLISH_H

#include "sidecar/api.h"
#include "sidecar/http.h"

void api_publish_serve(const struct api_sources *from, struct http_request *request);

#endif
