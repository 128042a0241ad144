#include "sidecar/own_calls.h"

enum { METADATA_KIB = 4, DATA_KIB = 32 };

static const struct {
    uint64_t calls, read_kib, written_kib;
} costs[OWN_KINDS] = {
    [OWN_PROBE] = {1, METADATA_KIB, 0},             /* GETATTR */
    [OWN_CANARY] = {4, 3 * METADATA_KIB, DATA_KIB}, /* GETATTR, OPEN, WRITE, CLOSE */
    [OWN_LISTING] = {2, 2 * METADATA_KIB, 0},       /* GETATTR, READDIR */
    [OWN_PROOF] = {2, DATA_KIB + METADATA_KIB, 0},  /* READ, GETATTR */
    [OWN_POLL] = {1, METADATA_KIB, 0},              /* GETATTR */
    [OWN_BOARD_READ] = {1, DATA_KIB, 0},            /* READ */
    [OWN_CACHE_LOOK] = {2, 2 * METADATA_KIB, 0},    /* GETATTR twice */
    [OWN_CACHE_COPY] = {5, 5 * METADATA_KIB, 0},    /* GETATTR three times, OPEN, CLOSE */
    [OWN_WATCH] = {3, 3 * METADATA_KIB, 0},         /* ACCESS, GETATTR, READDIR */
};

void own_calls_add(struct own_calls *own, enum own_kind kind, uint64_t n)
{
    own->calls += n * costs[kind].calls;
    own->metered_bytes += n * (costs[kind].read_kib + costs[kind].written_kib) * 1024;
    own->metered_written_bytes += n * costs[kind].written_kib * 1024;
}

void own_calls_add_read(struct own_calls *own, uint64_t calls, uint64_t bytes)
{
    uint64_t least = calls * DATA_KIB * 1024;
    own->calls += calls;
    own->metered_bytes += bytes > least ? bytes : least;
}
