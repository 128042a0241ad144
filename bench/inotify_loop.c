/*
 * inotify_loop: the least that a watcher can do, and the work to watch.
 *
 *     inotify_loop read DIR           print "ready", count events until DIR/stop is made, print it
 *     inotify_loop rewrite DIR N      write a byte to each of 100 files, N times: 2 events each
 *     inotify_loop create DIR N       make N files of a byte: 3 events each
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static int read_all(const char *dir)
{
    static char buffer[65536] __attribute__((aligned(8)));
    unsigned long events = 0;
    int fd = inotify_init1(IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, dir,
                                    IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY | IN_CLOSE_WRITE |
                                        IN_ATTRIB) < 0) {
        perror(dir);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n < 0)
            return 1;
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)p;
            if (event->len && strcmp(event->name, "stop") == 0) {
                printf("%lu\n", events);
                return 0;
            }
            events++;
            p += sizeof(*event) + event->len;
        }
    }
}

static int write_byte(int dir_fd, unsigned long i)
{
    char name[32];
    snprintf(name, sizeof(name), "file-%lu", i);
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "x", 1) != 1)
        return -1;
    return close(fd);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "read") == 0)
        return read_all(argv[2]);
    if (argc != 4)
        return 64;
    int dir_fd = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
    unsigned long n = strtoul(argv[3], NULL, 10);
    unsigned long files = strcmp(argv[1], "rewrite") == 0 ? 100 : n;
    for (unsigned long i = 0; i < (files == n ? n : n * files); i++) {
        if (write_byte(dir_fd, i % files) < 0) {
            perror(argv[2]);
            return 1;
        }
    }
    return 0;
}
