#include "sidecar/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/share/lock_name.h"
#include "sidecar/locks.h"

enum {
    PUTS_MAX = 16,       /* of ours in the queue of namespace operations */
    TELLINGS_MAX = 2048, /* that wait for room to be told to the peers: two of the largest sets */
};

struct publish {
    TAILQ_ENTRY(publish) link; /* in waiting, then in telling */
    struct publisher *publisher;
    publish_ended *ended; /* NULL: it was called */
    void *arg;
    uint64_t hold_id; /* 0: under no lock */
    bool counted;     /* on the hold */
    bool telling;
    unsigned jobs; /* that have it; one that waits to be started counts */
    int64_t began_ms, deadline_ms;
    struct publish_file file;
    char lock[LOCK_NAME_MAX + 1];
    char paths[]; /* from and to */
};
TAILQ_HEAD(publish_queue, publish);

struct publisher {
    struct publisher_options options;
    struct publish_queue waiting; /* prepared: to be put */
    struct publish_queue telling; /* done: to be told to the peers */
    unsigned n, n_puts, n_telling;
    uint64_t serial;
    uint32_t nonce; /* another sidecar of this task may have staged under the same token */
    bool stopping;
};

static void put_waiting(struct publisher *publisher);

/* ---- ends ---- */

/* A job, the queue of what is told, or who waits for the end has it. */
static void drop(struct publish *p)
{
    if (p->jobs > 0 || p->telling)
        return;
    p->publisher->n--;
    free(p);
}

static void end(struct publish *p, enum publish_end how, const struct error *err)
{
    const struct publisher_options *options = &p->publisher->options;
    publish_ended *ended = p->ended;
    p->ended = NULL;
    options->published(options->arg, how == PUBLISH_DONE ? clock_now_ms() - p->began_ms : -1);
    if (ended)
        ended(p->arg, how, &p->file, err);
}

/* One that is held, and not given back; else NULL. */
static struct lock_hold *find_hold(const struct publisher *publisher, uint64_t id)
{
    struct locks *locks = publisher->options.locks;
    struct lock_hold *hold = locks ? locks_find_hold(locks, id) : NULL;
    return hold && lock_hold_is_usable(hold) ? hold : NULL;
}

/* Whether it happened is known, and nothing of it lies in the stage. */
static void settle(struct publish *p)
{
    if (!p->counted || p->file.unknown || p->file.left_staged)
        return;
    p->counted = false;
    struct lock_hold *hold = locks_find_hold(p->publisher->options.locks, p->hold_id);
    if (hold)
        lock_hold_publish_end(hold);
}

/* ---- telling the peers ---- */

static void tell_waiting(struct publisher *publisher);

static void told(void *arg, int result, uint64_t sequence)
{
    tell_waiting(arg);
}

static int tell(struct publish *p)
{
    const struct publish_file *file = &p->file;
    const struct publisher_options *options = &p->publisher->options;
    const struct change change = {
        .op = CHANGE_PUBLISH,
        .flags = CHANGE_HAS_ATTRS | (file->has_digest ? CHANGE_HAS_DIGEST : 0),
        .size = file->size,
        .mtime_ns = file->mtime_ns,
        .ctime_ns = file->ctime_ns,
        .path = file->to,
        .sha256 = file->sha256,
    };
    uint8_t payload[CHANGE_ENCODED_MAX];
    int n = change_encode(&change, payload, sizeof(payload));
    return n < 0 ? n : options->announce(options->arg, payload, (size_t)n, told, p->publisher);
}

/* Where nobody can tell it now the peers look again when somebody can: that is the watcher's
 * business. */
static void tell_waiting(struct publisher *publisher)
{
    struct publish *p;
    while ((p = TAILQ_FIRST(&publisher->telling)) && tell(p) != -ENOBUFS) {
        TAILQ_REMOVE(&publisher->telling, p, link);
        publisher->n_telling--;
        p->telling = false;
        drop(p);
    }
}

static void tell_soon(struct publish *p)
{
    struct publisher *publisher = p->publisher;
    if (publisher->n_telling == TELLINGS_MAX)
        return; /* the events of the rename are told, if its directory is watched */
    p->telling = true;
    publisher->n_telling++;
    TAILQ_INSERT_TAIL(&publisher->telling, p, link);
}

/* ---- putting ---- */

static void conclude(struct publish *p, int result)
{
    settle(p);
    if (result == 0)
        tell_soon(p);
    end(p,
        result == 0       ? PUBLISH_DONE
        : p->file.unknown ? PUBLISH_UNKNOWN
                          : PUBLISH_FAILED,
        &p->file.err);
    tell_waiting(p->publisher);
}

