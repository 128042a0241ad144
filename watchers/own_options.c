#include "watchers/own_options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/parse.h"
#include "lib/share/board.h"

static const struct {
    const char *name;
    int least, most;
    size_t at; /* of an int in struct own_options */
} own_numbers[] = {
    {"--child=", 3, 1 << 20, offsetof(struct own_options, child_fd)},
    {"--board=", 3, 1 << 20, offsetof(struct own_options, board_fd)},
    {"--slot=", 0, BOARD_SLOTS - 1, offsetof(struct own_options, slot)},
    {"--epoch=", 1, (1 << 24) - 1, offsetof(struct own_options, epoch)},
};

/* 1: it is one of ours. */
static int take_own_option(const char *argument, struct own_options *own)
{
    if (strcmp(argument, "--existing") == 0)
        return own->existing = true;
    if (strcmp(argument, "--unclean") == 0)
        return own->unclean = true;
    if (strncmp(argument, "--state=", 8) == 0) {
        own->state = argument + 8;
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(own_numbers); i++) {
        size_t n = strlen(own_numbers[i].name);
        int64_t number;
        if (strncmp(argument, own_numbers[i].name, n) != 0)
            continue;
        if (parse_i64(argument + n, own_numbers[i].least, own_numbers[i].most, &number) < 0)
            return -EINVAL;
        *(int *)((char *)own + own_numbers[i].at) = (int)number;
        return 1;
    }
    return 0;
}

int own_options_take(int *argc, char **argv, struct own_options *ret_own)
{
    struct own_options own = {.child_fd = -1, .board_fd = -1};
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        int r = take_own_option(argv[i], &own);
        if (r < 0)
            return r;
        if (r == 0)
            argv[kept++] = argv[i];
    }
    if (own.board_fd >= 0 && (own.child_fd < 0 || own.epoch == 0))
        return -EINVAL;
    argv[kept] = NULL;
    *argc = kept;
    *ret_own = own;
    return 0;
}
