#include "sidecar/claim_window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    MISSES_TO_MOVE = 2, /* in a row */
    MISSES_TO_END = 8,
    ROOM_FIRST = 64,
};

void claim_candidate_free(struct claim_candidate *candidate)
{
    free(candidate);
}

const char *claim_candidate_name(const struct claim_candidate *candidate)
{
    const char *slash = strrchr(candidate->path, '/');
    return slash ? slash + 1 : candidate->path;
}

static int compare(const void *a, const void *b)
{
    const struct claim_candidate *x = *(struct claim_candidate *const *)a;
    const struct claim_candidate *y = *(struct claim_candidate *const *)b;
    if (x->mtime_ns != y->mtime_ns)
        return x->mtime_ns < y->mtime_ns ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void keep_oldest(struct claim_window *window)
{
    if (window->n > 1)
        qsort(window->all, window->n, sizeof(struct claim_candidate *), compare);
    while (window->n > CLAIM_WINDOW_MAX)
        free(window->all[--window->n]);
}

static int make_room(struct claim_window *window)
{
    if (window->n < window->room)
        return 0;
    if (window->room == 2 * (size_t)CLAIM_WINDOW_MAX) {
        keep_oldest(window);
        return 0;
    }
    size_t room = window->room ? 2 * window->room : ROOM_FIRST;
    struct claim_candidate **all = realloc(window->all, room * sizeof(struct claim_candidate *));
    if (!all)
        return -ENOMEM;
    window->all = all;
    window->room = room;
    return 0;
}

int claim_window_add(struct claim_window *window, const char *path, int64_t mtime_ns,
                     unsigned attempts)
{
    size_t size = strlen(path) + 1;
    int r = make_room(window);
    struct claim_candidate *candidate = r == 0 ? malloc(sizeof(*candidate) + size) : NULL;
    if (!candidate)
        return -ENOMEM;
    candidate->mtime_ns = mtime_ns;
    candidate->attempts = attempts;
    memcpy(candidate->path, path, size);
    window->all[window->n++] = candidate;
    return 0;
}

static size_t random_place(const struct claim_window *window)
{
    uint32_t noise;
    if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) != (ssize_t)sizeof(noise))
        return 0;
    return noise % window->n;
}

void claim_window_seal(struct claim_window *window, bool contended)
{
    keep_oldest(window);
    window->left = window->n;
    window->missed = 0;
    window->contended = false;
    window->cursor = contended && window->n > 0 ? random_place(window) : 0;
}

struct claim_candidate *claim_window_next(struct claim_window *window)
{
    if (window->left == 0)
        return NULL;
    while (!window->all[window->cursor])
        window->cursor = (window->cursor + 1) % window->n;
    struct claim_candidate *candidate = window->all[window->cursor];
    window->all[window->cursor] = NULL;
    window->left--;
    return candidate;
}

void claim_window_tell(struct claim_window *window, bool mine)
{
    if (mine) {
        window->missed = 0;
        return;
    }
    window->contended = true;
    if (++window->missed >= MISSES_TO_END)
        claim_window_clear(window);
    else if (window->missed % MISSES_TO_MOVE == 0 && window->n > 0)
        window->cursor = random_place(window);
}

void claim_window_clear(struct claim_window *window)
{
    for (size_t i = 0; i < window->n; i++)
        free(window->all[i]);
    free(window->all);
    window->all = NULL;
    window->n = window->room = window->left = window->cursor = 0;
}
