#include "cli/top.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "cli/top_view.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "lib/text.h"

enum { OPTION_INTERVAL, OPTION_ONCE };

enum {
    TIMEOUT_MS = 2000, /* no key is read meanwhile */
    INTERVAL_MS = 2000,
    INTERVAL_MIN_MS = 1000, /* the sidecar does not look more often */
    INTERVAL_MAX_MS = 3600 * 1000,
    ONCE_MS = 1000, /* between the two looks of one */
};

static void release(struct top_look *look)
{
    json_decref(look->status);
    json_decref(look->metrics);
    *look = (struct top_look){0};
}

static int get(const struct command_call *call, const char *target, json_t **ret_root,
               struct error *err)
{
    _cleanup_client_ struct client *client = NULL;
    const char *text;
    size_t length;
    int r = client_get(call->socket_path, target, TIMEOUT_MS, &client, err);
    if (r == 0 && client_status(client) != 200)
        r = error_set(err, EPROTO, "the sidecar answered %s with HTTP status %d", target,
                      client_status(client));
    if (r == 0)
        r = client_body(client, &text, &length, err);
    return r == 0 ? json_parse(text, length, ret_root, err) : r;
}

static int look_at(const struct command_call *call, struct top_look *ret_look, struct error *err)
{
    struct top_look look = {0};
    int r = get(call, "/v1/metrics", &look.metrics, err); /* makes the sidecar look at NFS */
    if (r == 0)
        r = get(call, "/v1/status", &look.status, err);
    if (r < 0) {
        release(&look);
        return r;
    }
    *ret_look = look;
    return 0;
}

static int show_once(const struct command_call *call, int64_t between_ms)
{
    struct top_look before = {0}, now = {0};
    struct error err;
    int r = look_at(call, &before, &err);
    if (r == 0) {
        nanosleep(&(struct timespec){between_ms / 1000, between_ms % 1000 * 1000000}, NULL);
        r = look_at(call, &now, &err);
    }
    if (r == 0)
        top_print(&now, &before, INT_MAX, stdout);
    release(&before);
    release(&now);
    return r < 0 ? command_failed(&err) : 0;
}

/* What could not be asked is said above what was last seen. */
static void draw(const struct top_look *now, const struct top_look *before, const struct error *err)
{
    _cleanup_free_ char *text = NULL;
    size_t size;
    int columns, rows;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    terminal_size(&columns, &rows);
    if (err) {
        text_wrap(out, 0, err->text);
        fputs(now->status ? "This is what it said last:\n\n" : "", out);
    }
    if (now->status)
        top_print(now, before, rows, out);
    if (fclose(out) == 0)
        terminal_show(text);
}

static int show_live(const struct command_call *call, int64_t interval_ms)
{
    struct top_look before = {0}, now = {0};
    struct error err;
    int r = terminal_enter(&err);
    if (r < 0)
        return command_failed(&err);
    enum terminal_event event = TERMINAL_TIME;
    for (int64_t due_ms = clock_now_ms(); event != TERMINAL_QUIT; event = terminal_wait(due_ms)) {
        if (event == TERMINAL_TIME) {
            struct top_look next;
            r = look_at(call, &next, &err);
            if (r == 0) {
                release(&before);
                before = now;
                now = next;
            }
            due_ms = clock_now_ms() + interval_ms;
        }
        draw(&now, &before, r < 0 ? &err : NULL);
    }
    terminal_leave();
    release(&before);
    release(&now);
    return 0;
}

int top_run(const struct command_call *call)
{
    const char *interval = call->values[OPTION_INTERVAL];
    bool once = call->values[OPTION_ONCE] || !isatty(STDOUT_FILENO);
    int64_t interval_ms = once ? ONCE_MS : INTERVAL_MS;
    if (interval && parse_duration_ms(interval, INTERVAL_MIN_MS, INTERVAL_MAX_MS, &interval_ms) < 0)
        return command_misuse(call, "--interval is a time from 1s to 1h, not \"%.64s\"", interval);
    return once ? show_once(call, interval_ms) : show_live(call, interval_ms);
}
