#include "sidecar/own_calls.h"

enum { METADATA_KIB = 4, DATA_KIB = 32 };

static const struct {
    uint64_t calls, metered_kib;
} costs[OWN_KINDS] = {
    [OWN_PROBE] = {1, METADATA_KIB},                 /* GETATTR */
    [OWN_CANARY] = {4, DATA_KIB + 3 * METADATA_KIB}, /* GETATTR, OPEN, WRITE, CLOSE */
    [OWN_LISTING] = {2, 2 * METADATA_KIB},           /* GETATTR, READDIR */
    [OWN_PROOF] = {2, DATA_KIB + METADATA_KIB},      /* READ, GETATTR */
    [OWN_WATCH] = {3, 3 * METADATA_KIB},             /* LOOKUP, ACCESS, READDIR */
};

void own_calls_add(struct own_calls *own, enum own_kind kind, uint64_t n)
{
    own->calls += n * costs[kind].calls;
    own->metered_bytes += n * costs[kind].metered_kib * 1024;
}
