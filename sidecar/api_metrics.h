/*
 * api_metrics: what GET /v1/metrics tells, as JSON: the view that the sinks get, for people and
 * scripts. From memory only.
 *
 * A counter's value, and count and sum of a distribution, are since the start of the sidecar, so
 * that two answers and the difference of uptime_ms make rates; min, max and percentiles are those
 * of the values of this interval so far, or of the last that had any. What was never measured is
 * left out; sent is what CloudWatch gets. What NFS counted for each operation
 * stands in the status.
 *
 * Ownership: the object is the caller's; NULL: no memory. Threads: loop thread only.
 */
#ifndef SIDECAR_API_METRICS_H
#define SIDECAR_API_METRICS_H

#include <jansson.h>

#include "sidecar/api.h"

json_t *api_metrics_json(const struct api_sources *from);

#endif
