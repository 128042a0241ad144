/*
 * efs-watch: the change feed of one directory tree.
 *
 * By hand it prints a JSON line per change; `--child=FD` makes it talk frames with the sidecar (see
 * lib/share/watch_frames.h). This is the one program that links libinotifytools (GPL-2.0).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/fs.h"
#include "lib/harden.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "lib/share/journal.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"
#include "watchers/merge.h"
#include "watchers/own_options.h"
#include "watchers/parts.h"
#include "watchers/remote.h"

enum {
    EXIT_USAGE = 64,
    STATUS_INTERVAL_MS = 1000,
    LOG_WAIT_MS = 200,
    FOUND_GRACE_MS = 1000, /* and two polls */
    STOP_MS = 1000,        /* for reading the events that came before STOP */
};

struct watch {
    struct own_options own;
    struct tracker tracker;
    struct sink sink;
    struct frame_reader control;
    int signal_fd;
    struct parts parts;
    struct merge merge;
    bool stopping, fenced;
    int64_t status_ms;
    uint8_t status[WATCH_STATUS_MAX]; /* as it was sent last */
    int status_length;
};

static const char *const always_excluded[] = {
    ".efs-sidecar", LAYOUT_STAGE,  LAYOUT_PROBES, LAYOUT_ORPHANS, LAYOUT_OWNER,
    LAYOUT_STAGED,  LAYOUT_CLAIMS, LAYOUT_RETRY,  LAYOUT_DEAD,
};

static int answer(struct watch *w, const struct watch_announced *announced)
{
    return w->sink.ops->announced(&w->sink, announced);
}

/* Nobody reads their own journal: a change that the sidecar announces, such as the resync for a
 * member that died, is told here as it is told to the others. */
static int tell_here(struct watch *w, const struct watch_announce *record)
{
    struct change change;
    if (record->type != JOURNAL_CHANGE)
        return 0;
    if (change_decode(record->payload, record->length, &change) < 0)
        return -EBADMSG;
    return remote_apply(&w->tracker, &change);
}

static int take_announce(struct watch *w, const struct frame *frame)
{
    struct watch_announce record;
    if (watch_announce_decode(frame->payload, frame->length, &record) < 0)
        return -EBADMSG;
    struct watch_announced refused = {.id = record.id, .result = -EOPNOTSUPP};
    if (w->parts.announce)
        refused.result = announce_record(w->parts.announce, &record, tracker_mark(&w->tracker));
    if (refused.result == 0)
        return tell_here(w, &record);
    return sink_has_room(&w->sink) ? answer(w, &refused) : 0;
}

/* What is recorded now; -errno: there will be no more. */
static int collect_answers(struct watch *w, struct error *err)
{
    struct watch_announced announced;
    int r = 0;
    announce_release(w->parts.announce, w->tracker.told);
    while (sink_has_room(&w->sink) && (r = announce_collect(w->parts.announce, &announced)) == 1) {
        r = answer(w, &announced);
        if (r < 0)
            return r;
    }
    w->fenced = member_is_lost(r);
    if (r < 0)
        return error_set_errno(err, -r, "nothing can be announced in slot %d, epoch %d any more",
                               w->own.slot, w->own.epoch);
    return sink_flush(&w->sink);
}

static int take_frame(struct watch *w, const struct frame *frame)
{
    switch (frame->type) {
    case WATCH_FRAME_STOP:
        w->stopping = true;
        return 0;
    case WATCH_FRAME_PING:
        if (frame->length != WATCH_PING_BYTES || get_le32(frame->payload + 8) > LOG_DEBUG)
            return -EBADMSG;
        log_set_level(get_le32(frame->payload + 8));
        tracker_ping(&w->tracker, get_le64(frame->payload));
        return 0;
    case WATCH_FRAME_ANNOUNCE:
        return take_announce(w, frame);
    default:
        return -EBADMSG;
    }
}

static int take_frames(struct watch *w, struct error *err)
{
    int r = frame_reader_fill(&w->control, w->own.child_fd);
    if (r < 0) /* the sidecar is gone */
        return r;
    struct frame frame;
    while ((r = frame_reader_next(&w->control, &frame)) == 1) {
        r = take_frame(w, &frame);
        if (r < 0)
            return error_set(err, -r, "the sidecar sent a frame of type %u that is not understood",
                             frame.type);
    }
    return r < 0 ? error_set(err, EBADMSG, "the sidecar sent what is no frame") : 0;
}

/* Counters change all the time, so at most once a second and only if something differs. */
static int send_status(struct watch *w)
{
    struct watch_status status;
    uint8_t bytes[WATCH_STATUS_MAX];
    int64_t now_ms = clock_now_ms();
    tracker_status(&w->tracker, &status);
    parts_add_status(&w->parts, &status);
    int n = watch_status_encode(&status, bytes, sizeof(bytes));
    if (n < 0 || (n == w->status_length && memcmp(bytes, w->status, (size_t)n) == 0)) {
        w->status_ms = CLOCK_NEVER;
        return n < 0 ? n : 0;
    }
    if (w->status_ms == CLOCK_NEVER)
        w->status_ms = now_ms + STATUS_INTERVAL_MS;
    if (now_ms < w->status_ms || !sink_has_room(&w->sink))
        return 0;
    memcpy(w->status, bytes, (size_t)n);
    w->status_length = n;
    w->status_ms = now_ms + STATUS_INTERVAL_MS;
    int r = w->sink.ops->status(&w->sink, &status);
    return r < 0 ? r : sink_flush(&w->sink);
}

