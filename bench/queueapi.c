/*
 * queueapi: publishes and claims over the API, and the bare calls that they are made of.
 *
 *     queueapi make DIR COUNT                 COUNT small files
 *     queueapi link DIR TO                    link and unlink of every file of DIR
 *     queueapi rename DIR TO                  rename and unlink
 *     queueapi sync DIR                       open, fsync and close
 *     queueapi publish SOCKET FROM TO COUNT CLIENTS
 *                                             FROM and TO are directories of the mount
 *     queueapi claim SOCKET DIR COUNT BATCH   claims and says done; COUNT 0: until nothing came for
 *                                             a second
 *
 * The last line is "COUNT SECONDS".
 */
#include "bench/api.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>

enum { PATH_BYTES = 1024, ANSWER_BYTES = 16 * 1024, QUIET_MS = 1000, CLIENTS_MAX = 64 };

static void name_of(char *buf, const char *dir, long i)
{
    snprintf(buf, PATH_BYTES, "%s/file%05ld", dir, i);
}

static long make(const char *dir, long count)
{
    for (long i = 0; i < count; i++) {
        char path[PATH_BYTES];
        name_of(path, dir, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0660);
        if (fd < 0 || write(fd, "content\n", 8) != 8 || close(fd) < 0)
            fail(path);
    }
    return count;
}

/* Files that make() made. */
static long move_all(const char *dir, const char *to, bool by_link)
{
    for (long i = 0;; i++) {
        char from[PATH_BYTES], target[PATH_BYTES];
        name_of(from, dir, i);
        name_of(target, to, i);
        if ((by_link ? link(from, target) : rename(from, target)) < 0)
            return i;
        if (unlink(by_link ? from : target) < 0)
            fail(target);
    }
}

static long sync_all(const char *dir)
{
    for (long i = 0;; i++) {
        char path[PATH_BYTES];
        name_of(path, dir, i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return i;
        if (fsync(fd) < 0 || close(fd) < 0)
            fail(path);
    }
}

static void await_published(int *fd)
{
    char answer[ANSWER_BYTES];
    if (*fd < 0)
        return;
    read_until(*fd, answer, sizeof(answer), "\"published\"");
    close(*fd);
    *fd = -1;
}

static long publish(const char *socket_path, const char *from, const char *to, long count,
                    long clients)
{
    int fds[CLIENTS_MAX];
    if (clients < 1 || clients > CLIENTS_MAX)
        fail("clients");
    for (long i = 0; i < clients; i++)
        fds[i] = -1;
    for (long i = 0; i < count; i++) {
        char source[PATH_BYTES], target[PATH_BYTES], body[3 * PATH_BYTES];
        name_of(source, from, i);
        name_of(target, to, i);
        snprintf(body, sizeof(body), "{\"from\":\"%s\",\"to\":\"%s\",\"digest\":false}", source,
                 target);
        await_published(&fds[i % clients]);
        fds[i % clients] = post(socket_path, "/v1/publish", body);
    }
    for (long i = 0; i < clients; i++)
        await_published(&fds[i]);
    return count;
}

/* The id in the next line that says claimed; false at the end. */
static bool next_claim(FILE *stream, char *id, size_t size)
{
    char line[ANSWER_BYTES];
    while (fgets(line, sizeof(line), stream)) {
        const char *found = strstr(line, "\"id\":\"");
        if (strstr(line, "\"timeout\""))
            return false;
        if (!strstr(line, "\"claimed\"") || !found)
            continue;
        found += strlen("\"id\":\"");
        snprintf(id, size, "%.*s", (int)strcspn(found, "\""), found);
        return true;
    }
    return false;
}

static long claim(const char *socket_path, const char *dir, long count, const char *batch)
{
    char target[PATH_BYTES], id[64], answer[ANSWER_BYTES];
    long n = 0;
    snprintf(target, sizeof(target), "/v1/claims?dir=%s&wait_ms=%d&batch=%s", dir, QUIET_MS, batch);
    FILE *stream = fdopen(post(socket_path, target, NULL), "r");
    if (!stream)
        fail("fdopen");
    while ((count == 0 || n < count) && next_claim(stream, id, sizeof(id))) {
        snprintf(target, sizeof(target), "/v1/claims/%s/done", id);
        int fd = post(socket_path, target, NULL);
        read_until(fd, answer, sizeof(answer), "\"result\"");
        close(fd);
        n++;
    }
    fclose(stream);
    return n;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    int64_t start_us = now_us();
    long n;
    if (strcmp(what, "make") == 0 && argc == 4)
        n = make(argv[2], strtol(argv[3], NULL, 10));
    else if ((strcmp(what, "link") == 0 || strcmp(what, "rename") == 0) && argc == 4)
        n = move_all(argv[2], argv[3], *what == 'l');
    else if (strcmp(what, "sync") == 0 && argc == 3)
        n = sync_all(argv[2]);
    else if (strcmp(what, "publish") == 0 && argc == 7)
        n = publish(argv[2], argv[3], argv[4], strtol(argv[5], NULL, 10),
                    strtol(argv[6], NULL, 10));
    else if (strcmp(what, "claim") == 0 && argc == 6)
        n = claim(argv[2], argv[3], strtol(argv[4], NULL, 10), argv[5]);
    else {
        fputs("usage: queueapi make DIR COUNT | link|rename DIR TO | sync DIR | "
              "publish SOCKET FROM TO COUNT CLIENTS | claim SOCKET DIR COUNT BATCH\n",
              stderr);
        return 64;
    }
    printf("%ld %.6f\n", n, (double)(now_us() - start_us) / 1e6);
    return 0;
}
