/* What tools in plain libc begin with: what must not fail ends the program with its name. */
#ifndef TESTS_TOOLS_MUST_H
#define TESTS_TOOLS_MUST_H

#include <err.h>
#include <stdbool.h>

static inline void must(bool good, const char *what)
{
    if (!good)
        err(1, "%s", what);
}

#endif
