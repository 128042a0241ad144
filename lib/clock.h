/*
 * clock: the two clocks that the programs use, with a fake for tests.
 *
 * clock_now_ms() is CLOCK_BOOTTIME: it goes on during suspend and no one can set it. Every deadline
 * is measured on it. clock_wall_ms() is only for what people and CloudWatch read; nothing is
 * decided from it.
 *
 * Threads: safe. clock_fake_*() is for tests, before threads start.
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER INT64_MAX

int64_t clock_now_ms(void);
int64_t clock_now_us(void);
int64_t clock_wall_ms(void); /* since 1970, UTC */

/* Milliseconds until deadline_ms for poll(2): -1 for CLOCK_NEVER, 0 when it has passed, else 1 to
 * INT_MAX. */
int clock_poll_timeout(int64_t deadline_ms);

/* So long from now on CLOCK_MONOTONIC, which is what pthread's waits know: a suspend only makes
 * them late. */
struct timespec clock_monotonic_in(int64_t ms);

static inline int64_t clock_sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* "2026-11-23T09:55:54.123Z" into buf of at least CLOCK_TEXT bytes; returns buf. */
#define CLOCK_TEXT 32
const char *clock_format(int64_t wall_ms, char *buf);

/* From now on both clocks stand still at these values, until they are moved or clock_fake_off(). */
void clock_fake_set(int64_t now_ms, int64_t wall_ms);
void clock_fake_advance(int64_t ms);
void clock_fake_off(void);

#endif
