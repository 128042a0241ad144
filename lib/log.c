#include "lib/log.h"

#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/line_queue.h"

enum { LOG_BUFFER_BYTES = 256 * 1024, LOG_TEXT_BYTES = 2048 };

const char *const log_level_names[] = {"error", "warn", "info", "debug", NULL};

static struct line_queue *queue;
static const char *program_name;
static _Atomic enum log_level log_level;
static atomic_ullong dropped_told;

static pthread_mutex_t kept_mutex = PTHREAD_MUTEX_INITIALIZER;
static char *kept[LOG_KEPT_LINES]; /* the next one goes to kept[kept_next] */
static unsigned kept_next;

int log_open(const char *program, enum log_level level)
{
    program_name = program;
    log_set_level(level);
    return line_queue_open(STDERR_FILENO, LOG_BUFFER_BYTES, &queue);
}

void log_set_level(enum log_level level)
{
    atomic_store(&log_level, level);
}

enum log_level log_get_level(void)
{
    return atomic_load(&log_level);
}

/* Takes line. */
static void keep(char *line)
{
    pthread_mutex_lock(&kept_mutex);
    free(kept[kept_next]);
    kept[kept_next] = line;
    kept_next = (kept_next + 1) % LOG_KEPT_LINES;
    pthread_mutex_unlock(&kept_mutex);
}

struct json_t *log_recent(void)
{
    json_t *lines = json_array();
    pthread_mutex_lock(&kept_mutex);
    for (unsigned i = 0; lines && i < LOG_KEPT_LINES; i++) {
        const char *line = kept[(kept_next + i) % LOG_KEPT_LINES];
        if (line)
            json_array_append_new(lines, json_string(line));
    }
    pthread_mutex_unlock(&kept_mutex);
    return lines;
}

uint64_t log_dropped(void)
{
    return queue ? line_queue_dropped(queue) : 0;
}

void log_close(int64_t timeout_ms)
{
    struct line_queue *q = take_ptr(queue);
    line_queue_close(q, timeout_ms);
    for (unsigned i = 0; i < LOG_KEPT_LINES; i++)
        keep(NULL);
}

static json_t *new_line(enum log_level level, const char *message)
{
    char time_text[CLOCK_TEXT];
    json_t *line = json_object();
    json_object_set_new(line, "time", json_string(clock_format(clock_wall_ms(), time_text)));
    json_object_set_new(line, "level", json_string(log_level_names[level]));
    json_object_set_new(line, "program", json_string(program_name));
    json_object_set_new(line, "msg", json_string_lossy(message));
    return line;
}

static void send_line(json_t *line)
{
    uint64_t dropped = line_queue_dropped(queue), told = atomic_load(&dropped_told);
    if (dropped > told)
        json_object_set_new(line, "dropped", json_integer((json_int_t)(dropped - told)));
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    if (!text)
        return;
    if (line_queue_push(queue, text, strlen(text)) == 0)
        atomic_store(&dropped_told, dropped);
    keep(text);
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!queue || level > atomic_load(&log_level))
        return;
    char message[LOG_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    send_line(new_line(level, message));
}

void log_event(enum log_level level, const char *message, ...)
{
    if (!queue || level > atomic_load(&log_level))
        return;
    json_t *line = new_line(level, message);
    va_list args;
    va_start(args, message);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        const char *value = va_arg(args, const char *);
        char cut[LOG_TEXT_BYTES];
        if (!value)
            continue;
        snprintf(cut, sizeof(cut), "%s", value);
        json_object_set_new(line, key, json_string_lossy(cut));
    }
    va_end(args);
    send_line(line);
}

void log_pass_on(const char *line, size_t length)
{
    char *text = queue ? strndup(line, length) : NULL;
    if (!text)
        return;
    line_queue_push(queue, text, strlen(text));
    keep(text);
}