static int wait_for_work(struct watch *w, struct error *err)
{
    int64_t deadline_ms = tracker_deadline_ms(&w->tracker);
    if (w->own.child_fd >= 0 && w->status_ms < deadline_ms)
        deadline_ms = w->status_ms;
    struct pollfd fds[] = {
        {.fd = w->signal_fd, .events = POLLIN},
        {.fd = tracker_wants_events(&w->tracker) ? w->tracker.source.fd : -1, .events = POLLIN},
        {.fd = w->sink.fd, .events = sink_is_waiting(&w->sink) ? POLLOUT : 0},
        {.fd = w->own.child_fd, .events = POLLIN},
        {.fd = w->parts.announce && sink_has_room(&w->sink) ? announce_fd(w->parts.announce) : -1,
         .events = POLLIN},
        {.fd = merge_fd(&w->merge), .events = POLLIN},
        {.fd = merge_scan_fd(&w->merge), .events = POLLIN},
    };
    if (poll(fds, ARRAY_LEN(fds), clock_poll_timeout(deadline_ms)) < 0 && errno != EINTR)
        return error_set_errno(err, errno, "poll failed");
    if (fds[0].revents) {
        struct signalfd_siginfo signal_info;
        w->stopping = read(w->signal_fd, &signal_info, sizeof(signal_info)) > 0;
    }
    if (fds[2].revents & (POLLERR | POLLHUP) && !(fds[2].revents & POLLOUT))
        return -EPIPE;
    if (fds[2].revents & POLLOUT) {
        int r = sink_flush(&w->sink);
        if (r < 0)
            return r;
        w->tracker.stuck = false;
    }
    if (fds[5].revents)
        merge_look(&w->merge);
    return fds[3].revents ? take_frames(w, err) : 0;
}

/* Another word than ours in our slot: somebody else has it. */
static int check_slot(struct watch *w, struct error *err)
{
    struct peers_status peers;
    peers_status(w->parts.peers, &peers);
    w->fenced = peers.fenced;
    return peers.fenced ? error_set(err, ESTALE, "slot %d, epoch %d is another member's by now",
                                    w->own.slot, w->own.epoch)
                        : 0;
}

static int step(struct watch *w, struct error *err)
{
    int r = tracker_step(&w->tracker, err);
    if (r == 0)
        r = merge_step(&w->merge);
    if (r == 0 && w->parts.announce)
        r = collect_answers(w, err);
    if (r == 0 && w->parts.announce && w->parts.peers)
        r = check_slot(w, err);
    if (r == 0 && w->own.child_fd >= 0)
        r = send_status(w);
    return r == 0 ? wait_for_work(w, err) : r;
}

/* A member leaves when it has told what happened before it was asked to. */
static int finish(struct watch *w, struct error *err)
{
    int64_t until_ms = clock_now_ms() + STOP_MS;
    uint64_t ticket = w->parts.announce ? tracker_mark(&w->tracker) : 0;
    int r = 0;
    while (r == 0 && w->tracker.told < ticket && clock_now_ms() < until_ms)
        r = step(w, err);
    return r;
}

static int run(struct watch *w, struct error *err)
{
    int r = w->sink.ops->hello(&w->sink, w->tracker.epoch);
    while (r == 0 && !w->stopping)
        r = step(w, err);
    if (r == 0)
        r = finish(w, err);
    if (r == 0 || r == -ESTALE) /* what is known is still told, if that takes no waiting */
        tracker_drain(&w->tracker);
    return r;
}

static void print_help(void)
{
    puts("Usage: efs-watch [OPTION]... DIR\n"
         "Print one JSON line for each change below DIR. Never writes to DIR.\n\n"
         "  --existing               first report what is there\n"
         "  --state=PATH             the state directory, if it is not DIR/state.dir\n"
         "  --child=FD               talk with the sidecar on this socket\n"
         "  --board=FD, --slot=N, --epoch=N, --unclean\n"
         "                           be the member that has this slot of the board\n"
         "  --help, --version, --check\n");
    config_print_help(&settings_table, PROGRAM_WATCH, stdout);
}

static int check_paths(const struct name_list *paths)
{
    for (size_t i = 0; i < paths->n; i++) {
        if (fs_check_relative(paths->names[i]) < 0) {
            fprintf(stderr,
                    "error: watch.paths: \"%s\" is not a path below the watched directory: it must "
                    "be relative, without \"..\" or \".\"\n",
                    paths->names[i]);
            return -EINVAL;
        }
    }
    return 0;
}

