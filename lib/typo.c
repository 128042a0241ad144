#include "lib/typo.h"

#include <limits.h>
#include <string.h>

enum { TYPO_NAME_MAX = 64 };

/* Letters that have to be put in, taken out or replaced. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[TYPO_NAME_MAX + 1];
    size_t length = strlen(b);
    if (length > TYPO_NAME_MAX || strlen(a) > TYPO_NAME_MAX)
        return UINT_MAX;
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[length];
}

unsigned typo_none(const char *name)
{
    size_t most = strlen(name) / 3;
    return (unsigned)(most < 3 ? most : 3) + 1;
}

bool typo_is_nearer(const char *name, const char *candidate, unsigned *best)
{
    unsigned distance = edit_distance(name, candidate);
    if (distance >= *best)
        return false;
    *best = distance;
    return true;
}
