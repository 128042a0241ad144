#include "sidecar/cache_copies.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/test_hook.h"

enum { YIELD_MOST = 256 }; /* copies in one turn */

/* ---- open and close ---- */

static struct cache_copy *copy_of(struct sieve_node *node)
{
    return (struct cache_copy *)(void *)((char *)node - offsetof(struct cache_copy, sieve));
}

static void note_hit(struct cache_copies *copies, struct cache_copy *copy)
{
    if (!cache_map_take_visit(copies->link, copy->slot))
        return;
    copy->visited = true;
    copy->hit_ms = clock_now_ms();
}

static bool was_visited(void *arg, struct sieve_node *node)
{
    struct cache_copy *copy = copy_of(node);
    note_hit(arg, copy);
    bool visited = copy->visited;
    copy->visited = false;
    return visited;
}

int cache_copies_open(const struct cache_options *options, struct cache_copies *copies,
                      struct error *err)
{
    const struct settings *settings = options->settings;
    const struct cache_store_options where = {.settings = settings, .name = options->name};
    uint32_t slots = cache_map_slots_for(settings->cache_files);
    *copies = (struct cache_copies){.settings = settings, .rules = options->rules};
    sieve_init(&copies->sieve, was_visited, copies);
    for (size_t i = 0; i < CACHE_RULES_MAX; i++)
        TAILQ_INIT(&copies->due[i]);
    int r = cache_store_open(&where, &copies->store, err);
    if (r < 0)
        return r;
    if (settings->cache_pin_switch &&
        (r = cache_versions_new(copies->store, options->name, &copies->versions)) < 0)
        return error_set_errno(err, -r, "cache.dir: %s/" CACHE_VERSIONS " cannot be made",
                               settings->cache_dir);
    r = cache_index_new(slots, CACHE_PROBES, &copies->index);
    if (r == 0)
        r = ghost_new((size_t)settings->cache_files * 2, &copies->ghost);
    if (r == 0)
        r = cache_map_open(cache_store_control(copies->store), options->name, slots,
                           &options->source.root, &copies->link);
    if (r < 0)
        return error_set_errno(err, -r, "cache.dir: %s/" CACHE_CONTROL "/%s.map cannot be made",
                               settings->cache_dir, options->name);
    return 0;
}

void cache_copies_close(struct cache_copies *copies)
{
    cache_map_close(copies->link);
    cache_versions_free(copies->versions);
    cache_index_free(copies->index);
    ghost_free(copies->ghost);
    cache_store_close(copies->store);
}

/* ---- one copy ---- */

static size_t rule_number(const struct cache_copies *copies, const struct cache_rule *rule)
{
    return (size_t)(rule - copies->rules->of);
}

static enum cache_tree tree_of(const struct cache_rule *rule)
{
    return rule->mode == CACHE_VALIDATE ? CACHE_TREE_VALIDATE : CACHE_TREE_PATHS;
}

static uint64_t fresh_until_ms(const struct cache_copy *copy)
{
    if (copy->rule->mode != CACHE_BOUNDED)
        return CACHE_FOREVER;
    return (uint64_t)(copy->proven_ms + copy->rule->bound_ms);
}

struct cache_copy *cache_copies_find(const struct cache_copies *copies, uint64_t hash,
                                     const char *path)
{
    return cache_index_find(copies->index, hash, path);
}

static void stamp(struct cache_copies *copies, struct cache_copy *copy, int64_t sent_ms)
{
    struct cache_due *due = &copies->due[rule_number(copies, copy->rule)];
    copy->proven_ms = sent_ms;
    if (copy->rule->mode == CACHE_BOUNDED)
        TAILQ_INSERT_TAIL(due, copy, due);
}

static void unstamp(struct cache_copies *copies, struct cache_copy *copy)
{
    if (copy->rule->mode == CACHE_BOUNDED)
        TAILQ_REMOVE(&copies->due[rule_number(copies, copy->rule)], copy, due);
}

static void list(struct cache_copies *copies, struct cache_copy *copy, uint32_t mark)
{
    cache_map_put(copies->link, copy->slot, copy->hash, copy->rule->mode, &copy->identity,
                  fresh_until_ms(copy), mark);
    copy->listed = true;
}

void cache_copies_renew(struct cache_copies *copies, struct cache_copy *copy, int64_t sent_ms,
                        uint32_t mark)
{
    unstamp(copies, copy);
    stamp(copies, copy, sent_ms);
    if (copy->listed)
        cache_map_renew(copies->link, copy->slot, fresh_until_ms(copy), mark);
    else
        list(copies, copy, mark);
}

void cache_copies_doubt(struct cache_copies *copies, struct cache_copy *copy)
{
    if (copy->listed)
        cache_map_drop(copies->link, copy->slot);
    copy->listed = false;
}

int64_t cache_copies_hit_ms(struct cache_copies *copies, struct cache_copy *copy)
{
    note_hit(copies, copy);
    return copy->hit_ms;
}

static void dir_emptied(void *arg, const char *path)
{
    struct cache_copies *copies = arg;
    cache_store_remove_dir(copies->store, path);
    cache_store_give_back(copies->store, CACHE_DIR_COST);
}

