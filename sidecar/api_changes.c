#include "sidecar/api_changes.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "lib/share/change_line.h"
#include "sidecar/change_filter.h"
#include "sidecar/feed.h"
#include "sidecar/mounts.h"

enum {
    STREAMS_MAX = 64,
    PENDING_MAX = 64 * 1024, /* bytes that wait for the client; one line more at most */
    LOOK_MS = 200,           /* whether the watcher is ready */
    KEEPALIVE_MS = 15 * 1000,
};

/* What a stream reads from one mount. */
struct part {
    struct stream *stream;
    size_t mount;
    const char *mount_path;
    bool ready;                /* said so; before that nothing is sent */
    enum change_reason missed; /* something was, before we began */
    struct feed *feed;
    struct feed_reader reader;
    struct feed_subscriber subscriber;
};

struct stream {
    struct api_changes *changes;
    struct http_stream *http;
    struct event *timer;
    int64_t keepalive_ms; /* when the next is due */
    char *prefix;         /* the filter's */
    struct change_filter filter;
    size_t n_parts;
    struct part parts[];
};

struct api_changes {
    struct api_sources from;
    size_t n_streams;
};

/* ---- lines ---- */

static void send_text(struct stream *stream, char *text, size_t length)
{
    text[length] = '\n'; /* one chunk, one line */
    http_stream_write(stream->http, text, length + 1);
}

static void send_line(struct stream *stream, json_t *line)
{
    _cleanup_free_ char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (text)
        send_text(stream, text, strlen(text)); /* the line's end in place of the NUL */
}

static void send_change(struct part *part, const struct change *change)
{
    char line[CHANGE_LINE_MAX];
    size_t length = change_line(change, part->mount_path, line, sizeof(line) - 1);
    if (length > 0)
        send_text(part->stream, line, length);
}

static void send_resync(struct part *part, enum change_reason reason)
{
    const struct change change = {
        .op = CHANGE_RESYNC,
        .reason = reason,
        .path = part->stream->prefix,
        .epoch = part->reader.epoch,
        .sequence = part->reader.sequence,
    };
    send_change(part, &change);
}

/* {key:true,"mount":...,"cursor":...}: all up to the cursor has been told, or was not asked for. */
static void send_mark(struct part *part, const char *key)
{
    char cursor[CHANGE_CURSOR_TEXT];
    change_cursor_format(part->reader.epoch, part->reader.sequence, cursor);
    send_line(part->stream, json_pack("{s:b, s:o, s:s}", key, 1, "mount",
                                      json_string_lossy(part->mount_path), "cursor", cursor));
}

static void pump(struct part *part)
{
    struct stream *stream = part->stream;
    struct change change;
    int r = 1;
    while (part->ready && r != 0 && http_stream_pending(stream->http) < PENDING_MAX) {
        r = feed_next(part->feed, &part->reader, &change);
        if (r == 1 && change_filter_passes(&stream->filter, &change))
            send_change(part, &change);
        else if (r == -ESTALE)
            send_resync(part, CHANGE_REASON_SLOW_READER);
    }
}

static void on_wake(void *arg)
{
    pump(arg);
}

static void on_drained(void *arg)
{
    struct stream *stream = arg;
    for (size_t i = 0; i < stream->n_parts; i++)
        pump(&stream->parts[i]);
}

/* ---- time ---- */

static bool begin_if_ready(struct part *part)
{
    struct mount_status status;
    mounts_status(part->stream->changes->from.mounts, part->mount, &status);
    if (status.watch.state != WATCHER_READY)
        return false;
    part->ready = true;
    send_mark(part, "ready");
    if (part->missed != CHANGE_REASON_NONE)
        send_resync(part, part->missed);
    pump(part);
    return true;
}

