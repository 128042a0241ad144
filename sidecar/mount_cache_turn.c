#include "sidecar/mount_cache_turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/clock.h"
#include "lib/log.h"

enum {
    SUBMIT_RETRY_MS = 1000,
    CHANGES_BYTES = 64 * 1024, /* in one turn; the rest waits in the feed */
};

void mount_cache_kick(struct mount_cache *own)
{
    event_active(own->timer, EV_TIMEOUT, 0);
}

/* ---- fetching ---- */

struct fetch_call {
    struct mount_cache *own;
    struct cache_job *job;
};

static int run_fetch(void *arg)
{
    const struct fetch_call *call = arg;
    cache_job_run(call->job);
    return 0;
}

static void fetch_done(void *arg, enum work_outcome outcome, int result)
{
    const struct fetch_call *call = arg;
    struct mount_cache *own = call->own;
    if (outcome != WORK_DONE)
        return;
    own->fetching--;
    TAILQ_INSERT_TAIL(&own->finished, call->job, queue);
    if (call->job->result == -EXDEV)
        own->moved = true;
    mount_cache_kick(own);
}

static void fetch(struct mount_cache *own, struct cache_job *job)
{
    static const struct job fetch_job = {
        .what = "copying a file into the cache",
        .run = run_fetch,
        .done = fetch_done,
        .release = free,
    };
    struct fetch_call *call = calloc(1, sizeof(*call));
    if (call)
        *call = (struct fetch_call){.own = own, .job = job};
    if (call && work_pool_submit(own->fetchers, &fetch_job, call, CLOCK_NEVER) == 0) {
        own->fetching++;
        return;
    }
    free(call);
    job->result = -ENOMEM;
    TAILQ_INSERT_TAIL(&own->finished, job, queue);
}

/* ---- a turn ---- */

struct turn_call {
    struct mount_cache *own;
    struct cache *cache;
    bool doubt_all, begins_to_hear;
    size_t changes_bytes;
    struct job_list finished, taken;
    unsigned take_max;
    struct command_list commands;
    struct cache_stats stats;
    int64_t next_ms;
    uint8_t changes[CHANGES_BYTES]; /* a u32 of length before each */
};

static void apply_changes(struct turn_call *call)
{
    struct change change;
    const uint8_t *p = call->changes, *end = p + call->changes_bytes;
    while (p < end) {
        uint32_t length = get_le32(p);
        if (change_decode(p + sizeof(length), length, &change) == 0)
            cache_change(call->cache, &change);
        p += sizeof(length) + length;
    }
    if (call->doubt_all)
        cache_doubt(call->cache, "");
    if (call->begins_to_hear)
        cache_begin_to_hear(call->cache);
}

static void obey_for(struct cache *cache, struct cache_command *command, const char *path)
{
    if (command->kind == CACHE_COMMAND_EVICT)
        command->copies += cache_evict(cache, path);
    else if (cache_warm(cache, path, command->kind == CACHE_COMMAND_PIN) == 0)
        command->copies++;
    else
        command->refused++;
}

static void obey(struct turn_call *call)
{
    struct cache_command *command;
    STAILQ_FOREACH(command, &call->commands, link)
    {
        if (command->kind == CACHE_COMMAND_REPORT)
            cache_report(call->cache, command->paths, command->n_paths, &command->report);
        else
            for (size_t i = 0; i < command->n_paths; i++)
                obey_for(call->cache, command, command->paths[i]);
    }
}

static int run_turn(void *arg)
{
    struct turn_call *call = arg;
    struct cache_job *job;
    apply_changes(call);
    while ((job = TAILQ_FIRST(&call->finished))) {
        TAILQ_REMOVE(&call->finished, job, queue);
        cache_finish(call->cache, job);
    }
    obey(call);
    cache_turn(call->cache);
    for (unsigned n = 0; n < call->take_max && (job = cache_take_job(call->cache)); n++)
        TAILQ_INSERT_TAIL(&call->taken, job, queue);
    cache_stats(call->cache, &call->stats);
    call->next_ms = cache_next_ms(call->cache);
    return 0;
}

static void count_own(struct mount_cache *own)
{
    const struct cache_stats *stats = &own->stats;
    uint64_t looks = stats->looks - own->counted_looks;
    uint64_t fetches = stats->fetches - own->counted_fetches;
    uint64_t bytes = stats->fetched_bytes - own->counted_bytes;
    uint64_t reads = stats->read_calls - own->counted_reads;
    struct own_calls *const sums[] = {&own->own, &own->work->own};
    for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
        own_calls_add(sums[i], OWN_CACHE_LOOK, looks);
        own_calls_add(sums[i], OWN_CACHE_COPY, fetches);
        own_calls_add_read(sums[i], reads, bytes);
    }
    own->counted_looks += looks;
    own->counted_fetches += fetches;
    own->counted_bytes += bytes;
    own->counted_reads += reads;
}

