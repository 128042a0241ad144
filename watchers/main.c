/*
 * efs-watch: the change feed of one directory tree.
 *
 * By hand it prints a JSON line per change; `--child=FD` makes it talk frames with the sidecar (see
 * lib/share/watch_frames.h). This is the one program that links libinotifytools (GPL-2.0).
 */
#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/parse.h"
#include "lib/settings.h"
#include "lib/share/board.h"
#include "lib/share/layout.h"
#include "watchers/tracker.h"

enum { EXIT_USAGE = 64, STATUS_INTERVAL_MS = 1000, LOG_WAIT_MS = 200 };

/* What is between the sidecar and us, and not a setting of the user. */
struct own_options {
    int child_fd;      /* -1: by hand */
    bool existing;     /* tell what is there */
    const char *state; /* path of the state directory; NULL: where it is by default */
    int board_fd;      /* holds the slot; -1: a listener */
    int slot, epoch;
    bool unclean; /* the slot's last owner may have left something untold */
};

struct watch {
    struct own_options own;
    struct tracker tracker;
    struct sink sink;
    struct frame_reader control;
    int signal_fd;
    bool stopping;
    int64_t status_ms;
    uint8_t status[WATCH_STATUS_MAX]; /* as it was sent last */
    int status_length;
};

static const char *const always_excluded[] = {".efs-sidecar", LAYOUT_STAGE,
                                              LAYOUT_PROBE_PREFIX "*"};

/* A listener has no journal. */
static int refuse_announce(struct watch *w, const struct frame *frame)
{
    struct watch_announce announce;
    if (watch_announce_decode(frame->payload, frame->length, &announce) < 0)
        return -EBADMSG;
    const struct watch_announced announced = {.id = announce.id, .result = -EOPNOTSUPP};
    return sink_has_room(&w->sink) ? w->sink.ops->announced(&w->sink, &announced) : 0;
}

static int take_frame(struct watch *w, const struct frame *frame)
{
    switch (frame->type) {
    case WATCH_FRAME_STOP:
        w->stopping = true;
        return 0;
    case WATCH_FRAME_PING:
        if (frame->length != sizeof(uint64_t))
            return -EBADMSG;
        tracker_ping(&w->tracker, get_le64(frame->payload));
        return 0;
    case WATCH_FRAME_ANNOUNCE:
        return refuse_announce(w, frame);
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
    };
    if (poll(fds, ARRAY_LEN(fds), clock_poll_timeout(deadline_ms)) < 0 && errno != EINTR)
        return error_set_errno(err, errno, "poll failed");
    if (fds[0].revents)
        w->stopping = true;
    if (fds[2].revents & (POLLERR | POLLHUP) && !(fds[2].revents & POLLOUT))
        return -EPIPE;
    if (fds[2].revents & POLLOUT) {
        int r = sink_flush(&w->sink);
        if (r < 0)
            return r;
        w->tracker.stuck = false;
    }
    return fds[3].revents ? take_frames(w, err) : 0;
}

static int run(struct watch *w, struct error *err)
{
    int r = w->sink.ops->hello(&w->sink, w->tracker.epoch);
    while (r == 0 && !w->stopping) {
        r = tracker_step(&w->tracker, err);
        if (r == 0 && w->own.child_fd >= 0)
            r = send_status(w);
        if (r == 0)
            r = wait_for_work(w, err);
    }
    if (r == 0 || r == -ESTALE) /* what is known is still told, if that takes no waiting */
        tracker_drain(&w->tracker);
    return r;
}

static const struct {
    const char *name;
    int least, most;
    size_t at; /* of an int in struct own_options */
} own_numbers[] = {
    {"--child=", 3, 1 << 20, offsetof(struct own_options, child_fd)},
    {"--board=", 3, 1 << 20, offsetof(struct own_options, board_fd)},
    {"--slot=", 0, BOARD_SLOTS - 1, offsetof(struct own_options, slot)},
    {"--epoch=", 1, (1 << 24) - 1, offsetof(struct own_options, epoch)},
};

/* 1: it is one of ours. */
static int take_own_option(const char *argument, struct own_options *own)
{
    if (strcmp(argument, "--existing") == 0)
        return own->existing = true;
    if (strcmp(argument, "--unclean") == 0)
        return own->unclean = true;
    if (strncmp(argument, "--state=", 8) == 0) {
        own->state = argument + 8;
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(own_numbers); i++) {
        size_t n = strlen(own_numbers[i].name);
        int64_t number;
        if (strncmp(argument, own_numbers[i].name, n) != 0)
            continue;
        if (parse_i64(argument + n, own_numbers[i].least, own_numbers[i].most, &number) < 0)
            return -EINVAL;
        *(int *)((char *)own + own_numbers[i].at) = (int)number;
        return 1;
    }
    return 0;
}

static int take_own_options(int *argc, char **argv, struct own_options *ret_own)
{
    struct own_options own = {.child_fd = -1, .board_fd = -1};
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        int r = take_own_option(argv[i], &own);
        if (r < 0)
            return r;
        if (r == 0)
            argv[kept++] = argv[i];
    }
    if (own.board_fd >= 0 && (own.child_fd < 0 || own.epoch == 0))
        return -EINVAL;
    argv[kept] = NULL;
    *argc = kept;
    *ret_own = own;
    return 0;
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

static int start(struct watch *w, const struct tracker_options *options, struct error *err)
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
    return r < 0 ? error_set_errno(err, -r, "cannot start")
                 : tracker_open(&w->tracker, options, &w->sink, err);
}

static bool is_nfs(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == NFS_SUPER_MAGIC;
}

static int watch(const struct settings *settings, const char *root, const struct own_options *own)
{
    static struct watch w;
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
        .keep_names = is_nfs(root),
    };
    struct error err = {0};
    w.own = *own;
    int r = start(&w, &options, &err);
    if (r == 0) {
        r = run(&w, &err);
        tracker_close(&w.tracker);
    }
    sink_release(&w.sink);
    frame_reader_release(&w.control);
    if (r < 0 && r != -EPIPE) /* the reader may leave at any time */
        log_error("%s", err.text);
    return r < 0 && r != -EPIPE ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct settings settings;
    static struct config_report report;
    enum config_action action;
    struct own_options own;
    int first;
    if (take_own_options(&argc, argv, &own) < 0) {
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
        log_open("efs-watch", settings.log_level);
        status = watch(&settings, argv[first], &own);
        log_close(LOG_WAIT_MS);
    }
    config_release(&settings_table, &settings);
    return status;
}
