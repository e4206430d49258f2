/* SELECT without state: a row for a row, at the same place. Plain columns are passed by pointer. */
#include "efx_ops.h"

struct op_project {
    struct efx_op base;
    const struct efx_project_conf *conf;
    bool can_fail;
};

/* A NULL where the target has NOT NULL fails its row. */
static void check_not_null(const struct efx_col *c, const struct efx_rows *in,
                           struct efx_fails *fails)
{
    if (c->valid == NULL) {
        return;
    }
    for (uint32_t w = in->from / 64; w < efx_words(in->until); w++) {
        for (uint64_t bad = efx_rows_word(in, w) & ~c->valid[w]; bad != 0; bad &= bad - 1) {
            efx_fail_row(fails, w * 64 + (uint32_t)__builtin_ctzll(bad), 3102);
        }
    }
}

static enum efx_rc push_failed(struct efx_op *op, const struct efx_step *step,
                               const struct efx_rows *in, const struct efx_fails *f, uint64_t *rest)
{
    for (uint32_t w = in->from / 64; w < efx_words(in->until); w++) {
        rest[w] = efx_rows_word(in, w) & ~f->failed[w];
        f->failed[w] &= efx_rows_word(in, w);
    }
    struct efx_batch bad = *in->b;
    bad.sel = f->failed;
    bad.code = f->code;
    struct efx_rows rows = {&bad, in->from, in->until};
    op->n_rows_failed += efx_rows_count(&rows);
    return efx_edge_push(&op->out[0].errors, step, &rows);
}

static enum efx_rc project(struct op_project *self, const struct efx_step *step,
                           const struct efx_rows *in)
{
    struct efx_op *op = &self->base;
    const struct efx_project_conf *conf = self->conf;
    uint32_t w0 = in->from / 64, w1 = efx_words(in->until);
    struct efx_fails fails = {NULL, NULL, false};
    if (self->can_fail) {
        fails.failed = efx_scratch(op->ctx, w1 * sizeof *fails.failed);
        memset(fails.failed + w0, 0, (w1 - w0) * sizeof *fails.failed);
        fails.code = efx_scratch(op->ctx, in->until * sizeof *fails.code);
    }
    struct efx_col *cols = efx_scratch(op->ctx, (conf->n_out + 2) * sizeof *cols);
    for (uint32_t i = 0; i < conf->n_out; i++) {
        efx_expr_eval(conf->exprs[i], op->ctx, step, in, &cols[i], &fails);
        if (conf->not_null != NULL && conf->not_null[i]) {
            check_not_null(&cols[i], in, &fails);
        }
    }
    op->n_rows_in += efx_rows_count(in);
    struct efx_batch b = *in->b;
    b.n_cols = conf->n_out;
    b.n_hidden = 0;
    b.cols = cols;
    b.kind = NULL;
    if (conf->keep_hidden) {
        cols[conf->n_out] = in->b->cols[conf->in.n_cols];
        cols[conf->n_out + 1] = in->b->cols[conf->in.n_cols + 1];
        b.n_hidden = 2;
    }
    if (fails.any) {
        uint64_t *rest = efx_scratch(op->ctx, w1 * sizeof *rest);
        EFX_RET(push_failed(op, step, in, &fails, rest));
        b.sel = rest;
    }
    struct efx_rows rows = {&b, in->from, in->until};
    uint32_t n = efx_rows_count(&rows);
    op->n_rows_out += n;
    return n == 0 ? EFX_OK : efx_edge_push(&op->out[0].rows, step, &rows);
}

static enum efx_rc project_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                                const struct efx_rows *in)
{
    (void)inlet;
    struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
    enum efx_rc rc = project((struct op_project *)op, step, in);
    efx_ctx_end(op->ctx, m);
    return rc;
}

static const struct efx_op_vt project_vt = {
    .name = "project",
    .rows = project_rows,
    .next_due_ms = efx_op_never_due,
    .finish = efx_op_nothing_due,
    .stop = efx_op_nothing_held,
    .origin_set = efx_op_origin_ignore,
    .mark = efx_op_mark_nothing,
    .slice = efx_op_slice_nothing,
    .load = efx_op_load_nothing,
    .load_end = efx_op_load_end_nothing,
    .bytes = efx_op_no_bytes,
    .close = efx_op_close_nothing,
};

enum efx_rc efx_op_project_create(const struct efx_op_open *how,
                                  const struct efx_project_conf *conf, struct efx_op **out)
{
    struct op_project *self = EFX_NEW(how->arena, struct op_project);
    if (self == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_op_init(&self->base, &project_vt, how));
    self->conf = conf;
    for (uint32_t i = 0; i < conf->n_out; i++) {
        self->can_fail = self->can_fail || efx_expr_can_fail(conf->exprs[i]) ||
                         (conf->not_null != NULL && conf->not_null[i]);
    }
    *out = &self->base;
    return EFX_OK;
}
