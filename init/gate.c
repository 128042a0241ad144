#include "init/gate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "init/judge.h"
#include "init/probe.h"
#include "lib/backoff.h"
#include "lib/cleanup.h"
#include "lib/clock.h"

enum {
    TIDY_MS = 1000,              /* for probes that are asked to stop */
    CREDENTIALS_SPARE_MS = 2000, /* longer than the probes take they are not waited for */
    ANSWER_SPARE_MS = 200, /* AWS's answers come that long before the deadline, or not at all */
    EXPLAIN_MS = 3000,     /* of the waiting time kept to explain why it was in vain */
};

struct run {
    const struct settings *settings;
    FILE *progress;
    struct findings found;
    struct probe_wish wishes[CONFIG_MOUNTS_MAX];
    size_t n;
    int signal_fd, stopped_by;
    int64_t start_ms, deadline_ms; /* deadline_ms: of the whole */
    int64_t give_up_ms;            /* no attempt begins after it */
    char told[768];                /* what was last told to be waited for */
};

/* ---- waiting ---- */

/* Until all children have ended, or until_ms; a pause when children is NULL. False: a signal came.
 */
static bool wait_for(struct run *run, struct child *const *children, size_t n, int64_t until_ms)
{
    while (!run->stopped_by) {
        struct pollfd fds[CONFIG_MOUNTS_MAX + 1];
        size_t waiting = 0;
        for (size_t i = 0; i < n; i++) {
            bool busy = children[i]->pid > 0 && !children[i]->ended;
            fds[i] = (struct pollfd){.fd = busy ? children[i]->done_fd : -1, .events = POLLIN};
            waiting += busy;
        }
        fds[n] = (struct pollfd){.fd = run->signal_fd, .events = POLLIN};
        int timeout = clock_poll_timeout(until_ms);
        if ((children && waiting == 0) || timeout == 0)
            break;
        if (poll(fds, n + 1, timeout) < 0)
            continue; /* EINTR; anything else ends at the deadline */
        for (size_t i = 0; i < n; i++)
            if (fds[i].revents)
                children[i]->ended = true;
        struct signalfd_siginfo info;
        if (fds[n].revents && read(run->signal_fd, &info, sizeof(info)) == sizeof(info))
            run->stopped_by = (int)info.ssi_signo;
    }
    return !run->stopped_by;
}

/* True when all have ended. */
static bool wait_for_probes(struct run *run, int64_t until_ms)
{
    struct child *children[CONFIG_MOUNTS_MAX];
    bool all = true;
    for (size_t i = 0; i < run->n; i++)
        children[i] = &run->found.probes[i];
    (void)wait_for(run, children, run->n, until_ms);
    for (size_t i = 0; i < run->n; i++)
        all = all && (!children[i]->shared || children[i]->ended);
    return all;
}

static void wait_for_aws(struct run *run, int64_t until_ms)
{
    struct child *child = &run->found.aws;
    if (child->shared)
        (void)wait_for(run, &child, 1, until_ms);
}

