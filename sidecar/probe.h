/*
 * probe: questions to a mount: is it there, can it be written, can it be read?
 *
 * The canary is a file of this task in the state directory, smaller than what EFS meters at least.
 * Its time, from open to close with the fsync between, is what a careful writer waits.
 *
 * Every function may hang with the mount: for workers only. Threads: safe. Errors: -errno and
 * words.
 */
#ifndef SIDECAR_PROBE_H
#define SIDECAR_PROBE_H

#include "sidecar/place.h"

/* Ask the server for the root's attributes: one GETATTR. */
int probe_attributes(const struct place *place, uint64_t *ret_inode, struct error *err);

/* Write the canary, making its directory when it is missing. direct, for NFS: with O_DIRECT,
 * because a thread that waits for buffered pages cannot be killed while the server hangs. */
int probe_write(const struct place *place, bool direct, struct error *err);

/* For read-only mounts: open the root and read its first entries. */
int probe_read(const struct place *place, struct error *err);

/* Remove the canary; none is fine. */
int probe_remove(const struct place *place, struct error *err);

#endif