static void say_not_published(const struct publish *p, struct error *err)
{
    error_set(err, ETIMEDOUT, "%s did not answer in time: %s was not published, and will not be",
              p->publisher->options.place->path, p->file.to);
}

static void end_late(struct publish *p)
{
    struct error err;
    if (publish_file_cancel(&p->file)) {
        say_not_published(p, &err);
        end(p, PUBLISH_FAILED, &err);
        return;
    }
    error_set(&err, ETIMEDOUT,
              "%s did not answer in time: %s may be published or not, and it may still happen",
              p->publisher->options.place->path, p->file.to);
    end(p, PUBLISH_UNKNOWN, &err);
}

static int put_run(void *arg)
{
    struct publish *p = arg;
    return publish_file_put(&p->file);
}

static void put_done(void *arg, enum work_outcome outcome, int result)
{
    struct publish *p = arg;
    struct publisher *publisher = p->publisher;
    struct error err;
    publisher->n_puts--;
    if (outcome == WORK_DONE) {
        conclude(p, result);
    } else if (outcome == WORK_UNKNOWN) {
        end_late(p);
    } else {
        settle(p);
        say_not_published(p, &err);
        end(p, PUBLISH_FAILED, &err);
    }
    put_waiting(publisher);
}

static void put_late(void *arg, int result)
{
    struct publish *p = arg;
    settle(p);
    if (result == 0) {
        log_info("%s on %s was published after all", p->file.to, p->publisher->options.place->path);
        tell_soon(p);
        tell_waiting(p->publisher);
    }
}

static void job_released(void *arg)
{
    struct publish *p = arg;
    p->jobs--;
    drop(p);
}

static const struct job put_job = {
    .what = "publishing a file",
    .namespace_op = true,
    .run = put_run,
    .done = put_done,
    .late = put_late,
    .release = job_released,
};

/* The hold as it is now: its time goes on with each proof. */
static int join_hold(struct publish *p, struct error *err)
{
    struct lock_hold *hold = p->hold_id ? find_hold(p->publisher, p->hold_id) : NULL;
    if (!p->hold_id)
        return 0;
    if (!hold)
        return error_set(err, ESTALE,
                         "lock \"%s\" was given back or lost before %s could be "
                         "published",
                         p->lock, p->file.to);
    p->file.valid_until_ms = lock_hold_valid_until_ms(hold);
    lock_hold_publish_begin(hold);
    p->counted = true;
    return 0;
}

/* 0: the job has it, which waited before; -EAGAIN: it waits on; else it has ended. */
static int start_put(struct publish *p)
{
    struct publisher *publisher = p->publisher;
    struct error err;
    int r = join_hold(p, &err);
    if (r == 0) {
        r = work_pool_submit(publisher->options.names, &put_job, p, p->deadline_ms);
        if (r == 0) {
            publisher->n_puts++;
            return 0;
        }
        settle(p);
        if (r == -EAGAIN)
            return r;
        error_set_errno(&err, -r, "%s cannot be published", p->file.to);
    }
    end(p, PUBLISH_FAILED, &err);
    return r;
}

static void put_waiting(struct publisher *publisher)
{
    struct publish *p;
    while (publisher->n_puts < PUTS_MAX && (p = TAILQ_FIRST(&publisher->waiting))) {
        TAILQ_REMOVE(&publisher->waiting, p, link);
        int r = start_put(p);
        if (r == -EAGAIN) {
            TAILQ_INSERT_HEAD(&publisher->waiting, p, link);
            return;
        }
        if (r < 0)
            job_released(p);
    }
}

static void expire_waiting(struct publisher *publisher)
{
    int64_t now_ms = clock_now_ms();
    struct error err;
    struct publish *p = TAILQ_FIRST(&publisher->waiting);
    for (struct publish *next; p; p = next) {
        next = TAILQ_NEXT(p, link);
        if (now_ms < p->deadline_ms)
            continue;
        TAILQ_REMOVE(&publisher->waiting, p, link);
        say_not_published(p, &err);
        end(p, PUBLISH_FAILED, &err);
        job_released(p);
    }
}

/* ---- preparing ---- */

static int prepare_run(void *arg)
{
    struct publish *p = arg;
    return publish_file_prepare(&p->file);
}

static void prepare_done(void *arg, enum work_outcome outcome, int result)
{
    struct publish *p = arg;
    struct error err;
    if (outcome == WORK_DONE && result < 0) {
        end(p, PUBLISH_FAILED, &p->file.err);
    } else if (outcome != WORK_DONE) {
        say_not_published(p, &err);
        end(p, PUBLISH_FAILED, &err);
    } else {
        p->jobs++;
        TAILQ_INSERT_TAIL(&p->publisher->waiting, p, link);
        put_waiting(p->publisher);
    }
}

