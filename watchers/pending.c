#include "watchers/pending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void pending_init(struct pending *p)
{
    memset(p, 0, sizeof(*p));
    TAILQ_INIT(&p->queue);
}

static struct pending_entry **find(struct pending *p, const struct dir *dir, const char *name,
                                   uint32_t hash)
{
    struct pending_entry **e = &p->buckets[hash % PENDING_BUCKETS];
    while (*e && ((*e)->hash != hash || (*e)->dir != dir || strcmp((*e)->text, name) != 0))
        e = &(*e)->hash_next;
    return e;
}

/* From now on a later event for the same name makes a note of its own. */
static void seal(struct pending *p, struct pending_entry *entry)
{
    if (entry->kind != PENDING_NOTE || entry->sealed)
        return;
    struct pending_entry **e = &p->buckets[entry->hash % PENDING_BUCKETS];
    while (*e != entry)
        e = &(*e)->hash_next;
    *e = entry->hash_next;
    entry->sealed = true;
}

static void seal_all(struct pending *p)
{
    struct pending_entry *entry;
    TAILQ_FOREACH(entry, &p->queue, order)
    seal(p, entry);
}

static struct pending_entry *append(struct pending *p, enum pending_kind kind, size_t text_bytes)
{
    size_t bytes = sizeof(struct pending_entry) + text_bytes;
    struct pending_entry *entry = calloc(1, bytes);
    if (!entry)
        return NULL;
    entry->kind = (uint8_t)kind;
    entry->bytes = (uint32_t)bytes;
    TAILQ_INSERT_TAIL(&p->queue, entry, order);
    p->count++;
    p->bytes += bytes;
    return entry;
}

void pending_remove(struct pending *p, struct pending_entry *entry)
{
    seal(p, entry);
    if (entry->kind == PENDING_NOTE)
        LIST_REMOVE(entry, in_dir);
    TAILQ_REMOVE(&p->queue, entry, order);
    free(entry->peer);
    p->count--;
    p->bytes -= entry->bytes;
    free(entry);
}

static bool is_mark(const struct pending_entry *entry)
{
    return entry->kind >= PENDING_PONG;
}

void pending_clear(struct pending *p)
{
    for (struct pending_entry *entry = TAILQ_FIRST(&p->queue), *next; entry; entry = next) {
        next = TAILQ_NEXT(entry, order);
        if (!is_mark(entry))
            pending_remove(p, entry);
    }
}

void pending_release(struct pending *p)
{
    while (!TAILQ_EMPTY(&p->queue))
        pending_remove(p, TAILQ_FIRST(&p->queue));
}

void pending_forget(struct pending *p, struct dir *dir)
{
    while (!LIST_EMPTY(&dir->pending))
        pending_remove(p, LIST_FIRST(&dir->pending));
}

struct pending_entry *pending_first(const struct pending *p)
{
    return TAILQ_FIRST(&p->queue);
}

/* What one note says for two events: the later word wins, but a new file stays new. */
static enum change_op merge(enum change_op old, enum change_op op)
{
    if (op == CHANGE_DELETE || op == CHANGE_PUBLISH ||
        (op == CHANGE_CREATE && old != CHANGE_PUBLISH))
        return op;
    if (old == CHANGE_CREATE || old == CHANGE_PUBLISH ||
        (old == CHANGE_MODIFY && op == CHANGE_ATTRIB))
        return old;
    return op;
}

static enum pending_origin origin_of(unsigned flags)
{
    return flags & PENDING_PEER    ? PENDING_FROM_PEER
           : flags & PENDING_QUIET ? PENDING_FROM_AGAIN
           : flags & PENDING_FOUND ? PENDING_FROM_FIND
                                   : PENDING_FROM_HERE;
}

/* The note for name in dir, merged with an earlier one; NULL in *ret: nothing is left to tell. */
static int note(struct pending *p, struct dir *dir, const char *name, enum change_op op,
                unsigned flags, struct pending_entry **ret)
{
    uint32_t hash = name_hash(dir, name);
    struct pending_entry *e = *find(p, dir, name, hash);
    if (e && op == CHANGE_DELETE && e->op == CHANGE_CREATE && e->unknown) {
        pending_remove(p, e); /* came and went: nobody has to know */
        *ret = NULL;
        return 0;
    }
    /* Whoever hears that a directory is gone forgets all below, so that must be told by itself. */
    if (e && e->op == CHANGE_DELETE && (e->is_dir || flags & PENDING_IS_DIR)) {
        seal(p, e);
        e = NULL;
    }
    if (e) {
        e->op = (uint8_t)merge(e->op, op);
        e->is_dir = flags & PENDING_IS_DIR;
        if (e->origin > origin_of(flags))
            e->origin = (uint8_t)origin_of(flags);
        *ret = e;
        return 0;
    }
    size_t name_bytes = strlen(name) + 1;
    e = append(p, PENDING_NOTE, name_bytes);
    if (!e)
        return -ENOMEM;
    memcpy(e->text, name, name_bytes);
    e->op = (uint8_t)op;
    e->is_dir = flags & PENDING_IS_DIR;
    e->unknown = flags & PENDING_UNKNOWN;
    e->origin = (uint8_t)origin_of(flags);
    e->dir = dir;
    e->hash = hash;
    e->hash_next = p->buckets[hash % PENDING_BUCKETS];
    p->buckets[hash % PENDING_BUCKETS] = e;
    LIST_INSERT_HEAD(&dir->pending, e, in_dir);
    *ret = e;
    return 0;
}

