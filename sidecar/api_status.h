/*
 * api_status: what GET /healthz and GET /v1/status tell, as JSON. From memory only.
 *
 * Ownership: the objects are the caller's; NULL: no memory. Threads: loop thread only.
 */
#ifndef SIDECAR_API_STATUS_H
#define SIDECAR_API_STATUS_H

#include <jansson.h>

#include "sidecar/api.h"

json_t *api_healthz_json(const struct api_sources *from);
json_t *api_status_json(const struct api_sources *from);

#endif
