/*
 * child_words: what a child says on its stderr. Whole lines go on to our own log as they are, and
 * the last one is kept, because it mostly says why the child ended.
 *
 *     r = child_words_open(&words, base, &write_fd);     // write_fd becomes the child's stderr
 *     close(write_fd);
 *     ...
 *     child_words_close(&words);       // the child is gone: what it said until then is read
 *     if (*words.last) ...             // until the next child_words_open()
 *
 * Never blocks; a line is cut at CHILD_WORDS_LINE. Ownership: write_fd is the caller's. Threads:
 * the loop's. Errors: -errno.
 */
#ifndef SIDECAR_CHILD_WORDS_H
#define SIDECAR_CHILD_WORDS_H

#include <event2/event.h>
#include <stddef.h>

enum {
    CHILD_WORDS_LINE = 4096,
    CHILD_WORDS_LAST = 160, /* of the last line */
};

struct child_words {
    int fd; /* -1: closed */
    struct event *readable;
    size_t n;
    char line[CHILD_WORDS_LINE]; /* what has come of the current line */
    char last[CHILD_WORDS_LAST]; /* its message, where the line is one of lib/log.h */
};

void child_words_init(struct child_words *words);
int child_words_open(struct child_words *words, struct event_base *base, int *ret_write_fd);
void child_words_close(struct child_words *words);

#endif
