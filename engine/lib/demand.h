#ifndef DEMAND_H
#define DEMAND_H

#include "efx_lib.h"

/* On-demand statements while they run: what the files demand*.c share.
 *
 *   demand.c         text → bound statement → rows for the caller, or a number
 *   demand_select.c  SELECT: operators made for one query, tables pushed through them
 *   demand_join.c    two tables side by side
 *   demand_rows.c    the rows that came out; DISTINCT
 *   demand_change.c  INSERT, UPSERT, UPDATE, DELETE
 *
 *   Owner    everything lives in the query's arena and ctx and is given back when it ends; tables
 *            are only looked at, views of them are good because no step runs
 *   Limits   DEMAND_BYTES_MAX of rows that a statement keeps
 *   Errors   a data error fails the whole statement: the operators stop, nothing is given
 *            or changed
 *   Threads  the app's caller, under the app's lock, between two steps
 */
static const size_t DEMAND_BYTES_MAX = (size_t)1 << 30;

struct demand {
    struct efx_lib__parts parts;
    struct efx_arena arena;
    struct efx_ctx ctx;                   /* of the query's operators */
    const struct efx_table_view **tables; /* [n_objects] all of the app's, on whatever shard */
    const struct efx_step *step;
    const int64_t *clock_ms; /* [EFX_BATCH_ROWS_MAX] the present clock: tables' rows have no time */
    uint64_t seed, n_pushed; /* each batch has chances of its own */
    struct efx_pdemand_ask ask;
    const struct efx_bondemand *bound;
    struct efx_err err;
};

/* ---- rows ---- */

struct demand_chunk {
    uint32_t n, n_max;
    struct efx_col *cols; /* [n_cols] */
    struct demand_chunk *next;
};

struct demand_seen { /* DISTINCT: places of rows, by hash */
    uint64_t hash;
    const struct demand_chunk *chunk; /* NULL = free */
    uint32_t row;
};

struct demand_rows { /* the end of the chain: operators push into it */
    struct efx_op base;
    struct demand *d;
    uint32_t n_cols;
    const enum efx_type *types; /* [n_cols] */
    uint64_t n;
    struct demand_chunk *first, *last;
    uint32_t chunk_rows; /* of every chunk, for what goes on as batches; 0 = they grow */
    bool distinct;
    struct demand_seen *seen; /* [n_seen_max], a power of two */
    uint64_t n_seen_max;
};

/* Keeps out->chunk_rows. */
enum efx_rc efx_demand__rows_init(struct demand *d, const struct efx_schema *schema, bool distinct,
                                  struct demand_rows *out) EFX_MUST_USE;
/* Push functions: rows that came out, rows that failed (EFX_EDATA, d->err is set). */
enum efx_rc efx_demand__take(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                             const struct efx_rows *rows);
enum efx_rc efx_demand__failed(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                               const struct efx_rows *rows);
/* One row of values at cols[c] row `row`. */
enum efx_rc efx_demand__add(struct demand_rows *r, const struct efx_col *cols,
                            uint32_t row) EFX_MUST_USE;
/* A chunk as a batch. */
struct efx_batch efx_demand__batch(const struct demand *d, const struct efx_col *cols,
                                   uint32_t n_cols, uint32_t n_rows);
enum efx_rc efx_demand__data_error(struct demand *d, uint16_t code);

/* ---- statements ---- */

/* A batch on its way into the first operator. */
enum efx_rc efx_demand__push(struct demand *d, const struct efx_edge *into,
                             const struct efx_batch *b) EFX_MUST_USE;
enum efx_rc efx_demand__join(struct demand *d, const struct efx_pdemand_join *j,
                             const struct efx_edge *into) EFX_MUST_USE;
/* The rows of the statement's SELECT. */
enum efx_rc efx_demand__select(struct demand *d, struct demand_rows *out) EFX_MUST_USE;
enum efx_rc efx_demand__change(struct demand *d, uint64_t *n_changed) EFX_MUST_USE;

#endif /* DEMAND_H */
