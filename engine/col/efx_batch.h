#ifndef EFX_BATCH_H
#define EFX_BATCH_H

#include "efx_col.h"
#include "efx_moment.h"

/* Rows on an edge: columns, and what the edge needs to know about their order, no more.
 *
 *   field        shape     what it says                              NULL means
 *   sel          [words]   bit i = row i is there                    all are
 *   ts_ms        [n_rows]  the event's timestamp                     never NULL
 *   clk_ms       [n_rows]  the clock at the row's turn or timer      ts_ms: none is late
 *   kind         [n_rows]  enum efx_row_kind                         all current
 *   moment       [n_rows]  cause, to merge by                        not needed on this edge
 *   sub          [n_rows]  order among shards within a moment        no ordered gather downstream
 *   code         [n_rows]  nnnn of EFX-nnnn of the failed row        not an error edge
 *   set_end      [words]   bit i = a row set ends with row i         no row sets (joins, flushes)
 *   number       [n_rows]  which joined row: one that leaves has     rows leave in order, or never
 *                          that of the one that came
 *
 * `plan` decides once per edge which of them are filled (enum efx_needs). A filter narrows `sel`
 * and keeps positions, so it copies none of this. Behind the n_cols visible columns stand n_hidden
 * ones that no SELECT * shows; inside a PARTITION hidden column 0 (cols[n_cols]) is the id of the
 * row's partition copy (INT, dense from 0 in order of creation on this shard), hidden column 1 its
 * birth (LONG): when it was created, the same on any number of shards; its low 10 bits are the key
 * group of the partition's key, where all state of the copy belongs.
 *
 * `sub` is 0 for rows that events made (one turn's rows are all on one shard); for rows that a
 * timer
 * made it is what orders them among shards: part of the flush :1 (0 expired, 1 current), then the
 * global turn :63 of the expiring event, or of the first event of group, session or match; inside a
 * PARTITION the copy's birth alone. Rows of one sub are of one shard and in order.
 *
 * Work is handed over in slices: a step's rows at once, or one row after the other (row mode). So
 * kernels look at the words of the slice only, and what they write lies at the batch's positions.
 *
 *   sel     ……██▓█│█▓▓██▓█│▓██·····       a slice of 3 words: the first and last are cut
 *              from ▲            ▲ until
 *
 * A failing row is a row: a kernel sets its bit and code (struct efx_fails) and goes on, the
 * operator sends it out by its error edge with the same moment.
 *
 *   Owner   borrowed for the call; whoever keeps a row copies it, strings by value
 *   Limits  EFX_BATCH_ROWS_MAX rows
 *   Order   rows stand as one-at-a-time evaluation, depth first, would have made them
 */
enum efx_row_kind { EFX_ROW_CURRENT = 1, EFX_ROW_EXPIRED, EFX_ROW_RESET };

struct efx_batch {
    uint32_t n_rows;
    uint32_t n_cols;
    uint32_t n_hidden;
    const struct efx_col *cols; /* [n_cols + n_hidden] */
    const uint64_t *sel;
    const int64_t *ts_ms;
    const int64_t *clk_ms;
    const uint8_t *kind;
    const efx_moment *moment;
    const uint64_t *sub;
    const uint16_t *code;
    const uint64_t *set_end;
    const uint64_t *number;
};

struct efx_rows { /* a slice: rows from .. until - 1 */
    const struct efx_batch *b;
    uint32_t from, until;
};

static inline struct efx_rows efx_rows_all(const struct efx_batch *b)
{
    return (struct efx_rows){b, 0, b->n_rows};
}

/* Selection word w of the slice, w = from / 64 .. efx_words(until) - 1: rows outside are zero. */
static inline uint64_t efx_rows_word(const struct efx_rows *r, uint32_t w)
{
    uint64_t word = efx_word(r->b->sel, w, r->until);
    return w == r->from / 64 ? word & UINT64_MAX << r->from % 64 : word;
}

/* Rows that are there. */
static inline uint32_t efx_rows_count(const struct efx_rows *r)
{
    if (r->b->sel == NULL) {
        return r->until - r->from;
    }
    uint32_t n = 0;
    for (uint32_t w = r->from / 64; w < efx_words(r->until); w++) {
        n += (uint32_t)__builtin_popcountll(efx_rows_word(r, w));
    }
    return n;
}

/* Is every row of the slice there? */
static inline bool efx_rows_dense(const struct efx_rows *r)
{
    return r->b->sel == NULL || efx_rows_count(r) == r->until - r->from;
}

/* The places of the rows that are there, ascending; returns how many. `at` has room for all. */
uint32_t efx_rows_list(const struct efx_rows *r, uint32_t *at);

/* Where a kernel marks rows that failed. The bits are the caller's and zero at the start; a row
 * that is marked twice keeps its first code. */
struct efx_fails {
    uint64_t *failed; /* [words] */
    uint16_t *code;   /* [n_rows]; set where the bit is */
    bool any;
};

static inline void efx_fail_row(struct efx_fails *f, uint32_t i, uint16_t code)
{
    f->any = true;
    if (!efx_bit(f->failed, i)) {
        efx_bit_put(f->failed, i, true);
        f->code[i] = code;
    }
}

static inline int64_t efx_batch_clk_ms(const struct efx_batch *b, uint32_t i)
{
    return b->clk_ms != NULL ? b->clk_ms[i] : b->ts_ms[i];
}

static inline uint8_t efx_batch_kind(const struct efx_batch *b, uint32_t i)
{
    return b->kind != NULL ? b->kind[i] : (uint8_t)EFX_ROW_CURRENT;
}

#endif /* EFX_BATCH_H */
