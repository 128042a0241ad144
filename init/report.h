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
 * The answer is the first failure of the first mount that has one, then of the task, with what AWS
 * said to explain it behind it. Ownership: a report owns the facts of its mounts; report_release().
 * A check that no longer fits is dropped: there are fewer kinds than places. An id is one of
 * check_table. Threads: one.
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

enum { REPORT_CHECKS_MAX = 48 };

struct check_info {
    const char *id, *asks;
};

extern const struct check_info check_table[]; /* ends with a NULL id */

struct check {
    const char *id;
    enum verdict verdict;
    enum cause cause;  /* of a failure */
    char message[768]; /* what and why, a sentence without full stop */
    char fix[768];     /* what to change, or "" */
    char detail[256];  /* numbers behind it, or "" */
    int64_t took_us;   /* -1: not measured */
    bool explains;     /* the failure of a check before it; no failure of its own */
};

struct mount_report {
    const struct mount_setting *asked; /* NULL: this is about the task */
    json_t *facts;                     /* of the mount found there, or NULL */
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
    char installed[512]; /* what --install put where; "" nothing */
    struct mount_report task;
    size_t n;
    struct mount_report mounts[CONFIG_MOUNTS_MAX];
};

void report_release(struct report *report);

/* Forget all checks, to make them again. */
void report_clear(struct report *report);

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

const struct check *report_first_failure(const struct mount_report *mount); /* or NULL */
enum cause report_cause(const struct report *report);                       /* CAUSE_NONE: ready */
void report_print_checks(const struct report *report, FILE *out);
void report_print_answer(const struct report *report, FILE *out);
json_t *report_to_json(const struct report *report);

const char *report_verdict_name(enum verdict verdict);
json_t *report_checks_to_json(const struct mount_report *mount);

#endif
