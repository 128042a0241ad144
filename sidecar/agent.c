#include "sidecar/agent.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/log.h"
#include "sidecar/claims.h"
#include "sidecar/drain.h"
#include "sidecar/mounts.h"
#include "sidecar/protection.h"
#include "sidecar/publish.h"

enum { TICK_MS = 1000, QUEUE = 4 };

struct agent {
    struct mounts *mounts;
    struct work_pool *pool;
    struct event *pool_event, *tick;
    bool drains, protects;
    struct drain drain;
    struct protection protection;
};

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
    work_pool_dispatch(arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct agent *agent = arg;
    bool has_claimers = false, has_work = false;
    for (size_t i = 0; i < mounts_count(agent->mounts); i++) {
        const struct claims *claims = mounts_claims(agent->mounts, i);
        const struct publisher *publisher = mounts_publisher(agent->mounts, i);
        struct claim_counts counts = {0};
        if (claims)
            claims_count(claims, &counts);
        has_claimers |= counts.claimers > 0;
        has_work |= counts.held > 0 || (publisher && !publisher_is_idle(publisher));
    }
    if (agent->protects)
        protection_step(&agent->protection, has_work);
    if (!agent->drains || !drain_step(&agent->drain, has_claimers))
        return;
    for (size_t i = 0; i < mounts_count(agent->mounts); i++)
        if (mounts_claims(agent->mounts, i))
            claims_drain(mounts_claims(agent->mounts, i));
}

static int start(struct agent *agent, struct event_base *base)
{
    const struct timeval interval = {.tv_sec = TICK_MS / 1000};
    int r = work_pool_open("agent", 1, QUEUE, &agent->pool);
    if (r < 0)
        return r;
    agent->drain.pool = agent->protection.pool = agent->pool;
    agent->pool_event =
        event_new(base, work_pool_fd(agent->pool), EV_READ | EV_PERSIST, on_pool, agent->pool);
    agent->tick = event_new(base, -1, EV_PERSIST, on_tick, agent);
    if (!agent->pool_event || event_add(agent->pool_event, NULL) < 0 || !agent->tick ||
        event_add(agent->tick, &interval) < 0)
        return -ENOMEM;
    return 0;
}

int agent_open(struct event_base *base, const struct settings *settings, struct mounts *mounts,
               struct agent **ret_agent, struct error *err)
{
    bool protects = settings->task_protection && protection_is_possible();
    if (settings->task_protection && !protects)
        log_warn("task.protection does nothing, because ECS_AGENT_URI is not set: this is no ECS "
                 "task, or its platform version or agent is too old");
    if (!drain_is_possible() && !protects)
        return 0;
    struct agent *agent = calloc(1, sizeof(*agent));
    if (!agent)
        return error_set(err, ENOMEM, "no memory for the ECS agent");
    agent->mounts = mounts;
    agent->drains = drain_is_possible();
    agent->protects = protects;
    int r = start(agent, base);
    if (r < 0) {
        agent_close(agent, 0);
        return error_set_errno(err, -r, "the ECS agent cannot be asked");
    }
    *ret_agent = agent;
    return 0;
}

int agent_close(struct agent *agent, int64_t timeout_ms)
{
    if (!agent)
        return 0;
    if (agent->tick)
        event_free(agent->tick);
    if (agent->pool_event)
        event_free(agent->pool_event);
    if (work_pool_close(agent->pool, timeout_ms) < 0)
        return -EBUSY; /* a worker still has it */
    free(agent);
    return 0;
}
