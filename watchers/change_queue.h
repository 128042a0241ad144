/*
 * change_queue: changes on their way from one thread to another; bounded, and never waits.
 *
 *     change_queue_open(max_bytes, &queue);
 *     if (!change_queue_push(queue, &change)) ... it is full: the change was not taken ...
 *     poll change_queue_fd(queue) for POLLIN;
 *     while (change_queue_pop(queue, buffer, &change)) ...   // strings point into buffer
 *
 * Threads: any may push, any may pop. Errors: -errno of open.
 */
#ifndef WATCHERS_CHANGE_QUEUE_H
#define WATCHERS_CHANGE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/share/change.h"

struct change_queue;

int change_queue_open(size_t max_bytes, struct change_queue **ret_queue);
void change_queue_close(struct change_queue *queue); /* NULL is fine */

int change_queue_fd(const struct change_queue *queue);
bool change_queue_push(struct change_queue *queue, const struct change *change);
bool change_queue_pop(struct change_queue *queue, uint8_t buffer[CHANGE_ENCODED_MAX],
                      struct change *ret_change);

#endif
