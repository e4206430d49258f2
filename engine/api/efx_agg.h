#ifndef EFX_AGG_H
#define EFX_AGG_H

#include "efx_batch.h"
#include "efx_codec.h"
#include "efx_ctx.h"
#include "efx_plugin.h"

/* An aggregate function for one argument type, as the engine sees it: the planner picks it once,
 * the hot path never looks at a type again.
 *
 * States lie inside the entries of a keyed table, all aggregates of a key side by side, so a kernel
 * gets the table's slabs, the entries' stride and its own place in the entry. A query without keys
 * has one slab with one entry.
 *
 *   slab[id >> shift] ─► │stamp│key│sum of a│min of b│ │stamp│key│sum of a│min of b│ …
 *                        ◄────────── stride ─────────►     off ─►
 *
 * A step reaches an aggregate as a list of ops in the order in which they take effect, so running
 * values are right when a key repeats, and no split of the input can show. Therefore kernels never
 * reorder: no lanes over one state, no reassociation of DOUBLE.
 *
 * Most states are fixed: bytes that are saved and moved by memcpy. Variable ones (wedges, value
 * counts) keep parts in the table's heap; they have fini, save and load.
 *
 *   Owner    the table owns states; they hold no pointers, parts in the heap by ref
 *   Errors   of a value, per op: failed bit and code, e.g. 3104; the state keeps the row.
 *            EFX_ENOMEM, the byte budget: ops before took effect, the app stops
 *   Threads  the shard's owner
 */
struct efx_heap; /* efx_heap.h */

struct efx_states { /* what every kernel sees */
    uint8_t *const *slab;
    uint32_t shift;        /* 2^shift entries in a slab */
    uint32_t stride;       /* bytes from entry to entry */
    uint32_t off;          /* bytes from entry to state */
    struct efx_heap *heap; /* of variable states; else NULL */
    struct efx_ctx *ctx;   /* for STRING results */
};

struct efx_agg_in {
    uint32_t n;                 /* ops */
    const uint32_t *id;         /* [n] entry of op i */
    const uint32_t *row;        /* [n] row of the op's column; NULL = row i */
    const struct efx_col *arg;  /* rows that enter; NULL for count(*); NULL values are skipped */
    const struct efx_col *left; /* rows that leave, from the window's log; NULL = they are in arg */
    const uint64_t *leaves;     /* slide only: bit i = op i takes its row out; NULL = none does */
    bool quiet;                 /* nobody looks at values of ops that take rows out */
    const uint64_t *number; /* [rows of arg], [rows of left] only if vt->by_number: which row it */
    const uint64_t *left_number; /* is, among those of its entry; NULL = equal values are one */
    bool pairs;            /* only if vt->pairs: op i's row enters, and if its bit of `leaves` is
                                   set the next row of `left` (0, 1, …) goes out before; then there
                                   is neither skip nor fresh */
    const uint64_t *skip;  /* bit i = op i does not concern this aggregate (FILTER not met, or
                                   its argument failed); its value is given all the same */
    const uint64_t *fresh; /* bit i = op i starts the entry anew first (RESET); NULL = none */
};

struct efx_agg_out {        /* values by op, the caller's memory */
    void *data;             /* C type of vt->out; NULL = nobody looks */
    uint64_t *valid;        /* bit i = not NULL */
    struct efx_fails fails; /* bits zeroed by the caller */
};

struct efx_agg_vt {
    struct efx_plugin base; /* name, traits.removal */
    enum efx_type in;       /* NONE: without argument */
    enum efx_type out;
    bool by_number;       /* run looks at in->number: which of equal values leaves matters */
    bool pairs;           /* run takes in->pairs: half as many ops where a window is full */
    uint32_t state_bytes; /* multiple of 8; states are 8-byte aligned */

    void (*init)(void *state); /* takes nothing from the heap */
    /* Ops in order: rows enter or, by in->leaves, leave exactly as if they had never come. Which
     * row leaves is told by what it brought in: FIFO aggregates rely on the window's order (the
     * oldest entered leaves first), unless `any_order` says that rows may leave anyhow. */
    enum efx_rc (*run)(const struct efx_states *at, const struct efx_agg_in *in,
                       struct efx_agg_out *out);
    /* Panes, sessions: `from` holds the later rows; it stays as it is. */
    enum efx_rc (*merge)(const struct efx_states *at, void *into, const void *from);
    /* Present values of n entries, by place in the id list. */
    enum efx_rc (*emit)(const struct efx_states *at, const uint32_t *id, uint32_t n,
                        struct efx_agg_out *out);

    /* Variable states only; NULL = the state is fixed. fini gives the heap its parts back when the
     * entry dies or starts anew; load fills a state that init has made. */
    void (*fini)(const struct efx_states *at, void *state);
    uint32_t (*save_bytes)(const struct efx_states *at, const void *state);
    void (*save)(const struct efx_states *at, const void *state, struct efx_writer *w);
    enum efx_rc (*load)(const struct efx_states *at, void *state, struct efx_reader *r);

    /* The same function where rows leave in any order (join rows, unique, sort) or nothing ever
     * leaves (cheaper); NULL = this one serves. */
    const struct efx_agg_vt *any_order;
    const struct efx_agg_vt *running;
};

static inline void *efx_state_at(const struct efx_states *at, uint32_t id)
{
    uint32_t in_slab = id & ((1u << at->shift) - 1);
    return at->slab[id >> at->shift] + (size_t)in_slab * at->stride + at->off;
}

#endif /* EFX_AGG_H */
