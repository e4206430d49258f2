/* INSERT, UPSERT, UPDATE and DELETE on demand: one change of one table, whole or not at all.
 *
 *   VALUES, SELECT ─► rows (kept) ─► checked ─► batches of 4,096 into the table
 *   UPDATE, DELETE ─► one row without columns: the table's own rows are all there is to look at
 *
 * The table takes a batch whole or not at all. Of several batches all are checked before the first
 * goes in, so none can fail later.
 */
#include "demand.h"

#include "efx_hash.h"

enum { CODE_NULL = 3102 };

/* ---- values ---- */

/* One value as a column of one row. */
static enum efx_rc value_of(struct demand *d, const struct efx_bx *bx, const struct efx_rows *row,
                            struct efx_col *out)
{
    if (bx->op == EFX_BX_CONST) {
        void *slot = efx_scratch_zero(&d->ctx, sizeof(struct efx_cell));
        uint64_t *valid = efx_scratch_zero(&d->ctx, sizeof *valid);
        efx_value_to_slot(&bx->lit, slot, valid, 0);
        *out = (struct efx_col){bx->type, slot, valid};
        return EFX_OK;
    }
    const struct efx_expr *e;
    uint64_t failed = 0;
    uint16_t code = 0;
    struct efx_fails fails = {&failed, &code, false};
    EFX_RET(efx_plan_demand_expr(&d->ask, bx, &e));
    efx_expr_eval(e, &d->ctx, d->step, row, out, &fails);
    return fails.any ? efx_demand__data_error(d, code) : EFX_OK;
}

static enum efx_rc value_row(struct demand *d, struct efx_bx *const *values,
                             struct demand_rows *out)
{
    struct efx_batch b = efx_demand__batch(d, NULL, 0, 1);
    struct efx_rows row = efx_rows_all(&b);
    struct efx_col *cols = efx_scratch(&d->ctx, (out->n_cols + 1) * sizeof *cols);
    d->ctx.seed = efx_hash_mix(d->seed, d->n_pushed++);
    for (uint32_t c = 0; c < out->n_cols; c++) {
        EFX_RET(value_of(d, values[c], &row, &cols[c]));
    }
    return efx_demand__add(out, cols, 0);
}

static enum efx_rc values(struct demand *d, struct demand_rows *out)
{
    uint32_t n = d->bound->n_value_rows;
    out->chunk_rows = n < EFX_BATCH_ROWS_MAX ? n + 1 : EFX_BATCH_ROWS_MAX;
    enum efx_rc rc = efx_demand__rows_init(d, &d->bound->stmt->target.object->schema, false, out);
    for (uint32_t r = 0; rc == EFX_OK && r < n; r++) {
        struct efx_ctx_mark mark = efx_ctx_begin(&d->ctx);
        rc = value_row(d, d->bound->values[r], out);
        efx_ctx_end(&d->ctx, mark);
    }
    return rc;
}

/* ---- checks ---- */

static bool is_primary(const struct efx_bobject *table, uint32_t col)
{
    for (uint32_t i = 0; table->n_keys > 0 && i < table->keys[0].cols.n; i++) {
        if (table->keys[0].primary && table->keys[0].cols.col[i] == col) {
            return true;
        }
    }
    return false;
}

/* What would be inserted or set must be there where it has to be. */
static enum efx_rc check_batch(struct demand *d, const struct efx_table_port *port,
                               const struct efx_batch *b)
{
    const struct efx_bobject *table = d->bound->stmt->target.object;
    struct efx_rows rows = efx_rows_all(b);
    struct efx_fails fails = {efx_scratch_zero(&d->ctx, efx_words(b->n_rows) * sizeof(uint64_t)),
                              efx_scratch(&d->ctx, b->n_rows * sizeof(uint16_t)), false};
    for (uint32_t c = 0; c < table->schema.n_cols; c++) {
        struct efx_col col;
        if (port->kind == EFX_PORT_UPSERT) {
            efx_expr_eval(port->insert[c], &d->ctx, d->step, &rows, &col, &fails);
        } else {
            col = b->cols[c];
        }
        bool needed = table->schema.cols[c].not_null || is_primary(table, c);
        for (uint32_t i = 0; needed && i < b->n_rows; i++) {
            if (!efx_bit(col.valid, i)) {
                efx_fail_row(&fails, i, CODE_NULL);
            }
        }
    }
    for (uint32_t i = 0; fails.any && i < b->n_rows; i++) {
        if (efx_bit(fails.failed, i)) {
            return efx_demand__data_error(d, fails.code[i]);
        }
    }
    return EFX_OK;
}

