/*
 * feedtail: a consumer of a sidecar's feed that stamps each line with the clock that the machines
 * of a cluster share.
 *
 *     feedtail SOCKET [QUERY]      GET /v1/changes?QUERY; prints "TICKS LINE"
 *
 * When the connection ends, as it does when the sidecar is killed, it comes back with since= the
 * last cursor it saw, every 100 ms until that works, and prints "TICKS closed" once between.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <x86intrin.h>

enum { RETRY_US = 100 * 1000, CURSOR_BYTES = 128 };

static char cursor[CURSOR_BYTES];

/* The last "cursor":"..." of the line. */
static void note_cursor(const char *line)
{
    static const char key[] = "\"cursor\":\"";
    const char *start = strstr(line, key);
    if (!start)
        return;
    start += sizeof(key) - 1;
    size_t length = strcspn(start, "\"");
    if (length < sizeof(cursor)) {
        memcpy(cursor, start, length);
        cursor[length] = '\0';
    }
}

static FILE *ask(const char *path, const char *query)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return NULL;
    }
    /* HTTP/1.0: no chunks, the connection ends with the answer. */
    dprintf(fd, "GET /v1/changes?%s%s%s%s HTTP/1.0\r\nHost: sidecar\r\n\r\n", query,
            *query && *cursor ? "&" : "", *cursor ? "since=" : "", cursor);
    return fdopen(fd, "r");
}

static int follow(FILE *answer)
{
    char *line = NULL;
    size_t size = 0;
    int lines = 0;
    while (getline(&line, &size, answer) > 0) {
        if (line[0] != '{')
            continue; /* of the head */
        if (strstr(line, "\"code\"")) {
            fprintf(stderr, "feedtail: %s", line);
            continue;
        }
        note_cursor(line);
        lines++;
        if (!strstr(line, "\"keepalive\""))
            printf("%" PRIu64 " %s", (uint64_t)__rdtsc(), line);
    }
    free(line);
    return lines;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fputs("usage: feedtail SOCKET [QUERY]\n", stderr);
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (;;) {
        FILE *answer = ask(argv[1], argc == 3 ? argv[2] : "");
        if (answer) {
            if (follow(answer) > 0)
                printf("%" PRIu64 " closed\n", (uint64_t)__rdtsc());
            fclose(answer);
        }
        usleep(RETRY_US);
    }
}
