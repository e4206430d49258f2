#ifndef EFX_MOMENT_H
#define EFX_MOMENT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* When a row happened, as one number that sorts: what merges compare, on every shard and node.
 *
 *   63            22  21  20      14  13       1   0
 *   clock offset :42   1  node :7     turn :13     unit end :1    event
 *   clock offset :42   0  rank :21                                timer
 *
 * The offset is in milliseconds from the clock before the step, so moments compare within a step
 * only; between steps the step number decides. A timer due at t sorts before the event that moved
 * the clock to t; timers due together sort by rank, the place of their statement. Every row has the
 * moment of its turn or timer, however far downstream it was made. No shard is in it: each shard
 * computes the same moment for the same cause.
 *
 *   Limits  2^42 ms a step (a longer jump is made by empty steps between), 128 nodes, 8,192 turns,
 *           2^19 statements
 *   Source  ARCHITECTURE.md, "Order"
 */
typedef uint64_t efx_moment;

/* Later than everything in the step, whatever its clock: "until the end of the step". */
static const efx_moment EFX_MOMENT_END = UINT64_MAX;

/* Two times that no clock reaches. */
static const int64_t EFX_TS_NONE = INT64_MIN;  /* nobody gave a timestamp; a clock: not started */
static const int64_t EFX_NEVER_MS = INT64_MAX; /* of a timer: is not set */

enum { EFX_MOMENT_NODES_MAX = 128, EFX_MOMENT_TURNS_MAX = 8192, EFX_MOMENT_RANKS_MAX = 1 << 21 };

static const int64_t EFX_MOMENT_SPAN_MS = (int64_t)1 << 42;

/* The timers of a statement, in the order in which they fire. */
enum efx_timer_of {
    EFX_TIMER_OF_WINDOW = 0,
    EFX_TIMER_OF_PATTERN = 1,
    EFX_TIMER_OF_LIMITER = 2,
};

static inline uint64_t efx_moment__at(int64_t offset_ms)
{
    assert(offset_ms >= 0 && offset_ms < EFX_MOMENT_SPAN_MS);
    return (uint64_t)offset_ms << 22;
}

static inline efx_moment efx_moment_event(int64_t offset_ms, uint32_t node, uint32_t turn)
{
    assert(node < EFX_MOMENT_NODES_MAX && turn < EFX_MOMENT_TURNS_MAX);
    return efx_moment__at(offset_ms) | 1u << 21 | node << 14 | turn << 1;
}

static inline efx_moment efx_moment_timer(int64_t offset_ms, uint32_t rank)
{
    assert(rank < EFX_MOMENT_RANKS_MAX);
    return efx_moment__at(offset_ms) | rank;
}

/* `statement`: triggers first, then queries and named windows in the order of their definition. */
static inline uint32_t efx_moment_rank(uint32_t statement, enum efx_timer_of of)
{
    return statement * 4 + (uint32_t)of;
}

static inline int64_t efx_moment_offset_ms(efx_moment m)
{
    return (int64_t)(m >> 22);
}

static inline bool efx_moment_is_event(efx_moment m)
{
    return (m >> 21 & 1) != 0;
}

static inline uint32_t efx_moment_turn(efx_moment event)
{
    return (uint32_t)(event >> 1) & (EFX_MOMENT_TURNS_MAX - 1);
}

#endif /* EFX_MOMENT_H */
