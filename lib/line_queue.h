/*
 * line_queue: lines for stdout or stderr that never make the caller wait.
 *
 * The awslogs driver blocks by default: a write to stdout can stall for as long as CloudWatch Logs
 * does. So lines go into a bounded buffer and a thread of its own writes them. When the buffer is
 * full the new line is dropped and counted; lines are never cut in half.
 *
 *     struct line_queue *queue;
 *     line_queue_open(STDOUT_FILENO, 256 * 1024, &queue);
 *     line_queue_push(queue, text, strlen(text));     // '\n' is added
 *     line_queue_close(queue, 500);                   // waits at most 500 ms for the rest
 *
 * Lines for a file (line_file.h) are written one by one; one that the file does not take, because
 * the disk is full, is dropped and counted.
 *
 * Ownership: the queue does not own the fd; it owns the file. Threads: push and the counters from
 * any thread; open and close from one. After a fork the child must not use it. A writer that is
 * stuck in write(2) at close is abandoned, with its memory.
 */
#ifndef LIB_LINE_QUEUE_H
#define LIB_LINE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/line_file.h"

struct line_queue;

int line_queue_open(int fd, size_t capacity_bytes, struct line_queue **ret_queue);

int line_queue_open_file(struct line_file *file, size_t capacity_bytes,
                         struct line_queue **ret_queue);

/* Why the last line was not taken by the file: errno, or 0 when it was. */
int line_queue_error(const struct line_queue *queue);

/* 0, -ENOBUFS (full: dropped and counted) or -EPIPE (the other end is gone: counted too). */
int line_queue_push(struct line_queue *queue, const char *line, size_t length);

uint64_t line_queue_dropped(const struct line_queue *queue); /* lines, since open */

/* Wait until all is written, at most timeout_ms: 0 or -ETIMEDOUT. */
int line_queue_drain(struct line_queue *queue, int64_t timeout_ms);

/* Drain, then release. NULL is fine. */
void line_queue_close(struct line_queue *queue, int64_t timeout_ms);

#endif
