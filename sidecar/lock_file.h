/*
 * lock_file: what is done to the file of one lock, by workers; lock.c decides when.
 *
 *     r = lock_file_open(place, "nightly", on_nfs, &fd, &err);
 *     r = lock_file_take(fd);                        // -EAGAIN: someone else has it; never waits
 *     r = lock_file_exists(fd);
 *     r = lock_file_read(fd, &record);               // -ENODATA: it was never granted
 *     ... wait for the fence when it is not clean, lock_file_clean_stage() ...
 *     r = lock_file_write(fd, &record);              // the next token: now it is granted
 *     ... ofd_prove(fd) now and then ...
 *     r = lock_file_write(fd, &clean); lock_file_drop(fd);
 *
 * On NFS reads and writes go to the server through the very descriptor that holds the lock: they
 * fail with EIO when it was lost. A write is stable when it returns.
 *
 * Threads: workers'; all may hang with the mount. Errors: -errno, and words where there is err.
 */
#ifndef SIDECAR_LOCK_FILE_H
#define SIDECAR_LOCK_FILE_H

#include <stdbool.h>

#include "lib/share/lock_record.h"
#include "sidecar/place.h"

int lock_file_open(const struct place *place, const char *name, bool on_nfs, int *ret_fd,
                   struct error *err);
int lock_file_take(int fd);
int lock_file_exists(int fd); /* -ENOENT: it was removed, and the next one makes another */
int lock_file_drop(int fd);

/* May be called without the lock, to see who has it. */
int lock_file_read(int fd, struct lock_record *ret_record);

/* Writes record with the serial behind the one it has. */
int lock_file_write(int fd, struct lock_record *record);

/*
 * Remove what earlier holders staged for a publish under this lock and did not finish, so that a
 * rename which is still on its way finds nothing: files of tokens below `token` in
 * <mount>/.efs-stage/<file of the lock>/.
 */
int lock_file_clean_stage(const struct place *place, const char *name,
                          const struct lock_token *token, struct error *err);

#endif
