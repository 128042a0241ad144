#include "watchers/scanner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/ofd.h"
#include "lib/share/layout.h"
#include "watchers/census.h"
#include "watchers/change_queue.h"

enum {
    ELECTION_MOST_MS = 30 * 1000, /* and not rarer than a pass */
    RETRY_MS = 10 * 1000,
    NOTES_BYTES = 1024 * 1024,
    FOUND_BYTES = 256 * 1024,
    CROWDED_MS = 200, /* when nobody collects */
};

struct scanner {
    struct scanner_options options;
    struct census_options census_options;
    struct census census;
    struct change_queue *notes, *found;
    pthread_t thread;
    int wake_fd;
    atomic_bool stopping, look_now;

    /* The thread's: */
    int lock_fd;
    bool has_predecessor; /* somebody scanned here before */
    int64_t due_ms;       /* of the next pass */
    int64_t paid_until_us;

    pthread_mutex_t mutex; /* for: */
    struct scanner_status status;
};

/* ---- waiting ---- */

/* Until then, or until something happens. */
static void wait_until(struct scanner *s, int64_t until_ms)
{
    eventfd_t count;
    struct pollfd fds[] = {{.fd = s->wake_fd, .events = POLLIN},
                           {.fd = change_queue_fd(s->notes), .events = POLLIN}};
    poll(fds, ARRAY_LEN(fds), clock_poll_timeout(until_ms));
    eventfd_read(s->wake_fd, &count);
}

static void drop_notes(struct scanner *s)
{
    uint8_t buffer[CHANGE_ENCODED_MAX];
    struct change change;
    while (change_queue_pop(s->notes, buffer, &change)) {}
}

static int take_notes(struct scanner *s)
{
    uint8_t buffer[CHANGE_ENCODED_MAX];
    struct change change;
    int r = 0;
    while (r >= 0 && change_queue_pop(s->notes, buffer, &change)) {
        if (change.op == CHANGE_RESYNC && change.source != CHANGE_SOURCE_SCAN)
            s->look_now = true;
        r = census_note(&s->census, &change);
    }
    return r;
}

/* The fleet's budget: calls are paid for with time. */
static int pay(struct scanner *s, int calls)
{
    int64_t now_us = clock_now_us();
    if (s->paid_until_us < now_us)
        s->paid_until_us = now_us;
    s->paid_until_us += (int64_t)calls * 1000000 / s->options.rate;
    int r = 0;
    while (r >= 0 && !s->stopping && clock_now_ms() < s->paid_until_us / 1000) {
        wait_until(s, s->paid_until_us / 1000);
        r = take_notes(s);
    }
    return r;
}

/* Every entry is asked for once. */
static uint32_t progress(const struct census *census)
{
    size_t entries = census->snapshot ? snapshot_count(census->snapshot) + 1 : 1;
    uint64_t done = (census->passed + census->files) * 1000 / entries;
    return done < 1000 ? (uint32_t)done : 1000;
}

static void show(struct scanner *s, enum scanner_state state)
{
    const struct census *census = &s->census;
    pthread_mutex_lock(&s->mutex);
    s->status.state = state;
    s->status.entries = census->snapshot ? snapshot_count(census->snapshot) : 0;
    s->status.bytes = census->snapshot ? snapshot_bytes(census->snapshot) : 0;
    s->status.directories = census->passed;
    s->status.unreadable = census->unreadable;
    s->status.left_out = census->left_out;
    s->status.permille = progress(census);
    pthread_mutex_unlock(&s->mutex);
}

/* ---- telling ---- */

/* With room or not at all; waits for room, and listens meanwhile. */
static int tell(struct scanner *s, const struct change *change)
{
    int r = 0;
    pthread_mutex_lock(&s->mutex);
    s->status.found++;
    pthread_mutex_unlock(&s->mutex);
    while (r >= 0 && !s->stopping && !change_queue_push(s->found, change)) {
        wait_until(s, clock_now_ms() + CROWDED_MS);
        r = take_notes(s);
    }
    return r;
}

static int tell_due(struct scanner *s, bool all)
{
    char path[PATH_MAX];
    struct change change;
    struct finding *finding;
    int r = 0;
    while (r >= 0 && !s->stopping &&
           (finding = findings_due(&s->census.findings, all ? CLOCK_NEVER : clock_now_ms())))
        if (census_take(&s->census, finding, path, &change)) {
            r = tell(s, &change);
            if (r >= 0)
                r = pay(s, 1);
        }
    return r;
}

/* ---- a pass ---- */

static int finish_baseline(struct scanner *s)
{
    if (s->has_predecessor)
        return tell(s, &(struct change){.op = CHANGE_RESYNC,
                                        .reason = CHANGE_REASON_SCAN,
                                        .source = CHANGE_SOURCE_SCAN,
                                        .path = ""});
    if (s->lock_fd >= 0 && pwrite(s->lock_fd, "1", 1, 0) != 1)
        return -errno;
    return 0;
}

static int pass(struct scanner *s)
{
    int64_t began_ms = clock_now_ms();
    bool had_baseline = s->census.has_baseline;
    int calls = 1, r = take_notes(s);
    s->look_now = false;
    census_begin(&s->census);
    while (r >= 0 && calls > 0 && !s->stopping && !s->look_now) {
        show(s, s->census.has_baseline ? SCANNER_SCANNING : SCANNER_BASELINE);
        calls = census_step(&s->census);
        r = calls < 0 ? calls : pay(s, calls);
        if (r >= 0 && !had_baseline && s->census.has_baseline) {
            had_baseline = true;
            r = finish_baseline(s);
        }
        if (r >= 0)
            r = tell_due(s, findings_is_full(&s->census.findings));
    }
    s->due_ms = s->look_now ? clock_now_ms() : began_ms + s->options.interval_ms;
    if (r >= 0 && calls == 0) {
        pthread_mutex_lock(&s->mutex);
        s->status.passes++;
        s->status.complete_ms = began_ms;
        pthread_mutex_unlock(&s->mutex);
    }
    return r;
}

