/*
 * mark: whatever may change a file leaves a mark, before it is done and after, so that this task
 * does not find an older copy of it later.
 *
 *     mark_name(dir_fd, path);                // before: what the words say
 *     the application's own call
 *     mark_opened(fd);                        // after: where the kernel says it was,
 *     mark_entry(dir_fd, path);               //   or which name of which directory
 *     mark_content(path);                     //   or which file that name leads to
 *
 * What lies on a mount and cannot be named marks all of that mount. Marks are left whether the
 * call succeeded or not.
 *
 * Threads, signals, vfork: safe. errno is kept.
 */
#ifndef SHIM_MARK_H
#define SHIM_MARK_H

void mark_name(int dir_fd, const char *path);
void mark_opened(int fd);
void mark_entry(int dir_fd, const char *path);
void mark_content(const char *path);

/* After a rename: when it is a directory, everything below has a new name. */
void mark_if_directory(int dir_fd, const char *path);

#endif
