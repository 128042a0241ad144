/*
 * config_value: one value of one setting, from text into the structure. For config.c and
 * config_print.c only.
 *
 * Threads: as config.h.
 */
#ifndef LIB_CONFIG_VALUE_H
#define LIB_CONFIG_VALUE_H

#include "lib/config.h"

/* 0 or -errno; *ret_why is set when the reason is not simply the type or the bounds. */
int config_set_value(void *settings, const struct setting *setting, const char *text,
                     const char **ret_why);

/* "wants ..." in terms of type and bounds. */
void config_describe_wanted(const struct setting *setting, char *buf, size_t size);

#endif