static void wake_in(struct mount_cache *own, int64_t ms)
{
    const struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(own->timer, &in);
}

static void tell_swept(const struct mount_cache *own, const struct cache_stats *now)
{
    if (own->stats.sweeping && !now->sweeping && now->swept_files > 0)
        log_info("%llu files that an earlier sidecar left in the cache of %s are removed",
                 (unsigned long long)now->swept_files, own->work->place.path);
}

static void turn_done(void *arg, enum work_outcome outcome, int result)
{
    struct turn_call *call = arg;
    struct mount_cache *own = call->own;
    struct cache_job *job;
    struct cache_command *command;
    if (outcome != WORK_DONE)
        return;
    own->keeper_busy = false;
    tell_swept(own, &call->stats);
    own->stats = call->stats;
    if (!own->has_warmed) {
        own->has_warmed = own->stats.pins.complete;
        mount_cache_judge(own->work);
    }
    count_own(own);
    while ((job = TAILQ_FIRST(&call->taken))) {
        TAILQ_REMOVE(&call->taken, job, queue);
        fetch(own, job);
    }
    while ((command = STAILQ_FIRST(&call->commands))) {
        STAILQ_REMOVE_HEAD(&call->commands, link);
        own->n_commands--;
        command->done(command);
    }
    if (own->again || !TAILQ_EMPTY(&own->finished))
        mount_cache_kick(own);
    else
        wake_in(own, call->next_ms);
    own->again = false;
}

/* What the feed has said since the last turn, as much as fits. */
static void take_changes(struct mount_cache *own, struct turn_call *call)
{
    struct change change;
    int r = 0;
    call->doubt_all = own->changes_lost;
    own->changes_lost = false;
    while (call->changes_bytes + sizeof(uint32_t) + CHANGE_ENCODED_MAX <= CHANGES_BYTES &&
           (r = feed_next(own->work->feed, &own->reader, &change)) != 0) {
        uint8_t *p = call->changes + call->changes_bytes;
        int n = r < 0 ? -1 : change_encode(&change, p + sizeof(uint32_t), CHANGE_ENCODED_MAX);
        if (n < 0) {
            call->doubt_all = true;
            continue;
        }
        put_le32(p, (uint32_t)n);
        call->changes_bytes += sizeof(uint32_t) + (size_t)n;
    }
    own->again = r == 1; /* there may be more */
}

bool mount_cache_may_ask(const struct mount_cache *own)
{
    const struct mount_facts *facts = &own->work->facts;
    return mount_is_usable(facts) && facts->answered && facts->stalled_ms == 0 && !own->moved &&
           !own->work->stopping;
}

static void begin_turn(struct mount_cache *own)
{
    static const struct job job = {
        .what = "a turn of the cache",
        .run = run_turn,
        .done = turn_done,
        .release = free,
    };
    struct turn_call *call = malloc(sizeof(*call));
    if (!call)
        return;
    memset(call, 0, offsetof(struct turn_call, changes));
    call->own = own;
    call->cache = own->cache;
    call->take_max = mount_cache_may_ask(own) ? CACHE_FETCHES_MAX - own->fetching : 0;
    TAILQ_INIT(&call->finished);
    TAILQ_INIT(&call->taken);
    STAILQ_INIT(&call->commands);
    take_changes(own, call);
    call->begins_to_hear = own->begins_to;
    own->begins_to = false;
    TAILQ_CONCAT(&call->finished, &own->finished, queue);
    STAILQ_CONCAT(&call->commands, &own->commands);
    own->keeper_busy = true;
    if (work_pool_submit(own->keeper, &job, call, CLOCK_NEVER) == 0)
        return;
    TAILQ_CONCAT(&own->finished, &call->finished, queue);
    STAILQ_CONCAT(&own->commands, &call->commands);
    own->keeper_busy = false;
    own->changes_lost = call->doubt_all || call->changes_bytes > 0;
    own->begins_to = call->begins_to_hear;
    wake_in(own, SUBMIT_RETRY_MS);
    free(call);
}

void mount_cache_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct mount_cache *own = arg;
    if (own->keeper_busy)
        own->again = true;
    else if (own->is_open)
        begin_turn(own);
}
