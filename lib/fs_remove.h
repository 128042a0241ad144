/*
 * fs_remove: a whole tree, a part at a time.
 *
 *     unsigned budget = 64;
 *     r = fs_remove(dir_fd, "old", &budget);      // 1 gone, 0 something is left: call it again
 *
 * Nothing outside is touched, whatever symbolic links are planted or made meanwhile. Each entry
 * that is removed takes one from the budget. What cannot be removed ends the call: -errno, as
 * -EACCES; -ELOOP: it is more than FS_REMOVE_DEPTH deep. Threads: safe. It may hang with the mount.
 */
#ifndef LIB_FS_REMOVE_H
#define LIB_FS_REMOVE_H

enum { FS_REMOVE_DEPTH = 64 };

int fs_remove(int dir_fd, const char *name, unsigned *budget);

#endif
