/*
 * ofd: open-file-description locks, and the proof that one is still held.
 *
 * An NFS client that loses its lease loses its locks and is not told. On the locked descriptor
 * buffered reads and write(2) go on working; only what reaches the server fails. So a lock is
 * proven by a read with O_DIRECT through the very descriptor that holds it.
 *
 *     fd = openat(dir, name, O_RDWR | O_CLOEXEC | (nfs ? O_DIRECT : 0));
 *     r = ofd_lock(fd, F_WRLCK, 0, 0);        // -EAGAIN: someone else has it. Never waits
 *     ...
 *     sent_ms = clock_now_ms();
 *     r = ofd_prove(fd);                      // 0: was held at sent_ms
 *
 * On a local file system, where nobody can take a lock away, leave O_DIRECT out: the proof then
 * shows that the file can be read and still has a name.
 *
 * A lock belongs to the open file description: duplicates and forks share it, and the last close
 * ends it. Length 0 is "to the end". Every call may hang with the mount: not for loop threads.
 * Threads: safe. Errors: -errno.
 */
#ifndef LIB_OFD_H
#define LIB_OFD_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>

int ofd_lock(int fd, short type, off_t start, off_t length); /* F_RDLCK or F_WRLCK */
int ofd_unlock(int fd, off_t start, off_t length);

/* Would ofd_lock() get it? 0 yes, -EAGAIN another description is in the way. */
int ofd_query(int fd, short type, off_t start, off_t length);

/* 0, -EIO (lost, or the server cannot read the file), -ENOENT (the file was removed), -errno. */
int ofd_prove(int fd);

/* Why a lock was lost. */
enum ofd_loss {
    OFD_LOSS_LEASE_EXPIRED,   /* the server did not hear from this host for a lease */
    OFD_LOSS_IDENTITY_SHARED, /* it did: another mount presents itself as the same NFS client and
                                 the server took it for a restart of this one */
};

/* From the longest time for which the mount did not answer while the lock was held, and the lease
 * if it is known (else 0: then the shortest that servers use is assumed). */
enum ofd_loss ofd_judge_loss(int64_t longest_silence_ms, int64_t lease_ms);

#endif
