/*
 * lockapi SOCKET NAME COUNT: takes a lock over the API and gives it back, again and again; prints
 * the microseconds of each round.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int post(const char *path, const char *target)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail(path);
    if (dprintf(fd, "POST %s HTTP/1.0\r\n\r\n", target) < 0)
        fail("write");
    return fd;
}

/* Until it says so. */
static void read_until(int fd, char *buf, size_t size, const char *words)
{
    size_t length = 0;
    buf[0] = '\0';
    while (!strstr(buf, words)) {
        ssize_t n = read(fd, buf + length, size - 1 - length);
        if (n <= 0) {
            fprintf(stderr, "lockapi: no %s in %s\n", words, buf);
            exit(1);
        }
        length += (size_t)n;
        buf[length] = '\0';
    }
}

int main(int argc, char **argv)
{
    static const char hold_key[] = "\"hold\":\"";
    char buf[4096], target[512];
    if (argc != 4) {
        fputs("usage: lockapi SOCKET NAME COUNT\n", stderr);
        return 64;
    }
    for (long i = strtol(argv[3], NULL, 10); i > 0; i--) {
        int64_t start_us = now_us();
        snprintf(target, sizeof(target), "/v1/locks/%s", argv[2]);
        int stream = post(argv[1], target);
        read_until(stream, buf, sizeof(buf), "now_ms");
        const char *hold = strstr(buf, hold_key);
        if (!hold)
            fail("hold");
        snprintf(target, sizeof(target), "/v1/locks/%s/release?hold=%.16s", argv[2],
                 hold + strlen(hold_key));
        int release = post(argv[1], target);
        read_until(release, buf, sizeof(buf), "released");
        close(release);
        close(stream);
        printf("%lld\n", (long long)(now_us() - start_us));
    }
    return 0;
}
