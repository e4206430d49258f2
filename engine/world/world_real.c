/* This machine's clocks and dice. */
#include "efx_world_real.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    EFX_ASSERT(clock_gettime(id, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int64_t wall_ms(struct efx_world *w)
{
    (void)w;
    return (int64_t)(read_clock(CLOCK_REALTIME) / 1000000);
}

static uint64_t monotonic_ns(struct efx_world *w)
{
    (void)w;
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t boottime_ns(struct efx_world *w)
{
    (void)w;
    return read_clock(CLOCK_BOOTTIME);
}

static void sleep_ns(struct efx_world *w, uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    (void)w;
    (void)nanosleep(&t, NULL); /* a signal may cut it short */
}

static uint64_t random_u64(struct efx_world *w)
{
    uint64_t v = 0;
    (void)w;
    while (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v) {
        EFX_ASSERT(errno == EINTR);
    }
    return v;
}

static const struct efx_clock_vt clock_real = {
    .wall_ms = wall_ms,
    .monotonic_ns = monotonic_ns,
    .boottime_ns = boottime_ns,
    .sleep_ns = sleep_ns,
};

static const struct efx_dice_vt dice_real = {.random = random_u64};

static struct efx_world real = {.clock = &clock_real, .dice = &dice_real};

struct efx_world *efx_world_real(void)
{
    return &real;
}
