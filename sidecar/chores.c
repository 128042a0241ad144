#include "sidecar/chores.h"

#include <stdlib.h>

#include "lib/clock.h"

static int run_call(void *arg)
{
    struct chore_call *call = arg;
    int64_t started_us = clock_now_us();
    int r = call->chores->kinds[call->chore].run(call);
    call->took_us = clock_now_us() - started_us;
    return r;
}

static void call_done(void *arg, enum work_outcome outcome, int result)
{
    struct chore_call *call = arg;
    struct chores *chores = call->chores;
    chores->of[call->chore].in_flight = false;
    if (outcome == WORK_DONE)
        chores->kinds[call->chore].done(chores->owner, call);
}

void chores_init(struct chores *chores, const struct chore_kind kinds[], size_t n, void *owner,
                 void (*prepare)(void *owner, struct chore_call *call))
{
    *chores = (struct chores){.kinds = kinds, .n = n, .owner = owner, .prepare = prepare};
    for (size_t i = 0; i < n; i++) {
        chores->of[i].next_ms = CLOCK_NEVER;
        chores->of[i].job = (struct job){
            .what = kinds[i].what,
            .namespace_op = kinds[i].namespace_op,
            .run = run_call,
            .done = call_done,
            .release = free,
        };
    }
}

void chores_plan(struct chores *chores, unsigned chore, int64_t in_ms)
{
    chores->of[chore].next_ms = clock_now_ms() + in_ms;
}

static void submit(struct chores *chores, unsigned chore)
{
    struct chore_call *call = calloc(1, sizeof(*call));
    if (!call)
        return; /* it is due still */
    call->chores = chores;
    call->chore = chore;
    chores->prepare(chores->owner, call);
    if (work_pool_submit(chores->pool, &chores->of[chore].job, call, CLOCK_NEVER) < 0) {
        free(call);
        return;
    }
    chores->of[chore].in_flight = true;
    chores->of[chore].next_ms = CLOCK_NEVER;
}

void chores_start_due(struct chores *chores, bool (*may_start)(const void *owner, unsigned chore))
{
    int64_t now_ms = clock_now_ms();
    for (unsigned i = 0; i < chores->n; i++)
        if (!chores->of[i].in_flight && now_ms >= chores->of[i].next_ms &&
            may_start(chores->owner, i))
            submit(chores, i);
}

bool chores_in_flight(const struct chores *chores, unsigned chore)
{
    return chores->of[chore].in_flight;
}
