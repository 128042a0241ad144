/*
 * agent: what the ECS agent is asked and told about this task, while it matters: whether the task
 * is to stop (drain.h), and that it has work (protection.h, with task.protection).
 *
 *     r = agent_open(base, &settings, mounts, &agent, &err);     // NULL: there is no agent
 *     agent_close(agent, timeout_ms);
 *
 * Threads: the loop's. The agent is asked by a thread of its own. -EBUSY: it was left behind.
 */
#ifndef SIDECAR_AGENT_H
#define SIDECAR_AGENT_H

#include <event2/event.h>

#include "lib/error.h"
#include "lib/settings.h"

struct agent;
struct mounts;

int agent_open(struct event_base *base, const struct settings *settings, struct mounts *mounts,
               struct agent **ret_agent, struct error *err);
int agent_close(struct agent *agent, int64_t timeout_ms); /* NULL is fine */

#endif