/* Of a copy that is no longer at its path. A version may have its file still. */
static void release(struct cache_copies *copies, const struct cache_copy *copy)
{
    if (copy->pinned && copies->versions)
        cache_versions_hold(copies->versions, copy->charge_bytes);
    else
        cache_store_give_back(copies->store, copy->charge_bytes);
}

static void drop(struct cache_copies *copies, struct cache_copy *copy)
{
    char path[PATH_MAX];
    size_t rule = rule_number(copies, copy->rule);
    cache_copies_doubt(copies, copy);
    cache_store_remove(copies->store, tree_of(copy->rule), cache_copy_path(copy, path));
    if (copy->pinned)
        cache_store_remove(copies->store, CACHE_TREE_PATHS, path);
    else
        sieve_remove(&copies->sieve, &copy->sieve);
    release(copies, copy);
    unstamp(copies, copy);
    copies->files--;
    copies->of_rule[rule].files--;
    copies->of_rule[rule].bytes -= copy->identity.size;
    cache_index_remove(copies->index, copy, dir_emptied, copies);
}

void cache_copies_remove(struct cache_copies *copies, struct cache_copy *copy)
{
    ghost_note(copies->ghost, copy->hash);
    drop(copies, copy);
}

uint64_t cache_copies_remove_under(struct cache_copies *copies, const char *path)
{
    uint64_t n = 0;
    for (struct cache_copy *copy; (copy = cache_index_first_under(copies->index, path)); n++)
        cache_copies_remove(copies, copy);
    return n;
}

/* ---- room ---- */

uint64_t cache_copies_cost(const char *path, uint64_t size)
{
    uint64_t cost = cache_store_cost(size);
    for (const char *p = path; (p = strchr(p, '/')); p++)
        cost += CACHE_DIR_COST;
    return cost;
}

/* What it gives; 0: there is none. */
static uint64_t evict_one(struct cache_copies *copies)
{
    struct sieve_node *node = sieve_choose(&copies->sieve);
    if (!node)
        return 0;
    struct cache_copy *copy = copy_of(node);
    uint64_t bytes = copy->charge_bytes;
    drop(copies, copy);
    copies->evictions++;
    return bytes;
}

/* When the volume is short of space for others, a file takes the place of no more than its own
 * size. */
int cache_copies_make_room(struct cache_copies *copies, uint64_t bytes)
{
    uint64_t freed = 0;
    for (;;) {
        bool full =
            copies->files + copies->pending_files >= (uint64_t)copies->settings->cache_files;
        int r = full ? -ENOSPC : cache_store_reserve(copies->store, bytes);
        if (r == 0)
            break;
        if (r == -EAGAIN || r == -EFBIG || (r == -EDQUOT && freed >= bytes))
            return r;
        uint64_t more = evict_one(copies);
        if (more == 0) /* when the others are there, they can make room */
            return copies->pending_files > 0 ? -EAGAIN : -ENOSPC;
        freed += more;
    }
    copies->pending_files++;
    return 0;
}

void cache_copies_give_back(struct cache_copies *copies, uint64_t bytes)
{
    copies->pending_files--;
    cache_store_settle(copies->store, bytes, 0);
}

bool cache_copies_yield(struct cache_copies *copies)
{
    uint64_t needed = cache_store_shortage(copies->store), freed = 0;
    for (unsigned n = 0; freed < needed && n < YIELD_MOST; n++) {
        uint64_t more = evict_one(copies);
        if (more == 0)
            break;
        freed += more;
    }
    return freed < needed;
}

/* ---- a new one ---- */

/* What was a file may be a directory now, and the other way round. */
static void clear_way(struct cache_copies *copies, const char *path)
{
    char above[CACHE_PATH_MAX + 1];
    cache_copies_remove_under(copies, path);
    for (const char *end = path; (end = strchr(end, '/')); end++) {
        size_t length = (size_t)(end - path);
        *(char *)mempcpy(above, path, length) = '\0';
        struct cache_copy *copy = cache_copies_find(copies, cache_hash(above, length), above);
        if (copy)
            cache_copies_remove(copies, copy);
    }
}

/* Of the reservation, what the file and its new directories fill is kept. */
static int enter_index(struct cache_copies *copies, struct cache_job *job,
                       struct cache_copy **ret_copy)
{
    size_t dirs = cache_index_dirs(copies->index);
    int r = cache_index_add(copies->index, job->hash, job->path, ret_copy);
    if (r < 0)
        return r;
    uint64_t file_cost = cache_store_cost(job->sight.identity.size);
    dirs = cache_index_dirs(copies->index) - dirs;
    (*ret_copy)->charge_bytes = file_cost;
    cache_store_settle(copies->store, job->reserved_bytes, file_cost + dirs * CACHE_DIR_COST);
    copies->pending_files--;
    return 0;
}

