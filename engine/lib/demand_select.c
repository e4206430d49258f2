/* SELECT on demand: two or three operators that live for one query, and tables pushed through them.
 *
 *   table's slabs ─► [filter] ─► project | select ─► rows          one pass
 *   the end       ─► ORDER BY, LIMIT: a row that is not there ends the row set
 *                    aggregates, GROUP BY: `finish` flushes the one batch
 *
 * Aggregates without GROUP BY that no row reached are made once more, of a row of NULLs that no
 * aggregate takes in (language §12: exactly one row).
 */
#include "demand.h"

#include "efx_hash.h"

struct chain {
    struct efx_op *op[2]; /* filter, project or select; closed in the end */
    uint32_t n;
    struct efx_edge into;
};

static struct efx_op_open how_of(struct demand *d)
{
    return (struct efx_op_open){.arena = &d->arena,
                                .mem = &efx_mem_libc,
                                .ctx = &d->ctx,
                                .n_out = 1,
                                .kg = {0, EFX_KEY_GROUPS - 1}};
}

/* Behind the last operator of the chain stands this one. */
static void append(struct chain *c, struct efx_op *op, struct demand_rows *out)
{
    struct efx_edge edge = {op->rows, op, 0, 0};
    if (c->n == 0) {
        c->into = edge;
    } else {
        c->op[c->n - 1]->out[0].rows = edge;
    }
    op->out[0].rows = (struct efx_edge){efx_demand__take, &out->base, 0, 0};
    op->out[0].errors = (struct efx_edge){efx_demand__failed, &out->base, 0, 0};
    c->op[c->n++] = op;
}

static void chain_close(struct chain *c)
{
    while (c->n > 0) {
        struct efx_op *op = c->op[--c->n];
        op->vt->close(op);
    }
}

static enum efx_rc chain_open(struct demand *d, const struct efx_pdemand *p,
                              struct demand_rows *out, struct chain *c)
{
    struct efx_op_open how = how_of(d);
    struct efx_op *op = NULL;
    *c = (struct chain){0};
    if (p->where != NULL) {
        EFX_RET(efx_op_filter_create(&how, p->where, &op));
        append(c, op, out);
    }
    if (p->select != NULL) {
        EFX_RET(efx_op_select_create(&how, p->select, &op, &d->err));
    } else {
        EFX_RET(efx_op_project_create(&how, p->project, &op));
    }
    append(c, op, out);
    return EFX_OK;
}

/* ---- rows in ---- */

enum efx_rc efx_demand__push(struct demand *d, const struct efx_edge *into,
                             const struct efx_batch *b)
{
    struct efx_rows rows = efx_rows_all(b);
    d->ctx.seed = efx_hash_mix(d->seed, d->n_pushed++);
    return efx_edge_push(into, d->step, &rows);
}

static enum efx_rc scan(struct demand *d, const struct efx_bobject *table,
                        const struct efx_edge *into)
{
    const struct efx_table_view *view = d->tables[table->id];
    enum efx_rc rc = EFX_OK;
    for (uint64_t from = 0; rc == EFX_OK;) {
        struct efx_ctx_mark mark = efx_ctx_begin(&d->ctx);
        struct efx_batch b;
        bool more = view->scan(view, &d->ctx, &from, &b);
        if (more) {
            b.ts_ms = b.clk_ms = d->clock_ms;
            rc = efx_demand__push(d, into, &b);
        }
        efx_ctx_end(&d->ctx, mark);
        if (!more) {
            break;
        }
    }
    return rc;
}

/* A row of NULLs in the shape of the input. */
static struct efx_batch nulls(struct demand *d, const struct efx_op_in *in)
{
    struct efx_col *cols = efx_scratch_zero(&d->ctx, (in->n_cols + 1) * sizeof *cols);
    void *slot = efx_scratch_zero(&d->ctx, sizeof(struct efx_cell));
    uint64_t *valid = efx_scratch_zero(&d->ctx, sizeof *valid);
    for (uint32_t c = 0; c < in->n_cols; c++) {
        cols[c] = (struct efx_col){in->types[c], slot, valid};
    }
    return efx_demand__batch(d, cols, in->n_cols, 1);
}

/* The row set is complete: a row that is not there says so. */
static enum efx_rc end_set(struct demand *d, const struct efx_pdemand *p, struct efx_op *select)
{
    static const uint64_t none[1] = {0}, end[1] = {1};
    struct efx_ctx_mark mark = efx_ctx_begin(&d->ctx);
    struct efx_batch b = nulls(d, &p->in);
    b.sel = none;
    b.set_end = end;
    enum efx_rc rc = efx_demand__push(d, &(struct efx_edge){select->rows, select, 0, 0}, &b);
    efx_ctx_end(&d->ctx, mark);
    return rc;
}

static enum efx_rc feed(struct demand *d, const struct efx_pdemand *p, const struct chain *c)
{
    struct efx_op *last = c->op[c->n - 1];
    EFX_RET(p->join != NULL ? efx_demand__join(d, p->join, &c->into)
                            : scan(d, d->bound->stmt->inputs[0].object, &c->into));
    if (p->set) {
        EFX_RET(end_set(d, p, last));
    }
    return p->whole ? last->vt->finish(last, d->step, EFX_MOMENT_END) : EFX_OK;
}

/* Aggregates of no rows. */
static enum efx_rc of_nothing(struct demand *d, enum efx_pdemand_how how, struct demand_rows *out)
{
    struct efx_pdemand p;
    struct chain c;
    EFX_RET(efx_plan_demand_select(&d->ask, d->bound->stmt, how | EFX_PDEMAND_NOTHING, &p));
    enum efx_rc rc = chain_open(d, &p, out, &c);
    if (rc == EFX_OK) {
        struct efx_ctx_mark mark = efx_ctx_begin(&d->ctx);
        struct efx_batch b = nulls(d, &p.in);
        struct efx_op *last = c.op[c.n - 1];
        rc = efx_demand__push(d, &c.into, &b);
        rc = rc == EFX_OK ? last->vt->finish(last, d->step, EFX_MOMENT_END) : rc;
        efx_ctx_end(&d->ctx, mark);
    }
    chain_close(&c);
    return rc;
}

enum efx_rc efx_demand__select(struct demand *d, struct demand_rows *out)
{
    const struct efx_bstmt *s = d->bound->stmt;
    enum efx_pdemand_how how = d->bound->distinct ? EFX_PDEMAND_DISTINCT : 0;
    struct efx_pdemand p;
    struct chain c;
    EFX_RET(efx_plan_demand_select(&d->ask, s, how, &p));
    EFX_RET(efx_demand__rows_init(d, &p.out, d->bound->distinct, out));
    enum efx_rc rc = chain_open(d, &p, out, &c);
    rc = rc == EFX_OK ? feed(d, &p, &c) : rc;
    bool reached = c.n > 0 && c.op[c.n - 1]->n_rows_in > 0;
    chain_close(&c);
    if (rc == EFX_OK && s->n_aggs > 0 && s->n_group == 0 && !reached) {
        rc = of_nothing(d, how, out);
    }
    return rc;
}
