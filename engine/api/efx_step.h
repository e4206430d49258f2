#ifndef EFX_STEP_H
#define EFX_STEP_H

#include "efx_batch.h"
#include "efx_save.h"

/* What enters the graph: a step, 1 .. 4,096 turns in arrival order, of all streams of its sources.
 *
 *   bytes ── format ──► builder ── numbered ──► step ──► shards, each in the order of the numbers
 *                       columns per stream        clocks, late policy and first turn are
 *                       + one list of turns       decided here, once, before any split
 *
 *   turns    (A,0) (B,0) (clock,0) (A,1) (reject,0) (A,2)     arrival order across streams is input
 *   A        row 0, 1, 2        B   row 0                      one column set per stream
 *
 * Turns without a row: the virtual clock goes on, or an event could not be taken; numbering makes
 * the second a row of the DLQ stream under the same turn, if there is one. A timer has no turn: it
 * fires where its due time stands between the turns' clocks. When nothing comes in, a step without
 * turns carries the time. A mark is a step too.
 *
 *   Owner    the ring of steps, until every shard is past it
 *   Limits   EFX_STEP_TURNS_MAX turns, EFX_STREAMS_MAX streams, EFX_SHARDS_MAX shards in a process
 *   Threads  immutable once numbered, read by all
 */
enum {
    EFX_STEP_TURNS_MAX = EFX_BATCH_ROWS_MAX,
    EFX_STEPS_IN_FLIGHT = 8, /* numbering waits for the slowest shard */
    EFX_STREAMS_MAX = 4096,
    EFX_SHARDS_MAX = 64,
};

enum efx_step_what {
    EFX_STEP_EVENTS = 1,
    EFX_STEP_ADVANCE, /* carries the time only */
    EFX_STEP_MARK,    /* a checkpoint's cut */
    EFX_STEP_STOP,    /* graceful end: ALL and LAST limiters release what they hold (§3.7) */
};

/* In place of a stream: turns without a row. */
enum { EFX_TURN_CLOCK = 0xFFFF, EFX_TURN_REJECT = 0xFFFE };

struct efx_turn {    /* one cause */
    uint16_t stream; /* number in the bound program */
    uint16_t row;    /* in the stream's columns of this step */
};

/* How far a source has been read. Its words are the source's own (file: byte, 0; datagen: row,
 * 0). */
struct efx_pos {
    uint32_t source;
    uint32_t part;
    uint32_t taken; /* events of what follows at next that are counted already */
    uint64_t next[2];
};

struct efx_step {
    uint64_t no;         /* numbered without gaps, the same on every shard */
    uint64_t first_turn; /* turns of all steps before: `sub` of timer rows counts from here */
    int64_t clk_base_ms; /* clock before the step; moments count from here */
    int64_t clk_last_ms; /* clock after it: every shard fires what is due until here */
    int64_t start_ms;    /* the clock's first value: ticks of limiters and triggers count from it */
    enum efx_step_what what;
    bool virtual_clock; /* operators measure by the row's timestamp; else by clk of its turn */
    uint16_t n_turns;
    uint16_t n_batches;
    const struct efx_turn *turns; /* [n_turns] */
    const efx_moment *moments;    /* [n_turns] */
    const uint16_t *streams;      /* [n_batches] numbers of streams with rows, ascending */
    const struct efx_batch
        *batches; /* [n_batches]; moment filled, sel = NULL or rows not rejected */
    uint32_t n_pos;
    const struct efx_pos *pos; /* [n_pos] of its sources, after this step: what a mark saves */
    struct efx_mark mark;      /* of a mark */
};

/* Global number of an event row's turn: orders first events of groups, sessions, copies and matches
 * over steps and shards. */
static inline uint64_t efx_step_turn(const struct efx_step *s, efx_moment m)
{
    return s->first_turn + efx_moment_turn(m);
}

/* The time an operator measures by (language §16.1). */
static inline int64_t efx_step_time_ms(const struct efx_step *s, const struct efx_batch *b,
                                       uint32_t i)
{
    return s->virtual_clock ? b->ts_ms[i] : efx_batch_clk_ms(b, i);
}

#endif /* EFX_STEP_H */
