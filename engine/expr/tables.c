/* IN table and EXISTS: questions to a table while an expression runs.
 *
 *   x IN t.c        the table's own look-up, row by row
 *   (cond) IN t     for each row that gets here, the table is scanned until a row makes cond TRUE
 *
 * The condition is compiled over batches of the table's rows, in front, and the columns of the
 * stream's row that it mentions, behind, each of these one value in all places:
 *
 *   table columns 0 … n_table - 1 │ outer[0] outer[1] …      ts_ms, clk_ms of the stream's row
 *
 *   Errors  a condition that fails for some row of the table, and is TRUE for none, fails the row
 */
#include "efx_expr_impl.h"
#include "efx_kernel.h"

static const struct efx_table_view *view_of(const struct efx_expr *e, const struct efx_ctx *ctx)
{
    EFX_ASSERT(ctx->tables != NULL && ctx->tables[e->table] != NULL);
    return ctx->tables[e->table];
}

void efx_expr__in_table_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                             struct efx_expr__bits out)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    const struct efx_table_view *view = view_of(e, r->ctx);
    struct efx_col x;
    e->args[0]->values(e->args[0], r, &x);
    efx_expr__live(r->rows, x.valid, NULL, out.f);
    for (uint32_t w = r->rows->from / 64; w < efx_words(r->rows->until); w++) {
        out.t[w] = 0;
        for (uint64_t left = out.f[w]; left != 0; left &= left - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(left);
            out.t[w] |= (uint64_t)view->has(view, e->table_col, &x, i) << (i % 64);
        }
        out.f[w] &= ~out.t[w];
    }
    efx_ctx_end(r->ctx, mark);
}

/* Value i of c in the first n places. */
static struct efx_col repeat(struct efx_ctx *ctx, const struct efx_col *c, uint32_t i, uint32_t n)
{
    uint8_t *data = efx_scratch(ctx, (size_t)n * efx_type_width(c->type));
    bool null = !efx_bit(c->valid, i);
    for (uint32_t k = 0; !null && k < n; k++) {
        efx_col_copy_slot(data, k, c, i);
    }
    uint64_t *none = null ? efx_scratch_zero(ctx, efx_words(n) * sizeof(uint64_t)) : NULL;
    return (struct efx_col){c->type, data, none};
}

static const int64_t *repeat_ms(struct efx_ctx *ctx, int64_t ms, uint32_t n)
{
    int64_t *data = efx_scratch(ctx, (size_t)n * sizeof *data);
    for (uint32_t k = 0; k < n; k++) {
        data[k] = ms;
    }
    return data;
}

/* A batch of the table with row i of the stream beside it. */
static struct efx_batch side_by_side(const struct efx_expr__exists *x,
                                     const struct efx_expr__run *r, uint32_t i,
                                     const struct efx_batch *t)
{
    struct efx_col *cols = efx_scratch(r->ctx, (x->n_table + x->n_outer + 1) * sizeof *cols);
    memcpy(cols, t->cols, x->n_table * sizeof *cols);
    for (uint32_t k = 0; k < x->n_outer; k++) {
        cols[x->n_table + k] = repeat(r->ctx, &r->rows->b->cols[x->outer[k]], i, t->n_rows);
    }
    return (struct efx_batch){
        .n_rows = t->n_rows,
        .n_cols = x->n_table + x->n_outer,
        .cols = cols,
        .sel = t->sel,
        .ts_ms = repeat_ms(r->ctx, r->rows->b->ts_ms[i], t->n_rows),
        .clk_ms = repeat_ms(r->ctx, efx_batch_clk_ms(r->rows->b, i), t->n_rows),
    };
}

/* *code: of the first row that failed in a scan without a hit, else 0. */
static bool exists(const struct efx_expr *e, const struct efx_expr__run *r, uint32_t i,
                   uint16_t *code)
{
    const struct efx_table_view *view = view_of(e, r->ctx);
    struct efx_batch found;
    bool hit = false;
    *code = 0;
    for (uint64_t from = 0; !hit;) {
        struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
        if (!view->scan(view, r->ctx, &from, &found)) {
            efx_ctx_end(r->ctx, mark);
            break;
        }
        struct efx_batch b = side_by_side(e->exists, r, i, &found);
        uint32_t words = efx_words(b.n_rows);
        uint64_t *yes = efx_scratch_zero(r->ctx, words * sizeof *yes);
        struct efx_fails fails = {efx_scratch_zero(r->ctx, words * sizeof(uint64_t)),
                                  efx_scratch(r->ctx, (size_t)b.n_rows * sizeof(uint16_t)), false};
        const struct efx_rows rows = efx_rows_all(&b);
        efx_expr_filter(e->exists->cond, r->ctx, r->step, &rows, yes, &fails);
        for (uint32_t w = 0; w < words; w++) {
            hit = hit || yes[w] != 0;
            if (*code == 0 && fails.failed[w] != 0) {
                *code = fails.code[w * 64 + (uint32_t)__builtin_ctzll(fails.failed[w])];
            }
        }
        efx_ctx_end(r->ctx, mark);
    }
    return hit;
}

void efx_expr__exists_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_expr__bits out)
{
    efx_expr__live(r->rows, NULL, NULL, out.f);
    for (uint32_t w = r->rows->from / 64; w < efx_words(r->rows->until); w++) {
        out.t[w] = 0;
        for (uint64_t left = out.f[w]; left != 0; left &= left - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(left);
            uint16_t code;
            bool hit = exists(e, r, i, &code);
            out.t[w] |= (uint64_t)hit << (i % 64);
            if (!hit && code != 0) {
                efx_fail_row(r->fails, i, code);
                out.f[w] &= ~((uint64_t)1 << (i % 64));
            }
        }
        out.f[w] &= ~out.t[w];
    }
}