/* Said once per change. */
static void tell(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct run *run, const char *format, ...)
{
    char text[sizeof(run->told)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (strcmp(text, run->told) == 0)
        return;
    memcpy(run->told, text, sizeof(text));
    fprintf(run->progress, "efs-init: waiting, for %lld s more at most: %s\n",
            (long long)(run->deadline_ms - clock_now_ms()) / 1000, text);
}

/* ---- children ---- */

static void start_probes(struct run *run, struct report *report)
{
    const struct settings *settings = run->settings;
    for (size_t i = 0; i < run->n; i++) {
        struct error err = {0};
        run->wishes[i] = (struct probe_wish){
            .path = settings->mounts.mounts[i].path,
            .read_only = settings->mounts.mounts[i].read_only,
            .allow_local = settings->allow_local,
            .change_ids = settings->init_as.set,
            .uid = settings->init_as.uid,
            .gid = settings->init_as.gid,
            .hold_ms = settings->init_lock_hold_ms,
            .content = {.expect = run->found.expect, .mount = i},
        };
        if (probe_start(&run->wishes[i], &run->found.probes[i], &err) < 0)
            report_fail(&report->mounts[i], "path", CAUSE_NO_RESOURCES, "%s", err.text);
    }
}

/* about: of which mounts AWS is asked; NULL: only for credentials. */
static void start_aws(struct run *run, const bool *about)
{
    struct findings *found = &run->found;
    struct aws_wish wish = {
        .api = about != NULL,
        .sts = run->settings->init_sts || found->explaining,
        .instance = run->settings->init_aws_checks == AWS_CHECKS_ALWAYS || run->settings->init_sts,
        .deadline_ms = run->deadline_ms - ANSWER_SPARE_MS,
        .n = run->n,
    };
    struct error err = {0};
    for (size_t i = 0; about && i < run->n; i++) {
        found->asked_about[i] = about[i];
        if (!about[i])
            continue;
        (void)judge_file_system_id(found, i, wish.mounts[i].file_system_id);
        wish.mounts[i].access_point = found->expect->access_points[i];
    }
    found->asked_api = about != NULL;
    child_close(&found->aws);
    (void)ask_aws_start(&wish, &found->aws, &err); /* without it nothing is said of AWS */
}

static void start_explaining(struct run *run, const bool *about)
{
    run->found.explaining = true;
    start_aws(run, about);
}

static void close_children(struct run *run)
{
    for (size_t i = 0; i < run->n; i++)
        child_close(&run->found.probes[i]);
    child_close(&run->found.aws);
    mountinfo_free(run->found.table);
    run->found.table = NULL;
    run->found.explaining = run->found.asked_api = false;
}

/* A moment for those that can, to leave nothing on the share. */
static void cancel_probes(struct run *run)
{
    int stopped_by = run->stopped_by;
    for (size_t i = 0; i < run->n; i++) {
        struct probe_log *log = run->found.probes[i].shared;
        if (log)
            atomic_store(&log->cancel, true);
    }
    run->stopped_by = 0;
    (void)wait_for_probes(run, clock_now_ms() + TIDY_MS);
    run->stopped_by = stopped_by;
}

/* ---- one attempt ---- */

/* A probe that has not come back in half of its time is on its way to fail: say so if there is time
 * to wait for it, and in the end ask why. */
static void wait_half(struct run *run)
{
    const struct settings *settings = run->settings;
    bool late[CONFIG_MOUNTS_MAX] = {0};
    int64_t half_ms = run->start_ms + settings->init_deadline_ms / 2 + settings->init_lock_hold_ms;

    if (wait_for_probes(run, clock_sooner(half_ms, run->deadline_ms)) || run->stopped_by)
        return;
    for (size_t i = 0; i < run->n; i++) {
        const struct probe_log *log = run->found.probes[i].shared;
        late[i] = log && !run->found.probes[i].ended;
        if (late[i] && settings->init_wait_ms > 0)
            tell(run, "%s does not answer (\"%s\")", run->wishes[i].path,
                 probe_step_names[atomic_load(&log->step)]);
    }
    if (wait_for_probes(run, run->give_up_ms) || run->stopped_by)
        return;
    if (settings->init_aws_checks == AWS_CHECKS_ON_FAILURE)
        start_explaining(run, late);
}

static void attempt(struct run *run, struct report *report)
{
    static const bool all[CONFIG_MOUNTS_MAX] = {[0 ... CONFIG_MOUNTS_MAX - 1] = true};
    struct error err = {0};
    if (mountinfo_read(NULL, &run->found.table, &err) < 0)
        report_fail_all(report, CAUSE_INTERNAL, "%s", err.text);
    start_aws(run, run->settings->init_aws_checks == AWS_CHECKS_ALWAYS ? all : NULL);
    start_probes(run, report);
    wait_half(run);
    (void)wait_for_probes(run, run->deadline_ms);
    run->found.stopped_ms = clock_now_ms();
    run->found.limit_ms = run->deadline_ms - run->start_ms;
    if (run->stopped_by)
        cancel_probes(run);
    for (size_t i = 0; i < run->n; i++)
        child_stop(&run->found.probes[i]);
    /* Mounts may have come since it was read. */
    mountinfo_free(run->found.table);
    run->found.table = NULL;
    if (!run->stopped_by && mountinfo_read(NULL, &run->found.table, &err) < 0)
        report_fail_all(report, CAUSE_INTERNAL, "%s", err.text);
    if (!run->stopped_by)
        judge_mounts(&run->found, report);
}

/* What the probes found is known; now what AWS has to say. */
static void finish_aws(struct run *run, struct report *report)
{
    const struct settings *settings = run->settings;
    bool failed[CONFIG_MOUNTS_MAX] = {0}, any = false;
    for (size_t i = 0; i < run->n; i++) {
        failed[i] = report_first_failure(&report->mounts[i]) != NULL;
        any = any || failed[i];
    }
    if (any && settings->init_aws_checks == AWS_CHECKS_ON_FAILURE && !run->found.explaining)
        start_explaining(run, failed);
    bool needed =
        run->found.asked_api || settings->init_sts || settings->init_expect_role[0] != '\0';
    int64_t spare_ms = clock_now_ms() + CREDENTIALS_SPARE_MS;
    wait_for_aws(run, needed ? run->deadline_ms : clock_sooner(spare_ms, run->deadline_ms));
    child_stop(&run->found.aws);
    if (!run->stopped_by)
        judge_aws(&run->found, report);
}

/* ---- again and again ---- */

/* May what causes a failure with this cause go away by itself? */
static bool may_heal(enum cause cause)
{
    switch (cause) {
    case CAUSE_PATH_MISSING:          /* another task makes it */
    case CAUSE_REQUIRED_PATH_MISSING: /* likewise */
    case CAUSE_NOT_MOUNTED:           /* mounted later, and the mount is passed on */
    case CAUSE_MOUNT_HUNG:
    case CAUSE_SERVER_UNREACHABLE:
    case CAUSE_QUOTA_EXCEEDED: /* locks and files of this client are given back */
        return true;
    default:
        return false;
    }
}

/* Did something fail, and may all of it heal? The first of it. */
static const struct check *healing_failure(const struct report *report)
{
    const struct check *first = NULL;
    if (report->cause != CAUSE_NONE)
        return NULL;
    for (size_t i = 0; i < report->n; i++) {
        for (size_t c = 0; c < report->mounts[i].n; c++) {
            const struct check *check = &report->mounts[i].checks[c];
            if (check->verdict == VERDICT_FAIL && !may_heal(check->cause))
                return NULL;
            if (check->verdict == VERDICT_FAIL && !first)
                first = check;
        }
    }
    return first;
}

static void attempt_until_it_heals(struct run *run, struct report *report)
{
    struct backoff backoff = {.first_ms = 500, .most_ms = 5000};
    for (;;) {
        attempt(run, report);
        const struct check *failure = healing_failure(report);
        int64_t again_ms = clock_now_ms() + backoff_next_ms(&backoff);
        if (run->stopped_by || !failure || again_ms >= run->give_up_ms)
            return;
        tell(run, "%s", failure->message);
        if (!wait_for(run, NULL, 0, again_ms))
            return;
        close_children(run);
        report_clear(report);
    }
}

static void prepare(const struct settings *settings, struct report *report)
{
    struct error err = {0};
    report->n = settings->mounts.n;
    for (size_t i = 0; i < report->n; i++)
        report->mounts[i].asked = &settings->mounts.mounts[i];
    if (host_identity_read("", &report->host, &err) < 0)
        report_fail_all(report, CAUSE_INTERNAL, "%s", err.text);
}

void gate_run(const struct settings *settings, const struct expectations *expect, FILE *progress,
              struct report *report)
{
    struct run run = {
        .settings = settings,
        .progress = progress,
        .found = {.settings = settings, .expect = expect},
        .n = settings->mounts.n,
        .start_ms = clock_now_ms(),
    };
    int64_t most_ms = settings->init_deadline_ms > settings->init_wait_ms
                          ? settings->init_deadline_ms
                          : settings->init_wait_ms;
    sigset_t signals;

    report->started_wall_ms = clock_wall_ms();
    prepare(settings, report);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    _cleanup_close_ int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    run.signal_fd = signal_fd;
    run.deadline_ms = run.start_ms + most_ms + settings->init_lock_hold_ms;
    run.give_up_ms = run.start_ms + settings->init_wait_ms -
                     clock_sooner(EXPLAIN_MS, settings->init_wait_ms / 4);

    attempt_until_it_heals(&run, report);
    if (!run.stopped_by)
        finish_aws(&run, report);
    if (run.stopped_by) {
        report_clear(report);
        report_fail_all(report, CAUSE_INTERRUPTED, "SIG%s came before the checks were done",
                        sigabbrev_np(run.stopped_by));
    }
    close_children(&run);
    report->took_ms = clock_now_ms() - run.start_ms;
}
