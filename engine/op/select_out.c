/* From rows of the environment to rows of the target: select list, HAVING, sets, target columns.
 *
 *   made ─► outputs ─► HAVING ─┬─────────────► target columns ─► push
 *              │failed    │    └─► set ─► sorted, cut ──┘  │failed (3101), NOT NULL (3102)
 *              └──────────┴────────────────────────────────┴─► errors: the input's row
 *
 *   Order   rows keep their places; only a set moves them
 *   Errors  a row fails once, with its first code
 */
#include "select.h"

enum { DATA_ERROR_NOT_NULL = 3102 };

struct efx_col *efx_select__env(struct op_select *self)
{
    const struct efx_select_conf *conf = self->conf;
    uint32_t n = conf->n_env > self->n_in ? conf->n_env : self->n_in;
    struct efx_col *env = efx_scratch_zero(self->base.ctx, (n + 1) * sizeof *env);
    for (uint32_t c = 0; c < self->n_in; c++) {
        env[c].type = self->wide_types[c];
    }
    return env;
}

uint64_t efx_select__sub(const struct op_select *self, efx_moment moment, uint8_t kind,
                         uint64_t turn, int64_t birth)
{
    if (efx_moment_is_event(moment)) {
        return 0;
    }
    if (self->partitioned) {
        return (uint64_t)birth;
    }
    return (uint64_t)(kind == EFX_ROW_CURRENT) << 63 | (turn & UINT64_MAX >> 1);
}

static void fails_begin(struct efx_ctx *ctx, uint32_t from, uint32_t until, struct efx_fails *f)
{
    uint32_t w1 = efx_words(until);
    f->failed = efx_scratch(ctx, w1 * sizeof *f->failed);
    f->code = efx_scratch(ctx, until * sizeof *f->code);
    f->any = false;
    memset(f->failed + from / 64, 0, (w1 - from / 64) * sizeof *f->failed);
}

enum efx_rc efx_select__push_failed(struct op_select *self, const struct efx_step *step,
                                    const struct efx_batch *b, uint32_t from, uint32_t until,
                                    const struct efx_fails *fails)
{
    struct efx_rows there = {b, from, until};
    struct efx_batch bad = *b;
    uint64_t *sel = efx_scratch(self->base.ctx, efx_words(until) * sizeof *sel);
    for (uint32_t w = from / 64; w < efx_words(until); w++) {
        sel[w] = efx_rows_word(&there, w) & fails->failed[w];
    }
    bad.n_cols = self->conf->in.n_cols;
    bad.n_hidden = 0;
    bad.sel = sel;
    bad.kind = NULL;
    bad.set_end = NULL;
    bad.code = fails->code;
    struct efx_rows rows = {&bad, from, until};
    uint32_t n = efx_rows_count(&rows);
    self->base.n_rows_failed += n;
    return n == 0 || !self->conf->errors_read
               ? EFX_OK
               : efx_edge_push(&self->base.out[0].errors, step, &rows);
}

/* Takes rows that failed out of b->sel (its words are writable) and sends them away. */
static enum efx_rc drop_failed(struct op_select *self, const struct efx_step *step,
                               const struct efx_rows *rows, uint64_t *sel,
                               const struct efx_fails *fails)
{
    if (!fails->any) {
        return EFX_OK;
    }
    EFX_RET(efx_select__push_failed(self, step, rows->b, rows->from, rows->until, fails));
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        sel[w] &= ~fails->failed[w];
    }
    return EFX_OK;
}

static void check_not_null(const struct efx_col *c, const struct efx_rows *in,
                           struct efx_fails *fails)
{
    if (c->valid == NULL) {
        return;
    }
    for (uint32_t w = in->from / 64; w < efx_words(in->until); w++) {
        uint64_t bad = efx_rows_word(in, w) & ~c->valid[w] & ~fails->failed[w];
        for (; bad != 0; bad &= bad - 1) {
            efx_fail_row(fails, w * 64 + (uint32_t)__builtin_ctzll(bad), DATA_ERROR_NOT_NULL);
        }
    }
}

