/*
 * queueapi: claims over the API, and the bare calls that they are made of.
 *
 *     queueapi make DIR COUNT                 COUNT small files
 *     queueapi rename DIR TO                  rename and unlink of every file of DIR
 *     queueapi claim SOCKET DIR COUNT BATCH   claims and says done; COUNT 0: until nothing came for
 *                                             a second
 *
 * The last line is "COUNT SECONDS".
 */
#include "bench/api.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>

enum { PATH_BYTES = 1024, ANSWER_BYTES = 16 * 1024, QUIET_MS = 1000 };

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
static long move_all(const char *dir, const char *to)
{
    for (long i = 0;; i++) {
        char from[PATH_BYTES], target[PATH_BYTES];
        name_of(from, dir, i);
        name_of(target, to, i);
        if (rename(from, target) < 0)
            return i;
        if (unlink(target) < 0)
            fail(target);
    }
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
    else if (strcmp(what, "rename") == 0 && argc == 4)
        n = move_all(argv[2], argv[3]);
    else if (strcmp(what, "claim") == 0 && argc == 6)
        n = claim(argv[2], argv[3], strtol(argv[4], NULL, 10), argv[5]);
    else {
        fputs("usage: queueapi make DIR COUNT | rename DIR TO | claim SOCKET DIR COUNT BATCH\n",
              stderr);
        return 64;
    }
    printf("%ld %.6f\n", n, (double)(now_us() - start_us) / 1e6);
    return 0;
}
