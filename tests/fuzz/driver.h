/*
 * driver: what a fuzz target has to have, and the two programs made of it.
 *
 * fuzz_parse() gives one input to one parser, aborts when a promise is broken, and returns 0 when
 * the input was parsed, -1 when it was refused. `make fuzz` feeds it what libFuzzer invents;
 * `make fuzz-corpus` feeds it the files of tests/fuzz/corpus/TARGET, of which those named bad-*
 * have to be refused and all others parsed.
 */
#ifndef TESTS_FUZZ_DRIVER_H
#define TESTS_FUZZ_DRIVER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int fuzz_parse(const char *text, size_t length);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#endif
