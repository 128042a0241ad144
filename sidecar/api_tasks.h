/*
 * api_tasks: every task's write directory, looked up for this answer.
 *
 *     GET /v1/tasks?mount=/data
 *         {"mount","root","policy","dry_run","retention_ms","cut","tasks":[{"name","path","state",
 *          "mine","slot","epoch","since","age_ms","bytes","files","measured"}]}
 *
 * state is alive, orphaned or unknown; what a directory's record does not say is null. Of a mount
 * one list is made at a time: 429 while another client waits for it.
 *
 * Threads: loop thread only.
 */
#ifndef SIDECAR_API_TASKS_H
#define SIDECAR_API_TASKS_H

#include "sidecar/api.h"
#include "sidecar/http.h"

void api_tasks_serve(const struct api_sources *from, struct http_request *request);

#endif
