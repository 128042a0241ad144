/* Locks on real files, with real workers and the real clock, and a client that notes what it hears.
 * The promise is as short as the margin allows. */
#ifndef TESTS_UNIT_SIDECAR_LOCKS_FIXTURE_H
#define TESTS_UNIT_SIDECAR_LOCKS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"
#include "sidecar/lock_file.h"
#include "sidecar/locks.h"
#include "sidecar/promise.h"

enum { FENCE_MS = PROMISE_MARGIN_MS + 600, PATIENCE_MS = 30 * 1000 };

static char root[64];
static struct settings settings;
static struct place place;
static struct event_base *base;
static struct work_pool *calls, *names, *proofs;
static struct locks *locks;
static unsigned released, holding;
static char released_name[64];

/* What a client heard. */
struct client {
    struct lock_hold *hold;
    unsigned waiting, granted, valid, lost, ended;
    struct lock_token token;
    int64_t valid_until_ms, granted_ms, ended_ms;
    enum lock_end end;
    uint32_t exit_status;
    int error;
    char holder[LOCK_TEXT_MAX + 1];
};

static inline void on_waiting(void *arg, unsigned position, const struct lock_record *holder)
{
    struct client *client = arg;
    client->waiting = position;
    snprintf(client->holder, sizeof(client->holder), "%s", holder ? holder->task : "");
}

static inline void on_granted(void *arg, const struct lock_token *token, int64_t valid_until_ms)
{
    struct client *client = arg;
    client->granted++;
    client->token = *token;
    client->valid_until_ms = valid_until_ms;
    client->granted_ms = clock_now_ms();
}

static inline void on_valid(void *arg, int64_t valid_until_ms)
{
    struct client *client = arg;
    assert_true(valid_until_ms >= client->valid_until_ms);
    client->valid++;
    client->valid_until_ms = valid_until_ms;
}

static inline void on_lost(void *arg, const char *why, int64_t valid_until_ms)
{
    struct client *client = arg;
    client->lost++;
}

static inline void on_ended(void *arg, enum lock_end end, uint32_t exit_status,
                            const struct error *err)
{
    struct client *client = arg;
    client->ended++;
    client->ended_ms = clock_now_ms();
    client->end = end;
    client->exit_status = exit_status;
    client->error = err ? err->code : 0;
}

static const struct lock_client_ops ops = {on_waiting, on_granted, on_valid, on_lost, on_ended};

static inline void on_pool(evutil_socket_t fd, short what, void *arg)
{
    work_pool_dispatch(arg);
}

static inline void on_released(void *arg, const char *name, uint64_t n)
{
    released++;
    snprintf(released_name, sizeof(released_name), "%s", name);
}

static inline void on_holding(void *arg, bool any)
{
    holding += any;
}

static inline struct work_pool *open_pool(struct event **ret_event)
{
    struct work_pool *pool;
    assert_int_equal(work_pool_open("test", 2, 64, &pool), 0);
    *ret_event = event_new(base, work_pool_fd(pool), EV_READ | EV_PERSIST, on_pool, pool);
    event_add(*ret_event, NULL);
    return pool;
}

static struct event *events[3];

static inline struct locks *new_locks(unsigned max, int64_t proof_interval_ms)
{
    struct locks *opened;
    const struct locks_options options = {
        .base = base,
        .place = &place,
        .calls = calls,
        .names = names,
        .proofs = proofs,
        .fence_ms = FENCE_MS,
        .proof_interval_ms = proof_interval_ms,
        .max = max,
        .zone = "zone-a",
        .released = on_released,
        .holding = on_holding,
    };
    assert_int_equal(locks_new(&options, &opened), 0);
    return opened;
}

static inline struct locks *open_locks(unsigned max, int64_t proof_interval_ms)
{
    struct locks *opened = new_locks(max, proof_interval_ms);
    locks_set_ready(opened, 7, false);
    return opened;
}

static inline int setup(void **state)
{
    strcpy(root, "/tmp/test_locks.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0 || mkdir(".efs-sidecar", 0755) < 0)
        return -1;
    static char state_dir[] = ".efs-sidecar", task_name[] = "me", none[] = "";
    settings = (struct settings){
        .state_dir = state_dir, .state_mount = none, .state_gid = -1, .task_name = task_name};
    place = (struct place){.settings = &settings, .path = root, .name = "t", .writable = true};
    base = event_base_new();
    calls = open_pool(&events[0]);
    names = open_pool(&events[1]);
    proofs = open_pool(&events[2]);
    locks = open_locks(4, 100);
    released = holding = 0;
    return 0;
}

static inline int teardown(void **state)
{
    char command[128];
    work_pool_close(calls, 5000);
    work_pool_close(names, 5000);
    work_pool_close(proofs, 5000);
    locks_free(locks);
    for (int i = 0; i < 3; i++)
        event_free(events[i]);
    event_base_free(base);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static inline void run_ms(int64_t ms)
{
    int64_t until_ms = clock_now_ms() + ms;
    while (clock_now_ms() < until_ms) {
        event_base_loopexit(base, &(struct timeval){.tv_usec = 5000});
        event_base_dispatch(base);
    }
}

#define run_until(condition)                                                                       \
    do {                                                                                           \
        int64_t until_ms_ = clock_now_ms() + PATIENCE_MS;                                          \
        while (!(condition)) {                                                                     \
            assert_true(clock_now_ms() < until_ms_);                                               \
            run_ms(5);                                                                             \
        }                                                                                          \
    } while (0)

static inline int ask_how(struct client *client, const char *name, int64_t wait_ms, bool once)
{
    struct error err;
    *client = (struct client){0};
    const struct lock_request request = {
        .name = name,
        .purpose = "test",
        .deadline_ms = wait_ms < 0 ? CLOCK_NEVER : clock_now_ms() + wait_ms,
        .once = once,
    };
    return locks_request(locks, &request, &ops, client, &client->hold, &err);
}

static inline void ask(struct client *client, const char *name, int64_t wait_ms)
{
    assert_int_equal(ask_how(client, name, wait_ms, false), 0);
}

static inline void give_back(struct client *client)
{
    lock_hold_release(client->hold, false, 0);
    run_until(client->ended);
    assert_int_equal(client->end, LOCK_END_RELEASED);
}

/* Another host, as far as the file is concerned. */
static inline int rival(const char *name)
{
    int fd;
    struct error err;
    assert_int_equal(lock_file_open(&place, name, false, &fd, &err), 0);
    assert_int_equal(lock_file_take(fd), 0);
    return fd;
}

#define WITH_LOCKS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