/* The cursors spare a reader who asked for few changes that his falls out of the feed. */
static void keep_alive(struct stream *stream)
{
    bool sent = false;
    if (http_stream_pending(stream->http) >= PENDING_MAX)
        return;
    for (size_t i = 0; i < stream->n_parts; i++) {
        if (!stream->parts[i].ready)
            continue;
        send_mark(&stream->parts[i], "keepalive");
        sent = true;
    }
    if (!sent)
        send_line(stream, json_pack("{s:b}", "keepalive", 1));
}

/* Look for readiness often, and keep the connection alive. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;
    bool all_ready = true;
    for (size_t i = 0; i < stream->n_parts; i++)
        if (!stream->parts[i].ready && !begin_if_ready(&stream->parts[i]))
            all_ready = false;
    if (clock_now_ms() >= stream->keepalive_ms) {
        keep_alive(stream);
        stream->keepalive_ms = clock_now_ms() + KEEPALIVE_MS;
    }
    int64_t wait_ms = stream->keepalive_ms - clock_now_ms();
    if (!all_ready && wait_ms > LOOK_MS)
        wait_ms = LOOK_MS;
    event_add(stream->timer,
              &(struct timeval){.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000});
}

/* ---- streams ---- */

static void free_stream(struct stream *stream)
{
    if (!stream)
        return;
    if (stream->timer)
        event_free(stream->timer);
    free(stream->prefix);
    free(stream);
}

static void cleanup_stream_p(struct stream **stream)
{
    free_stream(*stream);
}

static void on_closed(void *arg)
{
    struct stream *stream = arg;
    for (size_t i = 0; i < stream->n_parts; i++)
        feed_unsubscribe(&stream->parts[i].subscriber);
    stream->changes->n_streams--;
    free_stream(stream);
}

static struct stream *new_stream(struct api_changes *changes, const struct change_filter *filter)
{
    size_t n_mounts = mounts_count(changes->from.mounts);
    struct stream *stream = calloc(1, sizeof(*stream) + n_mounts * sizeof(stream->parts[0]));
    if (!stream)
        return NULL;
    stream->changes = changes;
    stream->keepalive_ms = clock_now_ms() + KEEPALIVE_MS;
    stream->filter = *filter;
    stream->filter.prefix = stream->prefix = strdup(filter->prefix);
    stream->timer = event_new(changes->from.base, -1, 0, on_timer, stream);
    if (!stream->prefix || !stream->timer) {
        free_stream(stream);
        return NULL;
    }
    return stream;
}

/* The mount of that path, or all when it is NULL, as far as they are watched. */
static int add_parts(struct stream *stream, const char *mount_path, struct error *err)
{
    struct mounts *mounts = stream->changes->from.mounts;
    bool exists = false;
    for (size_t i = 0; i < mounts_count(mounts); i++) {
        struct mount_status status;
        mounts_status(mounts, i, &status);
        if (mount_path && strcmp(mount_path, status.path) != 0)
            continue;
        exists = true;
        if (status.watch.state == WATCHER_OFF)
            continue;
        struct part *part = &stream->parts[stream->n_parts++];
        part->stream = stream;
        part->mount = i;
        part->mount_path = stream->changes->from.settings->mounts.mounts[i].path;
        part->feed = mounts_feed(mounts, i);
        part->subscriber.wake = on_wake;
        part->subscriber.arg = part;
    }
    if (!exists)
        return error_set(err, EINVAL, "mount: \"%s\" is not one of the mounts",
                         mount_path ? mount_path : "");
    if (stream->n_parts == 0)
        return error_set(err, EAGAIN, "%s%s", mount_path ? mount_path : "no mount",
                         mount_path ? " is not watched" : " is watched");
    return 0;
}

static enum change_reason why_missed(const char *since, const struct feed_reader *now)
{
    uint32_t epoch = 0;
    uint64_t sequence;
    change_cursor_parse(since, &epoch, &sequence);
    return epoch == now->epoch ? CHANGE_REASON_SLOW_READER : CHANGE_REASON_RESTART;
}