enum efx_rc efx_select__store(struct op_select *self, const struct efx_step *step,
                              const struct efx_rows *rows)
{
    const struct efx_select_conf *conf = self->conf;
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_fails fails;
    struct efx_col *cols = efx_scratch(ctx, (conf->n_store + 2) * sizeof *cols);
    struct efx_batch b = *rows->b;
    fails_begin(ctx, rows->from, rows->until, &fails);
    for (uint32_t i = 0; i < conf->n_store; i++) {
        efx_expr_eval(conf->store[i], ctx, step, rows, &cols[i], &fails);
        if (conf->not_null != NULL && conf->not_null[i]) {
            check_not_null(&cols[i], rows, &fails);
        }
    }
    if (fails.any) {
        uint32_t w1 = efx_words(rows->until);
        uint64_t *sel = efx_scratch(ctx, w1 * sizeof *sel);
        for (uint32_t w = rows->from / 64; w < w1; w++) {
            sel[w] = efx_rows_word(rows, w);
        }
        EFX_RET(drop_failed(self, step, rows, sel, &fails));
        b.sel = sel;
    }
    b.n_cols = conf->n_store;
    b.n_hidden = 0;
    if (conf->keep_hidden) {
        cols[conf->n_store] = rows->b->cols[conf->in.n_cols];
        cols[conf->n_store + 1] = rows->b->cols[conf->in.n_cols + 1];
        b.n_hidden = 2;
    }
    b.cols = cols;
    b.set_end = NULL;
    b.code = NULL;
    struct efx_rows out = {&b, rows->from, rows->until};
    uint32_t n = efx_rows_count(&out);
    self->base.n_rows_out += n;
    return n == 0 ? EFX_OK : efx_edge_push(&self->base.out[0].rows, step, &out);
}

/* The select list: every output becomes a column of the environment. */
static void outputs(struct op_select *self, const struct efx_step *step,
                    const struct efx_rows *rows, struct efx_col *env, struct efx_fails *fails)
{
    const struct efx_select_conf *conf = self->conf;
    for (uint32_t j = 0; j < conf->n_out; j++) {
        efx_expr_eval(conf->out[j], self->base.ctx, step, rows, &env[conf->env_out + j], fails);
    }
}

enum efx_rc efx_select__out(struct op_select *self, const struct efx_step *step,
                            struct select_made *m)
{
    const struct efx_select_conf *conf = self->conf;
    struct efx_ctx *ctx = self->base.ctx;
    uint32_t w0 = m->from / 64, w1 = efx_words(m->until);
    struct efx_rows rows = {&m->b, m->from, m->until};
    uint64_t *sel = efx_scratch(ctx, (w1 + 1) * sizeof *sel);
    struct efx_fails fails;
    for (uint32_t w = w0; w < w1; w++) {
        sel[w] = efx_rows_word(&rows, w);
    }
    m->b.sel = sel;
    if (!conf->expired) {
        m->b.kind = NULL;
    }
    if (m->fails != NULL && m->fails->any) {
        EFX_RET(drop_failed(self, step, &rows, sel, m->fails));
    }
    fails_begin(ctx, m->from, m->until, &fails);
    outputs(self, step, &rows, (struct efx_col *)(uintptr_t)m->b.cols, &fails);
    EFX_RET(drop_failed(self, step, &rows, sel, &fails));
    if (conf->having != NULL) {
        uint64_t *yes = efx_scratch(ctx, (w1 + 1) * sizeof *yes);
        fails_begin(ctx, m->from, m->until, &fails);
        efx_expr_filter(conf->having, ctx, step, &rows, yes, &fails);
        EFX_RET(drop_failed(self, step, &rows, sel, &fails));
        for (uint32_t w = w0; w < w1; w++) {
            sel[w] &= yes[w];
        }
    }
    return self->sets ? efx_select__set_add(self, step, &rows, m->b.set_end)
                      : efx_select__store(self, step, &rows);
}
