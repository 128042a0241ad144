/* cache: efsctl cache, the copies of hot and pinned files. */
#ifndef CLI_CACHE_H
#define CLI_CACHE_H

#include "cli/command.h"

enum { CACHE_ARGUMENTS_MAX = 1001 }; /* a word, and as many paths as one request may have */

int cache_run(const struct command_call *call);

#endif
