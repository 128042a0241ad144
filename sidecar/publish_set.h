/*
 * publish_set: one or more files published together; then, where one is asked for, the manifest
 * that names them all, which appears last.
 *
 *     r = publish_set_start(publisher, &body, hold_id, ended, arg, &set, &err);
 *         ... ended(arg, set, end, err) once, later; the set is valid until it returns; unless
 *     publish_set_abandon(set);           // nobody listens any more; it goes on
 *
 * A few files are on their way at once. The first that fails ends it: those on their way are waited
 * for, no other is begun, and the manifest does not appear. err then names that file and says how
 * many have their place.
 *
 * The manifest is {"version":1,"task":"...","files":[{"path","size","sha256"}]}, written to
 * tasks/<task>/.stage/ and published from there.
 *
 * Ownership: body's strings go with it. Threads: the loop's; ended() is not called from within
 * publish_set_start(). Errors as publisher_submit().
 */
#ifndef SIDECAR_PUBLISH_SET_H
#define SIDECAR_PUBLISH_SET_H

#include <jansson.h>

#include "sidecar/publish.h"
#include "sidecar/publish_body.h"

struct publish_set;

typedef void publish_set_ended(void *arg, struct publish_set *set, enum publish_end end,
                               const struct error *err);

/* body is taken on success. */
int publish_set_start(struct publisher *publisher, struct publish_body *body, uint64_t hold_id,
                      publish_set_ended *ended, void *arg, struct publish_set **ret_set,
                      struct error *err);
void publish_set_abandon(struct publish_set *set);

/* Of a set that is done: what clients are told. NULL: no memory. */
json_t *publish_set_json(const struct publish_set *set);

#endif
