#include "sidecar/child_words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
    READS_PER_TURN = 4,   /* then the loop has its turn */
    READS_AT_THE_END = 64 /* more than a pipe holds */
};

static void take_line(struct child_words *words)
{
    if (words->n == 0)
        return;
    _cleanup_json_ json_t *line = json_loadb(words->line, words->n, 0, NULL);
    const char *message = json_string_value(json_object_get(line, "msg"));
    if (message)
        snprintf(words->last, sizeof(words->last), "%s", message);
    else
        snprintf(words->last, sizeof(words->last), "%.*s", (int)words->n, words->line);
    log_pass_on(words->line, words->n);
    words->n = 0;
}

/* 0: nothing more for now; 1: there may be more; negative: that was all. */
static int read_some(struct child_words *words)
{
    ssize_t got = read(words->fd, words->line + words->n, sizeof(words->line) - words->n);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (got == 0)
        return -EPIPE;
    size_t end = words->n + (size_t)got;
    for (char *newline; (newline = memchr(words->line, '\n', end));) {
        words->n = (size_t)(newline - words->line);
        size_t next = words->n + 1;
        take_line(words);
        memmove(words->line, words->line + next, end - next);
        end -= next;
    }
    words->n = end;
    if (words->n == sizeof(words->line))
        take_line(words);
    return 1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct child_words *words = arg;
    int r = 1;
    for (int i = 0; i < READS_PER_TURN && r > 0; i++)
        r = read_some(words);
    if (r < 0)
        event_del(words->readable); /* the child closed it: its end tells the rest */
}

void child_words_init(struct child_words *words)
{
    *words = (struct child_words){.fd = -1};
}

int child_words_open(struct child_words *words, struct event_base *base, int *ret_write_fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    _cleanup_close_ int ours = ends[0], theirs = ends[1];
    evutil_make_socket_nonblocking(ours);
    child_words_close(words);
    words->readable = event_new(base, ours, EV_READ | EV_PERSIST, on_readable, words);
    if (!words->readable || event_add(words->readable, NULL) < 0) {
        if (words->readable)
            event_free(words->readable);
        words->readable = NULL;
        return -ENOMEM;
    }
    words->last[0] = '\0';
    words->fd = take_fd(&ours);
    *ret_write_fd = take_fd(&theirs);
    return 0;
}

void child_words_close(struct child_words *words)
{
    if (words->fd < 0)
        return;
    for (int i = 0; i < READS_AT_THE_END && read_some(words) > 0; i++)
        ;
    take_line(words);
    event_free(words->readable);
    words->readable = NULL;
    close(words->fd);
    words->fd = -1;
}
