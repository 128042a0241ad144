/* Claims of real files with real workers, and a client that notes what it hears. The clock stands
 * still until a test moves it. */
#ifndef TESTS_UNIT_SIDECAR_CLAIMS_FIXTURE_H
#define TESTS_UNIT_SIDECAR_CLAIMS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"
#include "sidecar/claims.h"
#include "sidecar/promise.h"

enum { FENCE_MS = 30 * 1000, START_MS = 1000 * 1000, PATIENCE_MS = 30 * 1000 };

static char root[64];
static struct settings settings;
static struct place place;
static struct event_base *base;
static struct event *pool_event;
static struct work_pool *names;
static struct claims *claims;
static bool holding;
static unsigned died;

/* What a client heard. */
struct client {
    struct claimer *claimer;
    unsigned waiting, claimed, valid, draining, ended;
    uint64_t id;
    unsigned attempts;
    char name[64];
    int64_t valid_until_ms;
    enum claimer_end end;
    int error;
};

static inline void on_waiting(void *arg)
{
    ((struct client *)arg)->waiting++;
}

static inline void on_claimed(void *arg, const struct claim_view *claim)
{
    struct client *client = arg;
    client->claimed++;
    client->id = claim->id;
    client->attempts = claim->attempts;
    client->valid_until_ms = claim->valid_until_ms;
    snprintf(client->name, sizeof(client->name), "%s", claim->name);
    assert_int_equal(access(claim->path, F_OK), 0);
}

static inline void on_valid(void *arg, int64_t valid_until_ms)
{
    struct client *client = arg;
    client->valid++;
    client->valid_until_ms = valid_until_ms;
}

static inline void on_draining(void *arg)
{
    ((struct client *)arg)->draining++;
}

static inline void on_ended(void *arg, enum claimer_end end, const struct error *err)
{
    struct client *client = arg;
    client->ended++;
    client->end = end;
    client->error = err ? err->code : 0;
}

static const struct claim_client_ops ops = {on_waiting, on_claimed, on_valid, on_draining,
                                            on_ended};

struct end {
    unsigned n;
    int r;
    enum claim_fate fate;
};

static inline void on_finished(void *arg, int r, enum claim_fate fate, const struct error *err)
{
    struct end *end = arg;
    *end = (struct end){.n = end->n + 1, .r = r, .fate = fate};
}

static inline void on_pool(evutil_socket_t fd, short what, void *arg)
{
    work_pool_dispatch(arg);
}

static inline void on_holding(void *arg, bool any)
{
    holding = any;
}

static inline void on_died(void *arg, const char *queue, const char *name, unsigned attempts)
{
    died++;
}

static inline struct owner owner_of(uint32_t epoch)
{
    return (struct owner){.generation = 7, .slot = 3, .epoch = epoch, .fence_ms = FENCE_MS};
}

static inline int setup(void **state)
{
    static char tasks[] = "tasks", task[] = "me", none[] = "", state_dir[] = ".efs-sidecar";
    strcpy(root, "/tmp/test_claims.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0 || mkdir("tasks", 0755) < 0 ||
        mkdir("tasks/me", 0755) < 0 || mkdir("in", 0755) < 0)
        return -1;
    settings = (struct settings){.tasks_dir = tasks,
                                 .task_name = task,
                                 .state_dir = state_dir,
                                 .state_mount = none,
                                 .state_gid = -1,
                                 .fence_ms = FENCE_MS,
                                 .claim_max_attempts = 3};
    place = (struct place){.settings = &settings, .path = root, .name = "t", .writable = true};
    clock_fake_set(START_MS, 0);
    base = event_base_new();
    assert_int_equal(work_pool_open("test", 2, 64, &names), 0);
    pool_event = event_new(base, work_pool_fd(names), EV_READ | EV_PERSIST, on_pool, names);
    event_add(pool_event, NULL);
    const struct claims_options options = {.base = base,
                                           .place = &place,
                                           .names = names,
                                           .fence_ms = FENCE_MS,
                                           .holding = on_holding,
                                           .died = on_died};
    holding = false;
    died = 0;
    return claims_new(&options, &claims);
}

static inline int teardown(void **state)
{
    char command[128];
    clock_fake_off();
    work_pool_close(names, 5000);
    claims_free(claims);
    event_free(pool_event);
    event_base_free(base);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

/* What is due now, and what follows from it. */
static inline void turn(void)
{
    claims_step(claims);
    event_base_loop(base, EVLOOP_NONBLOCK);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

#define run_until(condition)                                                                       \
    do {                                                                                           \
        int left_ = PATIENCE_MS;                                                                   \
        while (!(condition)) {                                                                     \
            assert_true(left_-- > 0);                                                              \
            turn();                                                                                \
        }                                                                                          \
    } while (0)

/* Nothing of it happens, however often it is looked at. */
#define never(condition)                                                                           \
    do {                                                                                           \
        for (int i_ = 0; i_ < 50; i_++) {                                                          \
            turn();                                                                                \
            assert_false(condition);                                                               \
        }                                                                                          \
    } while (0)

static inline void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static inline unsigned count(const char *pattern)
{
    char command[256];
    char number[16] = "";
    snprintf(command, sizeof(command), "ls -d %s 2>/dev/null | wc -l", pattern);
    FILE *p = popen(command, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(fgets(number, sizeof(number), p));
    pclose(p);
    return (unsigned)strtoul(number, NULL, 10);
}

static inline void ask(struct client *client, int64_t wait_ms)
{
    struct error err;
    const struct claim_request request = {
        .queue = "in", .match = "", .batch = 1, .wait_ms = wait_ms};
    *client = (struct client){0};
    assert_int_equal(claims_request(claims, &request, &ops, client, &client->claimer, &err), 0);
}

/* A slot that was proven just now. */
static inline void be_ready(uint32_t epoch)
{
    const struct owner owner = owner_of(epoch);
    claims_set_ready(claims, &owner);
    claims_proven(claims, clock_now_ms());
}

static inline struct end finish(struct client *client, enum claim_word word)
{
    struct end end = {0};
    struct error err;
    assert_int_equal(claims_finish(claims, client->id, word, on_finished, &end, &err), 0);
    run_until(end.n);
    return end;
}

#define WITH_CLAIMS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
