#ifndef EFX_WINDOW_H
#define EFX_WINDOW_H

#include "efx_op.h"
#include "efx_plugin.h"
#include "efx_schema.h"

/* A window turns rows that arrive into rows that come and go. It never aggregates: the selector
 * behind it makes ops for the aggregates of what it lists.
 *
 *   length(2)         1     2     3              lengthBatch(2)   1    2
 *   changes           +1    +2    −1 +3                           –    reset +1 +2 end-of-part
 *
 * One call takes a slice and lists changes in the order in which they take effect; kinds are those
 * of rows, so sliding, batch, sort, unique, session and delay all fit, and a late row is only
 * another place in the list. A flush lists: expired rows of the previous batch (if want_expired),
 * ends_part, RESET, current rows, ends_part (language §3.5). Where the selector needs no rows of a
 * batch window (an aggregated query without EXPIRED), it may set `eager` where the window has
 * `pass`: then rows go straight to the aggregates, the window only counts or keeps time and lists
 * a RESET with `flush` at the flush; nothing is copied into a log.
 *
 * Where it wants current rows of a sliding window only, the selector may call `slide` in place of
 * arrive: ops for the aggregates as they are, without a change a row. What is due leaves before the
 * next row, so `fire` need not be called then.
 *
 *   window                                      evicts        so FIFO aggregates run as
 *   time, timeLength, externalTime, join side   BY_DUE        wedges; late rows enter by due time
 *   length                                      BY_ARRIVAL    wedges
 *   unique, sort, frequent, merging sessions    ANYWHERE      sorted blocks
 *   tumbling, hop, batch                        WHOLE         one pane, reset
 *
 * PARTITION and GROUP BY are no instances: each row brings the id of its partition copy and of its
 * group in hidden columns, and the window keeps per copy what it must.
 *
 *   Owner    held rows are copied into the window's log (efx_log.h), strings by value; a change
 *            refers to a row of the batch (arrives) or of `left`, valid until the next call
 *   Limits   EFX_CHANGES_MAX a call: EFX_AGAIN, take them, call again
 *   Errors   EFX_ENOMEM names the query
 *   Threads  the shard's owner
 *   Order    arrive fires what is due before each row; fire what is due before `until`. A timer
 *            set for a time not after the clock fires at once: its changes follow the row's own
 */
enum { EFX_CHANGES_MAX = 1024, EFX_SLIDE_MAX = 2048 };

struct efx_log_refs;      /* efx_log.h */
struct efx_keyed_ids_out; /* efx_keyed.h */

static const uint32_t EFX_NO_COL = UINT32_MAX;

struct efx_window_open {
    const void *conf;                /* filled from base.conf */
    const struct efx_schema *schema; /* of rows that arrive */
    const enum efx_type *types;      /* [n_cols] of the batch, hidden ones behind the visible */
    uint32_t n_cols;
    struct efx_conf_cols held; /* columns of the batch that the selector wants back in `left` */
    uint32_t copy_col;         /* in the batch: id of the partition copy (INT); EFX_NO_COL = none.
                                  Behind it the copy's birth (LONG): global turn that made it */
    uint32_t group_col;        /* in the batch: id of the group (INT); EFX_NO_COL = none */
    const struct efx_log_refs *refs;     /* of group ids, for saves; NULL = none */
    const struct efx_keyed_ids_out *ids; /* the owner's table fills it before it calls load */
    struct efx_conf_cols group_keys; /* columns of the batch with the group's key; may be none */
    uint32_t key_group;              /* of the query's name: where state without a key belongs */
    uint32_t rank;                   /* of its timers */
    const struct efx_kg_range *kg; /* key groups of the shard, where state without a key must be on
                                      every shard; NULL: it goes to key_group */
    bool want_expired;             /* somebody asks for EXPIRED EVENTS or ALL */
    bool no_content;               /* nobody calls `content`: a batch may go once it was flushed */
    bool eager;                    /* WHOLE windows only: see above */
    bool by_row;                   /* row mode: no merge behind puts early flushes in their place */
    struct efx_mem *mem;
    struct efx_ctx *ctx;
};