static int seek(struct stream *stream, const char *since, struct error *err)
{
    if (since && stream->n_parts > 1)
        return error_set(err, EINVAL, "since: each mount has its own cursor, name one with mount=");
    for (size_t i = 0; i < stream->n_parts; i++) {
        struct part *part = &stream->parts[i];
        int r = feed_seek(part->feed, since, &part->reader);
        if (r == -EINVAL)
            return error_set(err, EINVAL, "since: \"%.64s\" is not a cursor", since);
        if (r == -ESTALE)
            part->missed = why_missed(since, &part->reader);
    }
    return 0;
}

static int check_path(const char *path, struct error *err)
{
    int r = *path ? fs_check_relative(path) : 0;
    if (r == -ENAMETOOLONG)
        return error_set(err, EINVAL, "path: it or a name in it is too long");
    if (r < 0)
        return error_set(err, EINVAL,
                         "path: \"%.128s\" is not a path below the mount, without \"..\" and "
                         "without a \"/\" at its begin or end",
                         path);
    return 0;
}

static int parse_filter(const struct http_query *query, struct change_filter *ret_filter,
                        struct error *err)
{
    const char *path = http_query_get(query, "path"), *ops = http_query_get(query, "op");
    const char *remote = http_query_get(query, "remote");
    struct change_filter filter = {.prefix = path ? path : ""};
    int r = check_path(filter.prefix, err);
    if (r == 0 && remote && parse_bool(remote, &filter.remote) < 0)
        r = error_set(err, EINVAL, "remote: \"%.32s\" is not 1 or 0", remote);
    if (r == 0 && ops && (r = change_filter_ops(ops, &filter.ops, err)) < 0)
        error_prefix(err, "op");
    if (r == 0)
        *ret_filter = filter;
    return r;
}

static void begin(struct stream *stream, struct http_request *request)
{
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_closed};
    stream->changes->n_streams++;
    http_stream_begin(request, "application/x-ndjson", &ops, stream, &stream->http);
    for (size_t i = 0; i < stream->n_parts; i++)
        feed_subscribe(stream->parts[i].feed, &stream->parts[i].subscriber);
    on_timer(-1, EV_TIMEOUT, stream);
}

void api_changes_serve(struct api_changes *changes, struct http_request *request)
{
    static const char *const names[] = {"path", "mount", "since", "op", "remote", NULL};
    struct http_query query;
    struct change_filter filter = {.prefix = ""};
    struct error err = {0};
    int r = http_query_parse(request->head.query, names, &query, &err);
    if (r == 0)
        r = parse_filter(&query, &filter, &err);
    if (r < 0) {
        http_error(request, 400,
                   "GET /v1/changes?path=PREFIX&mount=/PATH&since=CURSOR&op=OP,...&remote=1", "%s",
                   err.text);
        return;
    }
    if (changes->n_streams >= STREAMS_MAX) {
        http_error(request, 429, "close one of them", "%d streams of changes are open already",
                   STREAMS_MAX);
        return;
    }
    _cleanup_(cleanup_stream_p) struct stream *stream = new_stream(changes, &filter);
    if (!stream) {
        http_error(request, 503, NULL, "no memory");
        return;
    }
    const char *hint = "GET /v1/status (efsctl status) lists the mounts";
    r = add_parts(stream, http_query_get(&query, "mount"), &err);
    if (r == 0) {
        hint = "a cursor is the \"cursor\" of a line of this mount; leave it out to begin now";
        r = seek(stream, http_query_get(&query, "since"), &err);
    }
    if (r == -EAGAIN)
        http_error(request, 503, "watch.enabled is false, or the profile is observe", "%s",
                   err.text);
    else if (r < 0)
        http_error(request, 400, hint, "%s", err.text);
    else
        begin(take_ptr(stream), request);
}

int api_changes_open(const struct api_sources *from, struct api_changes **ret_changes)
{
    struct api_changes *changes = calloc(1, sizeof(*changes));
    if (!changes)
        return -ENOMEM;
    changes->from = *from;
    *ret_changes = changes;
    return 0;
}

void api_changes_close(struct api_changes *changes)
{
    free(changes);
}
