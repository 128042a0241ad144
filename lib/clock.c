#include "lib/clock.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

static atomic_bool fake_on;
static atomic_llong fake_now_ms, fake_wall_ms;

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts); /* cannot fail for these two clocks and a valid pointer */
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
    return atomic_load(&fake_on) ? atomic_load(&fake_now_ms) * 1000 : read_us(CLOCK_BOOTTIME);
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    return atomic_load(&fake_on) ? atomic_load(&fake_wall_ms) : read_us(CLOCK_REALTIME) / 1000;
}

int clock_poll_timeout(int64_t deadline_ms)
{
    if (deadline_ms == CLOCK_NEVER)
        return -1;
    int64_t left = deadline_ms - clock_now_ms();
    if (left <= 0)
        return 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}

struct timespec clock_monotonic_in(int64_t ms)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_nsec += ms % 1000 * 1000000;
    ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;
    return ts;
}

const char *clock_format(int64_t wall_ms, char *buf)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char date[24];
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf, CLOCK_TEXT, "%s.%03dZ", date, (int)(wall_ms % 1000));
    return buf;
}

void clock_fake_set(int64_t now_ms, int64_t wall_ms)
{
    atomic_store(&fake_now_ms, now_ms);
    atomic_store(&fake_wall_ms, wall_ms);
    atomic_store(&fake_on, true);
}

void clock_fake_advance(int64_t ms)
{
    atomic_fetch_add(&fake_now_ms, ms);
    atomic_fetch_add(&fake_wall_ms, ms);
}

void clock_fake_off(void)
{
    atomic_store(&fake_on, false);
}