static int rest(struct scanner *s)
{
    int r = 0;
    show(s, SCANNER_RESTING);
    while (r >= 0 && !s->stopping && !s->look_now && clock_now_ms() < s->due_ms) {
        int64_t until_ms = findings_due_ms(&s->census.findings);
        wait_until(s, until_ms < s->due_ms ? until_ms : s->due_ms);
        r = take_notes(s);
        if (r >= 0)
            r = tell_due(s, false);
        show(s, SCANNER_RESTING);
    }
    return r;
}

/* ---- election ---- */

static int take_lock(struct scanner *s)
{
    _cleanup_close_ int fd = -1;
    struct stat now;
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | (s->options.on_nfs ? O_DIRECT : 0);
    int r = fs_open_beneath(s->options.state_fd, LAYOUT_SCANNER, flags, LAYOUT_FILE_MODE, &fd);
    if (r < 0)
        return r;
    r = layout_share(fd, LAYOUT_FILE_MODE, s->options.state_gid);
    if (r == 0)
        r = ofd_lock(fd, F_WRLCK, 0, 0);
    if (r < 0)
        return r;
    if (fstat(fd, &now) < 0)
        return -errno;
    s->has_predecessor = now.st_size > 0;
    s->lock_fd = take_fd(&fd);
    return 0;
}

static bool still_elected(struct scanner *s)
{
    if (s->options.state_fd < 0)
        return true;
    return ofd_prove(s->lock_fd) == 0;
}

static void step_down(struct scanner *s)
{
    census_close(&s->census);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    s->lock_fd = -1;
    pthread_mutex_lock(&s->mutex);
    s->status.complete_ms = -1;
    pthread_mutex_unlock(&s->mutex);
}

static void scan(struct scanner *s)
{
    int r = census_open(&s->census, &s->census_options);
    while (r >= 0 && !s->stopping && still_elected(s)) {
        r = pass(s);
        if (r >= 0)
            r = rest(s);
    }
    if (r < 0)
        log_error("the reconcile scan starts over: %s", strerror(-r));
    step_down(s);
    if (r < 0 && !s->stopping)
        wait_until(s, clock_now_ms() + RETRY_MS);
}

static void *run(void *arg)
{
    struct scanner *s = arg;
    while (!s->stopping) {
        int r = s->options.state_fd < 0 ? 0 : take_lock(s);
        if (r == 0) {
            scan(s);
            continue;
        }
        show(s, SCANNER_WAITING);
        if (r != -EAGAIN)
            log_warn("the reconcile scan cannot be elected: %s", strerror(-r));
        int64_t every_ms =
            s->options.interval_ms < ELECTION_MOST_MS ? s->options.interval_ms : ELECTION_MOST_MS;
        int64_t until_ms = clock_now_ms() + every_ms;
        while (!s->stopping && clock_now_ms() < until_ms) {
            drop_notes(s);
            wait_until(s, until_ms);
        }
    }
    return NULL;
}

/* ---- the caller's side ---- */

static void release(struct scanner *s)
{
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    change_queue_close(s->notes);
    change_queue_close(s->found);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

int scanner_open(const struct scanner_options *options, struct scanner **ret_scanner,
                 struct error *err)
{
    struct scanner *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set_errno(err, ENOMEM, "the reconcile scan cannot be started");
    s->options = *options;
    s->census_options = (struct census_options){
        .root_fd = options->root_fd,
        .scope = &s->options.scope,
        .grace_ms = options->grace_ms,
        .max_entries = options->max_entries,
    };
    s->lock_fd = -1;
    s->status.complete_ms = -1;
    pthread_mutex_init(&s->mutex, NULL);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = s->wake_fd < 0 ? -errno : change_queue_open(NOTES_BYTES, &s->notes);
    if (r == 0)
        r = change_queue_open(FOUND_BYTES, &s->found);
    if (r == 0)
        r = -pthread_create(&s->thread, NULL, run, s);
    if (r < 0) {
        release(s);
        return error_set_errno(err, -r, "the reconcile scan cannot be started");
    }
    *ret_scanner = s;
    return 0;
}

int scanner_fd(const struct scanner *s)
{
    return change_queue_fd(s->found);
}

bool scanner_collect(struct scanner *s, uint8_t buffer[CHANGE_ENCODED_MAX],
                     struct change *ret_change)
{
    return change_queue_pop(s->found, buffer, ret_change);
}

void scanner_note(struct scanner *s, const struct change *change)
{
    change_queue_push(s->notes, change);
}

void scanner_look_now(struct scanner *s)
{
    s->look_now = true;
    eventfd_write(s->wake_fd, 1);
}

void scanner_status(struct scanner *s, struct scanner_status *ret_status)
{
    pthread_mutex_lock(&s->mutex);
    *ret_status = s->status;
    pthread_mutex_unlock(&s->mutex);
}

int scanner_close(struct scanner *s, int64_t timeout_ms)
{
    if (!s)
        return 0;
    s->stopping = true;
    eventfd_write(s->wake_fd, 1);
    struct timespec until = clock_monotonic_in(timeout_ms);
    if (pthread_clockjoin_np(s->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        return -EBUSY;
    release(s);
    return 0;
}
