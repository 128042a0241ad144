/*
 * log: one JSON object a line on stderr, never blocking (see line_queue.h).
 *
 *     log_open("efs-sidecar", LOG_INFO);
 *     log_info("listening on %s", path);
 *     log_event(LOG_WARN, "mount stalled", "mount", "/data", "since_ms", "15200", NULL);
 *     log_close(500);
 *
 * A line:
 * {"time":"2026-11-23T09:55:54.123Z","level":"warn","program":"efs-sidecar","msg":"...","mount":"/data"}
 * A line that had to be dropped is counted; the next line that fits tells how many ("dropped":N).
 *
 * The last lines are kept, for who asks later.
 *
 * Only programs log; lib/ never does, but for what stands here. Before log_open() and after
 * log_close() lines go nowhere. Threads: any. After a fork the child must not log.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern const char *const log_level_names[]; /* "error" "warn" "info" "debug", NULL-terminated */

int log_open(const char *program, enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
uint64_t log_dropped(void); /* lines, since log_open() */
void log_close(int64_t timeout_ms);

/* The last LOG_KEPT_LINES lines at most, oldest first, as an array of strings; NULL: no memory. */
enum { LOG_KEPT_LINES = 200 };
struct json_t;
struct json_t *log_recent(void);

/* Text may come from outside: it is cut at 2 KiB, and what is not UTF-8 becomes '?'. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A fixed message with string fields: key, value, ..., NULL. A NULL value leaves its field out. */
void log_event(enum log_level level, const char *message, ...) __attribute__((sentinel));

/* A line that a child of this program logged, as it is. */
void log_pass_on(const char *line, size_t length);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
