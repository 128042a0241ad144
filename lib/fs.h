/*
 * fs: paths that stay beneath a directory, and files that appear whole.
 *
 * fs_open_beneath() resolves path under dir_fd and never leaves it, whatever symbolic links or
 * renames others make meanwhile, nor the mount that it is in (-EXDEV): openat2(2) with
 * RESOLVE_BENEATH, or where the kernel or a seccomp filter lacks it a walk over the components with
 * O_NOFOLLOW, which refuses every symbolic link (-ELOOP) where openat2 allows those that stay
 * inside.
 *
 * Those that return int return 0 or -errno. Threads: safe. Every call may hang on a hung mount: not
 * for the loop thread.
 */
#ifndef LIB_FS_H
#define LIB_FS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Is path usable beneath a directory: relative, not empty, no "..", "." or empty component,
 * components of at most NAME_MAX and a whole of less than PATH_MAX bytes? 0, -EINVAL or
 * -ENAMETOOLONG.
 */
int fs_check_relative(const char *path);

/* A name of one component: not empty, no '/', not "." or "..", at most NAME_MAX bytes. */
int fs_check_name(const char *name);

/* flags as for open(2); O_CLOEXEC is added, and O_NONBLOCK: a FIFO of that name must not stop
 * anybody. path "." is dir_fd itself. */
int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd);

/* Make every missing directory of path with this mode (chmod'ed: the umask does not count) and open
 * the last. */
int fs_mkdir_beneath(int dir_fd, const char *path, mode_t mode, int *ret_fd);

/* A directory by a path that is trusted, made with what is missing above it (0755) and opened. */
int fs_make_path(const char *path, mode_t mode, int *ret_fd);

/* The entries of dir_fd, which stays the caller's. */
int fs_opendir(int dir_fd, DIR **ret_dir);

/* Write a temporary file beside name, fsync, rename over name. Readers see the old or the new
 * content, whole. */
int fs_write_atomic(int dir_fd, const char *name, const void *data, size_t length, mode_t mode);

/* All of it, also when write(2) takes it in pieces. */
int fs_write_all(int fd, const void *buffer, size_t length);

/* The whole file as a NUL-terminated string; -EFBIG when it has more than max_length bytes. Under a
 * directory only a regular file that is beneath it, and no link; of AT_FDCWD whatever can be read.
 */
int fs_read_file(int dir_fd, const char *path, size_t max_length, char **ret_text,
                 size_t *ret_length);

/* Does path lie on NFS? False also where that cannot be told. */
bool fs_is_nfs(const char *path);

/* For tests: behave as if openat2 were missing. */
void fs_pretend_no_openat2(bool pretend);

#endif