int pending_note(struct pending *p, struct dir *dir, const char *name, enum change_op op,
                 unsigned flags)
{
    struct pending_entry *e;
    return note(p, dir, name, op, flags, &e);
}

static int set_peer(struct pending *p, struct pending_entry *e, const struct change *change)
{
    const char *observer = change->observer ? change->observer : "";
    size_t observer_bytes = strlen(observer) + 1;
    struct pending_peer *peer = malloc(sizeof(*peer) + observer_bytes);
    if (!peer)
        return -ENOMEM;
    *peer = (struct pending_peer){
        .has_attributes = change->flags & CHANGE_HAS_ATTRS,
        .has_digest = change->flags & CHANGE_HAS_DIGEST,
        .size = change->size,
        .mtime_ns = change->mtime_ns,
        .ctime_ns = change->ctime_ns,
        .scanned = change->source == CHANGE_SOURCE_SCAN,
    };
    memcpy(peer->observer, observer, observer_bytes);
    if (peer->has_digest)
        memcpy(peer->sha256, change->sha256, sizeof(peer->sha256));
    size_t bytes = sizeof(*peer) + observer_bytes;
    if (e->peer)
        bytes -= sizeof(*peer) + strlen(e->peer->observer) + 1;
    free(e->peer);
    e->peer = peer;
    e->bytes += (uint32_t)bytes;
    p->bytes += bytes;
    return 0;
}

static unsigned peer_flags(const struct change *change)
{
    return PENDING_PEER | (change->flags & CHANGE_IS_DIR ? PENDING_IS_DIR : 0);
}

int pending_note_peer(struct pending *p, struct dir *dir, const char *name,
                      const struct change *change)
{
    struct pending_entry *e;
    int r = note(p, dir, name, change->op, peer_flags(change), &e);
    return r == 0 && e ? set_peer(p, e, change) : r;
}

static int append_record(struct pending *p, enum change_op op, enum change_reason reason,
                         const char *path, const char *from, unsigned flags,
                         struct pending_entry **ret)
{
    size_t path_bytes = strlen(path) + 1, from_bytes = from ? strlen(from) + 1 : 0;
    struct pending_entry *e = append(p, PENDING_RECORD, path_bytes + from_bytes);
    if (!e)
        return -ENOMEM;
    if (op == CHANGE_RESYNC) /* whoever hears it forgets what was told before: tell it again */
        seal_all(p);
    memcpy(e->text, path, path_bytes);
    if (from) {
        memcpy(e->text + path_bytes, from, from_bytes);
        e->from = (uint16_t)path_bytes;
    }
    e->op = (uint8_t)op;
    e->reason = (uint8_t)reason;
    e->is_dir = flags & PENDING_IS_DIR;
    e->origin = (uint8_t)origin_of(flags);
    *ret = e;
    return 0;
}

/* A path that is longer than can be told is cut to nothing: the rename becomes delete or create. */
static int record_rename(struct pending *p, struct dir *from_dir, const char *from_name,
                         struct dir *dir, const char *name, unsigned flags,
                         struct pending_entry **ret)
{
    char from_buffer[CHANGE_PATH_MAX + 1], buffer[CHANGE_PATH_MAX + 1];
    const char *from = wd_table_path(from_dir, from_name, from_buffer);
    const char *path = wd_table_path(dir, name, buffer);
    *ret = NULL;
    if (from && path)
        return append_record(p, CHANGE_RENAME, CHANGE_REASON_NONE, path, from, flags, ret);
    if (from)
        return note(p, from_dir, from_name, CHANGE_DELETE, flags, ret);
    return path ? note(p, dir, name, CHANGE_CREATE, flags, ret) : 0;
}

static void move_notes_behind(struct pending *p, const struct dir *moved)
{
    struct pending_queue behind = TAILQ_HEAD_INITIALIZER(behind);
    for (struct pending_entry *e = TAILQ_FIRST(&p->queue), *next; e; e = next) {
        next = TAILQ_NEXT(e, order);
        bool below = e->kind == PENDING_NOTE && wd_table_is_under(e->dir, moved);
        if (below || (is_mark(e) && !TAILQ_EMPTY(&behind))) {
            TAILQ_REMOVE(&p->queue, e, order);
            TAILQ_INSERT_TAIL(&behind, e, order);
        }
    }
    TAILQ_CONCAT(&p->queue, &behind, order);
}