static const struct job prepare_job = {
    .what = "reading a file that is to be published",
    .run = prepare_run,
    .done = prepare_done,
    .release = job_released,
};

/* ---- requests ---- */

static int check(const struct publisher *publisher, const struct publish_request *request,
                 struct error *err)
{
    const struct publish_file paths = {
        .place = publisher->options.place, .from = request->from, .to = request->to};
    if (publisher->stopping)
        return error_set(err, ESHUTDOWN, "the sidecar is stopping");
    if (publisher->n - publisher->n_telling >= PUBLISHES_MAX)
        return error_set(err, ENOBUFS,
                         "%d files are being published on %s already, the most that "
                         "can",
                         PUBLISHES_MAX, publisher->options.place->path);
    if (request->hold_id && !find_hold(publisher, request->hold_id))
        return error_set(err, ESTALE, "the lock was given back or lost: %s was not published",
                         request->to);
    return publish_file_check(&paths, err);
}

static void use_hold(struct publish *p, const struct lock_hold *hold)
{
    struct publisher *publisher = p->publisher;
    char token[LOCK_TOKEN_TEXT];
    p->hold_id = lock_hold_id(hold);
    snprintf(p->lock, sizeof(p->lock), "%s", lock_hold_name(hold));
    p->file.lock = p->lock;
    snprintf(p->file.staged, sizeof(p->file.staged), "%s-%08" PRIx32 "-%" PRIu64,
             lock_token_format(lock_hold_token(hold), token), publisher->nonce,
             ++publisher->serial);
}

static void fill(struct publish *p, const struct publish_request *request, size_t from_bytes)
{
    const struct settings *settings = p->publisher->options.place->settings;
    char *to = p->paths + from_bytes;
    memcpy(p->paths, request->from, from_bytes);
    memcpy(to, request->to, strlen(request->to) + 1);
    p->file = (struct publish_file){
        .place = p->publisher->options.place,
        .from = p->paths,
        .to = to,
        .replace = request->replace,
        .mkdir = request->mkdir,
        .mode = request->mode ? request->mode : settings->publish_mode,
        .digest_most_bytes = request->digest ? (uint64_t)settings->publish_digest_max_bytes : 0,
    };
    if (request->hold_id)
        use_hold(p, find_hold(p->publisher, request->hold_id));
}

int publisher_submit(struct publisher *publisher, const struct publish_request *request,
                     publish_ended *ended, void *arg, struct error *err)
{
    int r = check(publisher, request, err);
    if (r < 0)
        return r;
    size_t from_bytes = strlen(request->from) + 1, to_bytes = strlen(request->to) + 1;
    struct publish *p = calloc(1, sizeof(*p) + from_bytes + to_bytes);
    if (!p)
        return error_set(err, ENOMEM, "there is no memory to publish %s", request->to);
    p->publisher = publisher;
    p->ended = ended;
    p->arg = arg;
    p->began_ms = clock_now_ms();
    p->deadline_ms = request->deadline_ms;
    fill(p, request, from_bytes);
    r = work_pool_submit(publisher->options.files, &prepare_job, p, p->deadline_ms);
    if (r < 0) {
        free(p);
        return error_set_errno(err, -r, "%s cannot be published", request->to);
    }
    p->jobs = 1;
    publisher->n++;
    return 0;
}

/* ---- the publisher ---- */

int publisher_new(const struct publisher_options *options, struct publisher **ret_publisher)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));
    if (!publisher)
        return -ENOMEM;
    publisher->options = *options;
    TAILQ_INIT(&publisher->waiting);
    TAILQ_INIT(&publisher->telling);
    if (getrandom(&publisher->nonce, sizeof(publisher->nonce), 0) !=
        (ssize_t)sizeof(publisher->nonce)) {
        free(publisher);
        return -EIO;
    }
    *ret_publisher = publisher;
    return 0;
}

static void free_queue(struct publish_queue *queue)
{
    for (struct publish *p; (p = TAILQ_FIRST(queue)); free(p))
        TAILQ_REMOVE(queue, p, link);
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    free_queue(&publisher->waiting);
    free_queue(&publisher->telling);
    free(publisher);
}

const struct publisher_options *publisher_options(const struct publisher *publisher)
{
    return &publisher->options;
}

void publisher_tick(struct publisher *publisher)
{
    expire_waiting(publisher);
    put_waiting(publisher);
    tell_waiting(publisher);
}

void publisher_stop(struct publisher *publisher)
{
    publisher->stopping = true;
}

bool publisher_is_idle(const struct publisher *publisher)
{
    return publisher->n == 0;
}