/* Before any thread is made, which would take signals as well. */
static int prepare(struct watch *w, struct error *err)
{
    int child_fd = w->own.child_fd;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    w->status_ms = 0;
    w->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (w->signal_fd < 0)
        return error_set_errno(err, errno, "cannot wait for signals");
    int type;
    if (child_fd >= 0 &&
        getsockopt(child_fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}))
        return error_set_errno(err, errno, "--child=%d is no socket", child_fd);
    if (child_fd >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return error_set_errno(err, errno, "cannot tie efs-watch to its parent");
    int r = sink_open(&w->sink, child_fd >= 0 ? &sink_frames : &sink_lines,
                      child_fd >= 0 ? child_fd : STDOUT_FILENO);
    return r < 0 ? error_set_errno(err, -r, "cannot start") : 0;
}

/* Why the others have to look again at everything once this one is watching, if they have to. */
static enum change_reason owed_reason(const struct own_options *own)
{
    if (own->board_fd < 0 || !own->unclean || test_hook_omits("unclean_resync"))
        return CHANGE_REASON_NONE;
    return own->existing ? CHANGE_REASON_FENCED : CHANGE_REASON_PEER_DIED;
}

static int watch(const struct settings *settings, const char *root, const struct own_options *own)
{
    static struct watch w = {.signal_fd = -1, .parts = PARTS_NONE};
    const char *excludes[CONFIG_NAMES_MAX + ARRAY_LEN(always_excluded) + 1];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(always_excluded); i++)
        excludes[n++] = always_excluded[i];
    excludes[n++] = settings->state_dir;
    for (size_t i = 0; i < settings->watch_exclude.n; i++)
        excludes[n++] = settings->watch_exclude.names[i];

    struct tracker_options options = {
        .root = root,
        .scope = {.excludes = excludes,
                  .exclude_count = n,
                  .paths = (const char *const *)settings->watch_paths.names,
                  .path_count = settings->watch_paths.n},
        .max_dirs = (size_t)settings->watch_max_dirs,
        .batch_ms = settings->watch_batch_ms,
        .existing = own->existing,
        .keep_names = fs_is_nfs(root),
        .found_grace_ms = 2 * settings->feed_poll_ms + FOUND_GRACE_MS,
        .owed = owed_reason(own),
    };
    const struct parts_options parts = {
        .settings = settings, .own = own, .root = root, .scope = &options.scope};
    struct error err = {0};
    w.own = *own;
    int r = prepare(&w, &err);
    if (r == 0)
        r = parts_open(&w.parts, &parts, &err);
    options.announce = w.parts.announce;
    options.scanner = w.parts.scanner;
    if (r == 0)
        r = tracker_open(&w.tracker, &options, &w.sink, &err);
    if (r == 0) {
        merge_open(&w.merge, w.parts.peers, &w.tracker);
        r = run(&w, &err);
        tracker_close(&w.tracker);
    }
    int untold = parts_close(&w.parts);
    if (untold < 0 && (r == 0 || r == -EPIPE))
        r = error_set_errno(&err, -untold, "not all changes were announced to the other tasks");
    sink_release(&w.sink);
    frame_reader_release(&w.control);
    cleanup_close_p(&w.signal_fd);
    if (r < 0 && r != -EPIPE) /* the reader may leave at any time */
        log_error("%s", err.text);
    if (w.fenced)
        return WATCH_EXIT_FENCED;
    return r < 0 && r != -EPIPE ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct settings settings;
    static struct config_report report;
    enum config_action action;
    struct own_options own;
    int first;
    if (own_options_take(&argc, argv, &own) < 0) {
        fputs("error: --child and --board need the number of an open descriptor, and --board needs "
              "--child, --slot and --epoch\n",
              stderr);
        return EXIT_USAGE;
    }
    if (config_load(&settings_table, PROGRAM_WATCH, argc, argv, &settings, &action, &first,
                    &report) < 0) {
        fputs(report.text, stderr);
        return EXIT_USAGE;
    }
    int status = EXIT_SUCCESS;
    if (action == CONFIG_HELP) {
        print_help();
    } else if (action == CONFIG_VERSION) {
        puts("efs-watch " EFS_SIDECAR_VERSION);
    } else if (action == CONFIG_CHECK) {
        status = check_paths(&settings.watch_paths) < 0 ? EXIT_USAGE : EXIT_SUCCESS;
    } else if (argc - first != 1) {
        fputs("error: exactly one directory to watch is needed; try efs-watch --help\n", stderr);
        status = EXIT_USAGE;
    } else if (check_paths(&settings.watch_paths) < 0) {
        status = EXIT_USAGE;
    } else {
        struct error err;
        log_open("efs-watch", settings.log_level);
        if (own.child_fd < 0 &&
            harden_process(settings.seccomp, &err) < 0) /* else the parent did */
            log_warn("%s; efs-watch runs without that", err.text);
        status = watch(&settings, argv[first], &own);
        log_close(LOG_WAIT_MS);
    }
    config_release(&settings_table, &settings);
    return status;
}
