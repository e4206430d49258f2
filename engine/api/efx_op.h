#ifndef EFX_OP_H
#define EFX_OP_H

#include "efx_ctx.h"
#include "efx_save.h"
#include "efx_step.h"
#include "efx_traits.h"

#include <stdalign.h>

/* An operator: state beside an immutable plan, inlets for rows, a pair of outlets per statement.
 *
 *   inlet 0 ──►┐           ┌──► outlet 0   rows │ errors: rows that failed, with their code
 *   inlet 1 ──►┤ operator  ┤
 *   …       ──►┘           └──► outlet 1   …     (a table serves several statements)
 *
 * A step passes once, operators in topological order. Work comes in slices, many a step:
 *   rows(inlet, step, slice)  rows of one batch that all came by one inlet; in row mode, and
 *   where a
 *                             confluence alternates, as few as one. An operator with several inlets
 *                             gets its rows in the order in which they take effect (merges are the
 *                             core's), as runs of one inlet
 *   finish(step, until)       fires own timers whose moment is smaller than `until`.
 *                             EFX_MOMENT_END comes once, after the last rows of the step
 *   stop(step)                graceful end of the app: release what is held (limiters)
 *   mark, slice, load         see efx_save.h
 * If next_due_ms lies behind the step, no row looks at timers and finish is not called.
 *
 * Timers: before each row the operator fires its own whose moment is smaller; what they make bears
 * their moment. A timer set for a time not after the clock fires at once, inside the query that set
 * it, before the row goes on to the next consumer; what it makes bears the row's moment. Where a
 * batch brings no moments all its rows are events: a timer precedes a row if due <= the row's
 * clock.
 *
 *   Owner    state lives in the shard's memory and the keyed tables; rows are borrowed for the call
 *   Threads  whoever owns the shard for the step; locks none; never blocks, never reads a clock
 *   Memory   nothing per row from any allocator; buffers of a call from the shard's scratch
 *   Errors   a bad row leaves by `errors`; a result other than EFX_OK (budget, bug) stops the app
 */
struct efx_op;

typedef enum efx_rc (*efx_op_rows_fn)(struct efx_op *self, uint32_t inlet,
                                      const struct efx_step *step, const struct efx_rows *in);

/* What the batches on an edge carry beside columns, sel and ts_ms. */
enum efx_needs {
    EFX_NEEDS_MOMENT = 1 << 0,
    EFX_NEEDS_SUB = 1 << 1, /* order among shards: only behind split operators */
};

/* Where rows go. `push` runs `to` at once, or has a confluence's inlet keep them for its turn. */
struct efx_edge {
    efx_op_rows_fn push; /* efx_op_push_nowhere if nobody reads */
    struct efx_op *to;
    uint32_t inlet;
    uint32_t needs; /* bits of enum efx_needs */
};

struct efx_outlet { /* of one statement */
    struct efx_edge rows;
    struct efx_edge errors; /* rows of the *input* that failed, with batch.code; see op headers */
};

struct efx_run { /* rows that all came by one inlet */
    uint32_t inlet;
    struct efx_rows rows;
};

struct efx_op_vt {
    const char *name; /* as EXPLAIN prints it */
    uint16_t schema;  /* version of what it saves; grows whenever the bytes' meaning changes */
    efx_op_rows_fn rows;
    /* Many runs, in order, the same as `rows` with one after the other; rows of one batch in two
     * runs are at one address. NULL = has no faster way. */
    enum efx_rc (*runs)(struct efx_op *self, const struct efx_step *step,
                        const struct efx_run *runs, uint32_t n);
    int64_t (*next_due_ms)(const struct efx_op *self); /* EFX_NEVER_MS = none */
    enum efx_rc (*finish)(struct efx_op *self, const struct efx_step *step, efx_moment until);
    enum efx_rc (*stop)(struct efx_op *self, const struct efx_step *step);
    /* The origin of windows that have none, once, before the first row and again after load. */
    void (*origin_set)(struct efx_op *self, int64_t t0_ms);
    void (*mark)(struct efx_op *self, const struct efx_mark *mark);
    /* Copies about budget_rows rows or entries; 0 only hands over `out`. EFX_AGAIN, EFX_DONE. */
    enum efx_rc (*slice)(struct efx_op *self, uint32_t budget_rows, struct efx_save *out);
    /* Before the sections of each checkpoint of the chain, oldest first: parts that are saved whole
     * at every mark forget what an older one brought. NULL = nothing is saved whole. */
    void (*load_begin)(struct efx_op *self);
    /* Applies one checkpoint's sections, base first, for the groups of `kg`. May be called several
     * times (chunks of several shards, then deltas); load_end comes once after the last. */
    enum efx_rc (*load)(struct efx_op *self, struct efx_kg_range kg, struct efx_reader *r,
                        struct efx_err *err);
    enum efx_rc (*load_end)(struct efx_op *self, struct efx_err *err);
    size_t (*bytes)(const struct efx_op *self); /* of state, for EXPLAIN and /metrics */
    void (*close)(struct efx_op *self);
};