/* *ret: the record, or the note that stands for it; NULL: none. */
static int rename_entry(struct pending *p, struct dir *from_dir, const char *from_name,
                        struct dir *dir, const char *name, struct dir *moved, unsigned flags,
                        struct pending_entry **ret)
{
    struct pending_entry *source = *find(p, from_dir, from_name, name_hash(from_dir, from_name));
    struct pending_entry *target = *find(p, dir, name, name_hash(dir, name));
    bool target_unknown = target && target->unknown;
    enum change_op kept = 0;
    if (target && flags & PENDING_PEER && target->origin < PENDING_FROM_PEER &&
        target->op != CHANGE_DELETE && target->op != CHANGE_PUBLISH)
        kept = target->op; /* the rename was elsewhere: this may have come after it */
    /* That a file was published is told although its rename into place is seen later. */
    bool published = target && target->peer && target->op == CHANGE_PUBLISH;
    if (target && ((target->op == CHANGE_DELETE && target->is_dir) || published))
        seal(p, target);
    else if (target)
        pending_remove(p, target); /* what was there has been replaced */

    if (source && source->op == CHANGE_CREATE && source->unknown && !(flags & PENDING_IS_DIR)) {
        pending_remove(p, source); /* written under another name first: it is new here */
        return note(p, dir, name, CHANGE_CREATE, target_unknown ? PENDING_UNKNOWN : 0, ret);
    }
    enum change_op later = 0;
    unsigned later_flags = flags;
    if (source && (flags & PENDING_IS_DIR || source->op == CHANGE_DELETE)) {
        seal(p, source);
    } else if (source) { /* its news hold under the new name */
        later = source->op;
        if (source->origin < PENDING_FROM_PEER)
            later_flags &= ~(unsigned)PENDING_PEER;
        pending_remove(p, source);
    }
    int r = record_rename(p, from_dir, from_name, dir, name, flags, ret);
    if (r == 0 && later)
        r = pending_note(p, dir, name, later, later_flags);
    if (r == 0 && kept)
        r = pending_note(p, dir, name, kept, flags & PENDING_IS_DIR);
    if (r == 0 && moved)
        move_notes_behind(p, moved);
    return r;
}

int pending_rename(struct pending *p, struct dir *from_dir, const char *from_name, struct dir *dir,
                   const char *name, struct dir *moved, unsigned flags)
{
    struct pending_entry *e;
    return rename_entry(p, from_dir, from_name, dir, name, moved, flags, &e);
}

int pending_rename_peer(struct pending *p, struct dir *from_dir, const char *from_name,
                        struct dir *dir, const char *name, struct dir *moved,
                        const struct change *change)
{
    struct pending_entry *e;
    int r = rename_entry(p, from_dir, from_name, dir, name, moved, peer_flags(change), &e);
    return r == 0 && e ? set_peer(p, e, change) : r;
}

int pending_record_peer(struct pending *p, const struct change *change)
{
    struct pending_entry *e;
    const char *from = change->op == CHANGE_RENAME ? change->from : NULL;
    int r =
        append_record(p, change->op, change->reason, change->path, from, peer_flags(change), &e);
    return r == 0 ? set_peer(p, e, change) : r;
}

int pending_resync(struct pending *p, const char *path, enum change_reason reason, unsigned flags)
{
    struct pending_entry *e;
    return append_record(p, CHANGE_RESYNC, reason, path, NULL, flags | PENDING_IS_DIR, &e);
}

static int append_mark(struct pending *p, enum pending_kind kind, uint64_t nonce)
{
    struct pending_entry *e = append(p, kind, 1);
    if (!e)
        return -ENOMEM;
    e->nonce = nonce;
    return 0;
}

int pending_pong(struct pending *p, uint64_t nonce)
{
    return append_mark(p, PENDING_PONG, nonce);
}

int pending_mark(struct pending *p, uint64_t ticket)
{
    return append_mark(p, PENDING_MARK, ticket);
}

int pending_ready(struct pending *p)
{
    return append_mark(p, PENDING_READY, 0);
}

int pending_notice(struct pending *p, const struct watch_notice *notice)
{
    uint8_t frame[WATCH_NOTICE_MAX];
    int n = watch_notice_encode(notice, frame, sizeof(frame));
    if (n < 0)
        return 0; /* longer than a record can be */
    struct pending_entry *e = append(p, PENDING_NOTICE, (size_t)n);
    if (!e)
        return -ENOMEM;
    memcpy(e->text, frame, (size_t)n);
    e->nonce = (uint64_t)n;
    return 0;
}

struct watch_notice pending_as_notice(const struct pending_entry *entry)
{
    struct watch_notice notice = {.observer = ""};
    watch_notice_decode((const uint8_t *)entry->text, (size_t)entry->nonce, &notice);
    return notice;
}