static enum efx_rc check_all(struct demand *d, const struct efx_table_port *port,
                             const struct demand_rows *rows)
{
    enum efx_rc rc = EFX_OK;
    for (const struct demand_chunk *c = rows->first; rc == EFX_OK && c != NULL; c = c->next) {
        struct efx_ctx_mark mark = efx_ctx_begin(&d->ctx);
        struct efx_batch b = efx_demand__batch(d, c->cols, rows->n_cols, c->n);
        rc = check_batch(d, port, &b);
        efx_ctx_end(&d->ctx, mark);
    }
    return rc;
}

/* ---- the change ---- */

/* The table evaluates with its shard's ctx: for the statement it sees all tables of the app. */
static enum efx_rc change(struct demand *d, const struct efx_table_port *port,
                          const struct efx_batch *b, uint64_t *n_changed)
{
    struct efx_op *table = efx_app_table(d->parts.app, d->bound->stmt->target.object->id);
    const struct efx_table_view *const *tables = table->ctx->tables;
    uint64_t seed = table->ctx->seed, n = 0;
    struct efx_rows rows = efx_rows_all(b);
    table->ctx->tables = d->tables;
    table->ctx->seed = efx_hash_mix(d->seed, d->n_pushed++);
    enum efx_rc rc = efx_op_table_change(table, port, d->step, &rows, &n, &d->err);
    table->ctx->tables = tables;
    table->ctx->seed = seed;
    *n_changed += rc == EFX_OK ? n : 0;
    return rc;
}

/* A row of an UPSERT that leaves out a column which may not be NULL can only be judged against the
 * table as it stands when its turn has come. */
static bool lacks_needed(const struct efx_bstmt *s)
{
    const struct efx_schema *schema = &s->target.object->schema;
    for (uint32_t c = 0; s->upsert && c < schema->n_cols; c++) {
        bool needed = schema->cols[c].not_null || is_primary(s->target.object, c);
        if (needed && !s->upsert_sets[c]) {
            return true;
        }
    }
    return false;
}

static enum efx_rc put(struct demand *d, const struct efx_table_port *port,
                       const struct demand_rows *rows, uint64_t *n_changed)
{
    if (rows->first != rows->last) {
        if (lacks_needed(d->bound->stmt)) {
            return EFX_FAIL(&d->err, EFX_ETYPE, EFX_KIND_USER, 9001,
                            "UPSERT of more than %d rows without a NOT NULL column is not built "
                            "yet: name the column, or take fewer rows",
                            EFX_BATCH_ROWS_MAX);
        }
        EFX_RET(check_all(d, port, rows));
    }
    for (const struct demand_chunk *c = rows->first; c != NULL; c = c->next) {
        struct efx_batch b = efx_demand__batch(d, c->cols, rows->n_cols, c->n);
        EFX_RET(change(d, port, &b, n_changed));
    }
    return EFX_OK;
}

enum efx_rc efx_demand__change(struct demand *d, uint64_t *n_changed)
{
    const struct efx_bstmt *s = d->bound->stmt;
    struct efx_table_port port;
    struct demand_rows rows = {.chunk_rows = EFX_BATCH_ROWS_MAX};
    *n_changed = 0;
    EFX_RET(efx_plan_demand_port(&d->ask, s, &port));
    if (s->kind == EFX_STMT_UPDATE || s->kind == EFX_STMT_DELETE) {
        struct efx_batch b = efx_demand__batch(d, NULL, 0, 1);
        return change(d, &port, &b, n_changed);
    }
    EFX_RET(s->n_inputs > 0 ? efx_demand__select(d, &rows) : values(d, &rows));
    return put(d, &port, &rows, n_changed);
}