/* First member of every operator's state. */
struct efx_op {
    alignas(EFX_CACHE_LINE) const struct efx_op_vt *vt;
    efx_op_rows_fn rows;    /* that of vt, or the timing wrapper of `explain --analyze` */
    struct efx_outlet *out; /* [n_out] */
    struct efx_ctx *ctx;    /* the shard's */
    uint32_t n_out;
    uint32_t rank;      /* of its timers, efx_moment_rank; an operator with timers of two kinds
                               (window, limiter) is two operators */
    uint32_t id;        /* of the plan's node */
    uint32_t key_group; /* of the query's name: where state without a key belongs */
    /* Counters, of rows that are there. */
    alignas(EFX_CACHE_LINE) uint64_t n_rows_in;
    uint64_t n_rows_out;
    uint64_t n_rows_failed;
    uint64_t busy_ns;
};

/* What the graph builder hands to every constructor; constructors fill *base from it. */
struct efx_op_open {
    struct efx_arena *arena; /* of the shard: lives as long as the operator */
    struct efx_mem *mem;     /* for state: counts against state.max_bytes */
    struct efx_ctx *ctx;
    uint32_t n_out;
    uint32_t rank;
    uint32_t id;
    uint32_t key_group;
    struct efx_kg_range kg; /* key groups of this shard; a placed operator has all */
    bool by_row;            /* row mode: a timer's rows may not come before their place */
};

static inline enum efx_rc efx_edge_push(const struct efx_edge *e, const struct efx_step *step,
                                        const struct efx_rows *rows)
{
    return e->push(e->to, e->inlet, step, rows);
}

/* Moment of a timer of this operator; one that was due before the step comes before all its rows.
 * */
static inline efx_moment efx_op_timer_moment(const struct efx_op *self, const struct efx_step *step,
                                             int64_t due_ms)
{
    return due_ms < step->clk_base_ms ? 0
                                      : efx_moment_timer(due_ms - step->clk_base_ms, self->rank);
}

/* Is a timer due before `until`, and within the step? */
static inline bool efx_op_due(const struct efx_op *self, const struct efx_step *step,
                              int64_t due_ms, efx_moment until)
{
    return due_ms != EFX_NEVER_MS && due_ms <= step->clk_last_ms &&
           efx_op_timer_moment(self, step, due_ms) < until;
}

/* Moment of row i: the batch's, else that of an event at its clock (compares right with timers). */
static inline efx_moment efx_op_row_moment(const struct efx_step *step, const struct efx_batch *b,
                                           uint32_t i)
{
    return b->moment != NULL ? b->moment[i]
                             : efx_moment_event(efx_batch_clk_ms(b, i) - step->clk_base_ms, 0, 0);
}

/* Fills *base (vt, rows, outlets, ctx, ids). EFX_ENOMEM. */
enum efx_rc efx_op_init(struct efx_op *base, const struct efx_op_vt *vt,
                        const struct efx_op_open *how);

/* `push` of an edge that nobody reads. */
enum efx_rc efx_op_push_nowhere(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                                const struct efx_rows *rows);

/* For descriptors without timers, without state: every method is filled, callers never test. */
int64_t efx_op_never_due(const struct efx_op *self);
enum efx_rc efx_op_nothing_due(struct efx_op *self, const struct efx_step *step, efx_moment until);
enum efx_rc efx_op_nothing_held(struct efx_op *self, const struct efx_step *step);
void efx_op_origin_ignore(struct efx_op *self, int64_t t0_ms);
void efx_op_mark_nothing(struct efx_op *self, const struct efx_mark *mark);
enum efx_rc efx_op_slice_nothing(struct efx_op *self, uint32_t budget_rows, struct efx_save *out);
enum efx_rc efx_op_load_nothing(struct efx_op *self, struct efx_kg_range kg, struct efx_reader *r,
                                struct efx_err *err);
enum efx_rc efx_op_load_end_nothing(struct efx_op *self, struct efx_err *err);
size_t efx_op_no_bytes(const struct efx_op *self);
void efx_op_close_nothing(struct efx_op *self);

#endif /* EFX_OP_H */
