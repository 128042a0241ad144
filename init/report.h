/*
 * report: what the gate found out, for people (lines on stderr) and programs (one JSON object).
 *
 *     struct mount_report *mount = &report->mounts[i];
 *     report_add(mount, "write", VERDICT_OK, "create, write, fsync and read back work");
 *     struct check *check = report_fail(mount, "write", CAUSE_NO_CLIENT_WRITE, "...");
 *     report_fix(check, "...");                      // instead of the cause's own remedy
 *     ...
 *     report_print(report, stderr);                  // the last line is the answer
 *     json = report_to_json(report);
 *
 * The answer is the first failure of the first mount that has one. Ownership: a report owns the
 * facts of its mounts; report_release(). A check that no longer fits is dropped: there are fewer
 * kinds than places. Threads: one.
 */
#ifndef INIT_REPORT_H
#define INIT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "lib/config.h"
#include "lib/explain/cause.h"
#include "lib/host_identity.h"

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL, VERDICT_SKIP, VERDICT_UNKNOWN };

enum { REPORT_CHECKS_MAX = 32 };

struct check {
    const char *id;
    enum verdict verdict;
    enum cause cause;  /* of a failure */
    char message[768]; /* what and why, a sentence without full stop */
    char fix[768];     /* what to change, or "" */
    char detail[256];  /* numbers behind it, or "" */
    int64_t took_us;   /* -1: not measured */
};

struct mount_report {
    const struct mount_setting *asked;
    json_t *facts; /* of the mount found there, or NULL */
    size_t n;
    struct check checks[REPORT_CHECKS_MAX];
};

struct report {
    int64_t started_wall_ms, took_ms;
    uid_t uid; /* who the checks were made as */
    gid_t gid;
    struct host_identity host;
    enum cause cause; /* of a failure that is no mount's, with its words: */
    char message[512];
    size_t n;
    struct mount_report mounts[CONFIG_MOUNTS_MAX];
};

void report_release(struct report *report);

struct check *report_add(struct mount_report *mount, const char *id, enum verdict verdict,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));
struct check *report_fail(struct mount_report *mount, const char *id, enum cause cause,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));
void report_fix(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_detail(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A failure of the gate as a whole; the first one stays. */
void report_fail_all(struct report *report, enum cause cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum cause report_cause(const struct report *report); /* CAUSE_NONE: ready */
void report_print_checks(const struct report *report, FILE *out);
void report_print_answer(const struct report *report, FILE *out);
json_t *report_to_json(const struct report *report);

#endif
