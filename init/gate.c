#include "init/gate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "init/check_mount.h"
#include "init/check_posix.h"
#include "init/probe.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/mountinfo.h"

struct run {
    const struct settings *settings;
    struct probe_wish wishes[CONFIG_MOUNTS_MAX];
    struct probe probes[CONFIG_MOUNTS_MAX];
    bool ended[CONFIG_MOUNTS_MAX];
    int64_t deadline_ms, stopped_ms;
};

static void start(struct run *run, struct report *report)
{
    const struct settings *settings = run->settings;
    for (size_t i = 0; i < report->n; i++) {
        struct error err = {0};
        run->wishes[i] = (struct probe_wish){
            .path = settings->mounts.mounts[i].path,
            .read_only = settings->mounts.mounts[i].read_only,
            .allow_local = settings->allow_local,
            .change_ids = settings->init_as.set,
            .uid = settings->init_as.uid,
            .gid = settings->init_as.gid,
            .hold_ms = settings->init_lock_hold_ms,
        };
        if (probe_start(&run->wishes[i], &run->probes[i], &err) < 0)
            report_fail(&report->mounts[i], "path", CAUSE_NO_RESOURCES, "%s", err.text);
    }
}

/* Until all probes have ended, the deadline has passed, or a signal came: then its number. */
static int wait_for_probes(struct run *run, size_t n, int signal_fd)
{
    for (;;) {
        struct pollfd fds[CONFIG_MOUNTS_MAX + 1];
        size_t waiting = 0;
        for (size_t i = 0; i < n; i++) {
            bool busy = run->probes[i].log && !run->ended[i];
            fds[i] = (struct pollfd){.fd = busy ? run->probes[i].done_fd : -1, .events = POLLIN};
            waiting += busy;
        }
        fds[n] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
        int timeout = clock_poll_timeout(run->deadline_ms);
        if (waiting == 0 || timeout == 0)
            return 0;
        if (poll(fds, n + 1, timeout) < 0)
            continue; /* EINTR; anything else ends at the deadline */
        for (size_t i = 0; i < n; i++)
            if (fds[i].revents)
                run->ended[i] = true;
        struct signalfd_siginfo info;
        if (fds[n].revents && read(signal_fd, &info, sizeof(info)) == sizeof(info))
            return (int)info.ssi_signo;
    }
}

/* A moment for those that can, to leave nothing on the share. */
static void cancel(struct run *run, size_t n)
{
    enum { TIDY_MS = 1000 };
    for (size_t i = 0; i < n; i++)
        if (run->probes[i].log)
            atomic_store(&run->probes[i].log->cancel, true);
    run->deadline_ms = clock_now_ms() + TIDY_MS;
    (void)wait_for_probes(run, n, -1);
}

static enum probe_end end_of(const struct run *run, size_t i)
{
    const struct probe_log *log = run->probes[i].log;
    if (!run->ended[i])
        return PROBE_HUNG;
    return atomic_load(&log->step) == PROBE_END ? PROBE_ENDED : PROBE_DIED;
}

static void judge(const struct run *run, size_t i, struct mountinfo *table, struct report *report)
{
    struct mount_report *mount_report = &report->mounts[i];
    const struct settings *settings = run->settings;
    const struct probe_log *log = run->probes[i].log;
    struct mount mount, another;
    const char *seen = log->path[0] ? log->path : mount_report->asked->path;
    bool opened = log->mount_id > 0;

    /* By id it is exact; before the directory was opened the name has to do. */
    bool known = table && (opened ? mountinfo_by_id(table, log->mount_id, &mount) == 0
                                  : mountinfo_at(table, seen, &mount) == 0);
    struct posix_question posix = {
        .log = log,
        .end = end_of(run, i),
        .now_ms = run->stopped_ms,
        .deadline_ms = settings->init_deadline_ms + settings->init_lock_hold_ms,
        .mount = known ? &mount : NULL,
        .expect_owner = &settings->init_expect_owner,
        .host = &report->host,
        .lock_hold_ms = settings->init_lock_hold_ms,
    };
    report->uid = log->uid;
    report->gid = log->gid;
    if (!check_path(&posix, mount_report) && posix.end != PROBE_HUNG)
        return;
    if (!known) {
        report_fail(mount_report, "mount", CAUSE_INTERNAL,
                    "/proc/self/mountinfo does not say what is mounted at %s",
                    mount_report->asked->path);
        return;
    }
    struct mount_question question = {
        .mount = &mount,
        .another = mountinfo_any_nfs(table, &another) == 0 ? &another : NULL,
        .allow_local = settings->allow_local,
    };
    check_mount(&question, mount_report);
    if (opened && (mount.nfs || settings->allow_local))
        check_posix(&posix, mount_report);
}

static void judge_all(const struct run *run, struct report *report)
{
    _cleanup_mountinfo_ struct mountinfo *table = NULL;
    struct error err = {0};
    if (mountinfo_read(NULL, &table, &err) < 0)
        report_fail_all(report, CAUSE_INTERNAL, "%s", err.text);
    for (size_t i = 0; i < report->n; i++)
        if (run->probes[i].log)
            judge(run, i, table, report);
}

void gate_run(const struct settings *settings, struct report *report)
{
    struct run run = {.settings = settings};
    struct error err = {0};
    sigset_t signals;
    int64_t start_ms = clock_now_ms();

    report->started_wall_ms = clock_wall_ms();
    report->n = settings->mounts.n;
    for (size_t i = 0; i < report->n; i++)
        report->mounts[i].asked = &settings->mounts.mounts[i];
    if (host_identity_read("", &report->host, &err) < 0)
        report_fail_all(report, CAUSE_INTERNAL, "%s", err.text);

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    _cleanup_close_ int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);

    run.deadline_ms = start_ms + settings->init_deadline_ms + settings->init_lock_hold_ms;
    start(&run, report);
    int stopped_by = wait_for_probes(&run, report->n, signal_fd);
    run.stopped_ms = clock_now_ms();
    if (stopped_by)
        cancel(&run, report->n);
    for (size_t i = 0; i < report->n; i++)
        probe_stop(&run.probes[i]);
    if (stopped_by)
        report_fail_all(report, CAUSE_INTERRUPTED, "SIG%s came before the checks were done",
                        sigabbrev_np(stopped_by));
    else
        judge_all(&run, report);
    for (size_t i = 0; i < report->n; i++)
        probe_release(&run.probes[i]);
    report->took_ms = clock_now_ms() - start_ms;
}