struct efx_change {
    efx_moment moment; /* of the turn or timer that did it */
    int64_t clk_ms;    /* the clock there: an expired row's timestamp */
    uint64_t turn;     /* global number of the turn that brought the row; 0 where the batch has no
                          moments (then nobody asks) */
    uint32_t row;      /* of the batch or of `left`; RESET: unused */
    uint32_t copy;     /* partition copy: RESET and ends_part are of one copy */
    int64_t birth;     /* of that copy; 0 without PARTITION */
    uint8_t kind;      /* enum efx_row_kind */
    uint8_t arrives;   /* the row is the batch's */
    uint8_t ends_part; /* with this row a flush's part is complete: its row set can be put out */
    uint8_t flush; /* RESET of an eager window: put the groups' rows out as a flush, then reset */
};

struct efx_changes {
    uint32_t n;
    struct efx_change *list;      /* [EFX_CHANGES_MAX], the caller's */
    const struct efx_batch *left; /* held rows that the list names: cols[k] = column held.col[k],
                                     ts_ms the rows' own; the group id, if any, is the last column
                                     */
};

/* Ops of a slice, in order; the arrays are the caller's and hold EFX_SLIDE_MAX. */
struct efx_slide {
    uint32_t n;
    uint32_t *row;    /* of the batch (enters) or of left (leaves) */
    uint32_t *id;     /* the row's group; not written without group_col */
    uint64_t *leaves; /* [words], zero at the start */
    bool may_pair;    /* the caller's: ops may be told as pairs … */
    bool pairs;       /* … and are: op i's row enters, and if its bit of `leaves` is set, the next
                         row of left (0, 1, …), of the same group, goes out before. False at first
                         */
    const struct efx_batch *left; /* as in efx_changes */
};

/* What a slice does to a window that lets every row in, for joins that put nothing out when rows
 * leave: no change a row. The arrays are the caller's and hold EFX_SLIDE_MAX. */
struct efx_flow {
    uint32_t n; /* rows that arrived, in order: those that were next in the slice */
    uint32_t n_left;
    uint32_t *before;             /* [n] rows of `left` that have left when row k arrives */
    efx_moment *moment;           /* [n_left] of the turn or timer that did it */
    const struct efx_batch *left; /* as in efx_changes, without the group */
};

struct efx_window {
    const struct efx_window_vt *vt;
    uint64_t n_ignored; /* rows that came too late for any batch (session) */
};

struct efx_window_vt {
    struct efx_plugin base; /* traits: many, timers, units, holds_rows, ordered, evicts … */
    enum efx_rc (*open)(struct efx_window *self, const struct efx_window_open *how,
                        struct efx_err *err);
    /* Moves rows->from on. */
    enum efx_rc (*arrive)(struct efx_window *self, const struct efx_step *step,
                          struct efx_rows *rows, struct efx_changes *out);
    enum efx_rc (*fire)(struct efx_window *self, const struct efx_step *step, efx_moment until,
                        struct efx_changes *out);
    /* NULL = has none. Every row that arrives is current at once; moves rows->from on; EFX_AGAIN as
     * above. */
    enum efx_rc (*slide)(struct efx_window *self, const struct efx_step *step,
                         struct efx_rows *rows, struct efx_slide *out);
    /* NULL = has none; not in a PARTITION. Moves rows->from on; EFX_AGAIN as above. What left
     * behind the last row that arrived comes before the next one, or is that row at once. */
    enum efx_rc (*flow)(struct efx_window *self, const struct efx_step *step, struct efx_rows *rows,
                        struct efx_flow *out);
    /* Eager windows: moves rows->from over rows that enter open batches; if flush->kind is then set
     * (it is 0 at the start), feed them, flush that batch and call again. NULL = is never eager. */
    enum efx_rc (*pass)(struct efx_window *self, const struct efx_step *step, struct efx_rows *rows,
                        struct efx_change *flush);
    int64_t (*next_due_ms)(const struct efx_window *self);
    void (*origin_set)(struct efx_window *self, int64_t t0_ms);
    /* What it holds now, in arrival order, from place *from on (0 at first): joins, named windows,
     * snapshots, on-demand queries. EFX_AGAIN: more. */
    enum efx_rc (*content)(struct efx_window *self, uint64_t *from, struct efx_changes *out);
    void (*mark)(struct efx_window *self, const struct efx_mark *mark);
    enum efx_rc (*slice)(struct efx_window *self, uint32_t budget_rows, struct efx_save *out);
    enum efx_rc (*load)(struct efx_window *self, struct efx_kg_range kg, struct efx_reader *r,
                        struct efx_err *err);
    /* Once, after the last load. */
    enum efx_rc (*load_end)(struct efx_window *self, struct efx_err *err);
    size_t (*bytes)(const struct efx_window *self);
    void (*close)(struct efx_window *self);
};

#endif /* EFX_WINDOW_H */
