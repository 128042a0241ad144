/*
 * api: what the bench programs that talk to a sidecar share. What goes wrong ends the program.
 */
#ifndef BENCH_API_H
#define BENCH_API_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static inline void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* body: NULL for none. */
static inline int post(const char *path, const char *target, const char *body)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail(path);
    if (dprintf(fd, "POST %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s", target,
                body ? strlen(body) : 0, body ? body : "") < 0)
        fail("write");
    return fd;
}

/* Until it says so. */
static inline void read_until(int fd, char *buf, size_t size, const char *words)
{
    size_t length = 0;
    buf[0] = '\0';
    while (!strstr(buf, words)) {
        ssize_t n = read(fd, buf + length, size - 1 - length);
        if (n <= 0) {
            fprintf(stderr, "no %s in %s\n", words, buf);
            exit(1);
        }
        length += (size_t)n;
        buf[length] = '\0';
    }
}

#endif