static void fill_in(struct cache_copies *copies, struct cache_copy *copy,
                    const struct cache_sight *sight, bool pinned, const struct cache_rule *rule)
{
    size_t number = rule_number(copies, rule);
    copy->rule = rule;
    copy->identity = sight->identity;
    copy->readers = sight->rights.readers;
    copy->hit_ms = clock_now_ms();
    stamp(copies, copy, sight->sent_ms);
    copy->pinned = pinned;
    if (!copy->pinned)
        sieve_insert(&copies->sieve, &copy->sieve);
    copies->files++;
    copies->of_rule[number].files++;
    copies->of_rule[number].bytes += copy->identity.size;
}

/* Programs that go by the path find a pinned file whatever its mode is. */
static int place(struct cache_copies *copies, const struct cache_copy *copy,
                 const struct cache_job *job)
{
    int r = 0;
    if (copy->pinned && tree_of(copy->rule) != CACHE_TREE_PATHS)
        r = cache_store_place_link(copies->store, job->tmp_name, tree_of(copy->rule), job->path);
    if (r == 0)
        r = cache_store_place(copies->store, job->tmp_name,
                              copy->pinned ? CACHE_TREE_PATHS : tree_of(copy->rule), job->path);
    test_hook_step("fill", 8);
    return r;
}

/* The new file takes the place of the old one, whoever looks finds one of them. */
static int replace(struct cache_copies *copies, struct cache_copy *copy, struct cache_job *job)
{
    size_t number = rule_number(copies, copy->rule);
    uint64_t file_cost = cache_store_cost(job->sight.identity.size);
    cache_copies_doubt(copies, copy);
    int r = place(copies, copy, job);
    if (r < 0) {
        cache_store_remove_tmp(copies->store, job->tmp_name);
        cache_copies_give_back(copies, job->reserved_bytes);
        drop(copies, copy);
        return r;
    }
    release(copies, copy);
    cache_copies_give_back(copies, job->reserved_bytes - file_cost);
    copies->of_rule[number].bytes += job->sight.identity.size - copy->identity.size;
    copy->charge_bytes = file_cost;
    copy->identity = job->sight.identity;
    copy->readers = job->sight.rights.readers;
    copy->left = false;
    cache_copies_renew(copies, copy, job->sight.sent_ms, job->mark);
    return 0;
}

int cache_copies_add(struct cache_copies *copies, struct cache_job *job,
                     const struct cache_rule *rule)
{
    struct cache_copy *copy = cache_copies_find(copies, job->hash, job->path);
    if (copy && copy->pinned)
        return replace(copies, copy, job);
    clear_way(copies, job->path);
    int r = enter_index(copies, job, &copy);
    if (r < 0) {
        cache_store_remove_tmp(copies->store, job->tmp_name);
        cache_copies_give_back(copies, job->reserved_bytes);
        return r;
    }
    fill_in(copies, copy, &job->sight, job->pinned, rule);
    r = place(copies, copy, job);
    if (r < 0) {
        cache_store_remove_tmp(copies->store, job->tmp_name);
        drop(copies, copy);
        return r;
    }
    list(copies, copy, job->mark);
    test_hook_step("fill", 9);
    return 0;
}

static int keep_left(struct cache_copies *copies, const char *path, uint64_t size,
                     struct cache_copy **ret_copy)
{
    struct cache_copy *copy;
    size_t dirs = cache_index_dirs(copies->index);
    uint64_t hash = cache_hash(path, strlen(path)), file_cost = cache_store_cost(size);
    int r = copies->files + copies->pending_files >= (uint64_t)copies->settings->cache_files
                ? -ENOSPC
                : cache_index_add(copies->index, hash, path, &copy);
    if (r < 0)
        return r;
    dirs = cache_index_dirs(copies->index) - dirs;
    r = cache_store_keep(copies->store, file_cost + dirs * CACHE_DIR_COST);
    if (r < 0) {
        cache_index_remove(copies->index, copy, NULL, NULL);
        return r;
    }
    copy->charge_bytes = file_cost;
    *ret_copy = copy;
    return 0;
}

int cache_copies_restore(struct cache_copies *copies, const char *path,
                         const struct cache_identity *identity, enum cache_readers readers)
{
    const struct cache_sight seen = {.identity = *identity, .rights.readers = readers};
    const struct cache_rule *rule = cache_rules_find(copies->rules, path);
    struct cache_copy *copy;
    int r = keep_left(copies, path, identity->size, &copy);
    if (r < 0)
        return r;
    fill_in(copies, copy, &seen, true, rule);
    copy->left = true;
    if (tree_of(rule) != CACHE_TREE_PATHS)
        r = cache_store_link(copies->store, path);
    if (r < 0)
        drop(copies, copy);
    return r;
}

static void add_to_version(void *arg, struct cache_copy *copy)
{
    char path[PATH_MAX];
    struct cache_copies *copies = arg;
    if (copy->pinned)
        cache_versions_add(copies->versions, cache_copy_path(copy, path));
}

int cache_copies_make_version(struct cache_copies *copies)
{
    int r = cache_versions_begin(copies->versions);
    if (r < 0)
        return r;
    cache_index_each_under(copies->index, "", add_to_version, copies);
    return cache_versions_switch(copies->versions);
}
