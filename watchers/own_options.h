/*
 * own_options: how the sidecar starts an efs-watch; these are not settings of the user.
 *
 *     r = own_options_take(&argc, argv, &own);         // takes them out of argv
 *
 * Returns 0 or -EINVAL. Threads: safe.
 */
#ifndef WATCHERS_OWN_OPTIONS_H
#define WATCHERS_OWN_OPTIONS_H

#include <stdbool.h>

struct own_options {
    int child_fd;      /* a socket; -1: by hand */
    bool existing;     /* tell what is there */
    const char *state; /* path of the state directory; NULL: where it is by default */
    int board_fd;      /* holds the slot; -1: a listener */
    int slot, epoch;
    bool unclean; /* the slot's last owner may have left something untold */
};

int own_options_take(int *argc, char **argv, struct own_options *ret_own);

#endif
