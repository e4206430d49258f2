#ifndef EFX_EXPR_H
#define EFX_EXPR_H

#include "efx_bind.h"
#include "efx_op.h"

/* Bound expressions compiled to vector steps over a batch.
 *
 * The compiler gets a map from the expression's sources to the columns of the batch it will see, so
 * joins, patterns, aggregates and output columns are all plain columns by then. Evaluation runs one
 * kernel a node over the slice's rows that are there, in twins with and without NULLs; lazy
 * operands (AND, OR, IN, CASE, COALESCE) are evaluated for the rows that reach them only, so a data
 * error in an operand that is not reached does not count.
 *
 *   a > 5 AND b / c = 2      a > 5 ─► bits ──► narrowed rows ─► b / c ─► = 2 ─► bits
 *
 *   Owner    a compiled expression lives in the plan arena, immutable, shared by all shards;
 *   results
 *            point into the batch (a plain column reference copies nothing) or into the scratch of
 *            ctx and live until the caller's efx_ctx_end; texts live until the step ends
 *   Errors   per row, by efx_fails; the value of a failed row is NULL
 *   Threads  any number at once, each with its own ctx
 */
struct efx_expr;

/* Column of the batch for a reference; EFX_NO_COL = cannot be. `arg` is the caller's. */
struct efx_expr_map {
    uint32_t (*col)(void *arg, const struct efx_bx *ref); /* COL, AGG, ELEM_AGG, IS_BOUND,
                                   EVENT_TS with src != NONE (a LONG column) */
    void *arg;
    /* IN_TABLE and EXISTS ask a table through this while they run; NULL = there are none. Values
     * of `x` are compared as EQ; found bit set = some row matches. */
    const struct efx_table_probe *(*table)(void *arg, const struct efx_bx *ref);
};

/* A table as expressions see it: engine/op implements it. `self` is found at run time by the
 * shard's own instance, so the plan holds a number that the ctx resolves. */
struct efx_table_probe {
    uint32_t table; /* id of the object */
    uint32_t col;   /* IN_TABLE: the column */
};

/* What IN_TABLE and EXISTS ask at run time: one per table in a shard, in ctx->tables[object id]. */
struct efx_table_view {
    /* Is there a row with column `col` = value i of x (types as in EQ)? */
    bool (*has)(const struct efx_table_view *self, uint32_t col, const struct efx_col *x,
                uint32_t i);
    /* Rows as batches in insertion order: *from = 0 at first; false = no more. */
    bool (*scan)(const struct efx_table_view *self, struct efx_ctx *ctx, uint64_t *from,
                 struct efx_batch *out);
};

enum efx_rc efx_expr_compile(struct efx_arena *plan, const struct efx_bx *bx,
                             const struct efx_expr_map *map,
                             const struct efx_expr **out) EFX_MUST_USE;

enum efx_type efx_expr_type(const struct efx_expr *e);
/* The batch column it is a plain reference to; EFX_NO_COL = it computes something. */
uint32_t efx_expr_col(const struct efx_expr *e);
/* May evaluation ever fail for a row? If not, callers need no fails. */
bool efx_expr_can_fail(const struct efx_expr *e);
/* Is it a constant? *out gets it. */
bool efx_expr_const(const struct efx_expr *e, struct efx_value *out);

/* Values at the slice's places that are there; out->valid NULL = none of them is NULL. */
void efx_expr_eval(const struct efx_expr *e, struct efx_ctx *ctx, const struct efx_step *step,
                   const struct efx_rows *in, struct efx_col *out, struct efx_fails *fails);
/* Bits of the slice's words: yes = TRUE, and the row is there, and nothing failed. Words of the
 * slice only are written; bits outside it are zero. */
void efx_expr_filter(const struct efx_expr *e, struct efx_ctx *ctx, const struct efx_step *step,
                     const struct efx_rows *in, uint64_t *yes, struct efx_fails *fails);

#endif /* EFX_EXPR_H */
