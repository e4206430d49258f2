/* WHERE: narrows the selection and keeps positions, so nothing is copied.
 *
 *   sel     1 1 0 1 1        rows that are there
 *   pred    T F · T err      evaluated for those only
 *   rows    1 0 0 1 0        out
 *   errors  0 0 0 0 1        out by errors, with the code
 */
#include "efx_ops.h"

struct op_filter {
    struct efx_op base;
    const struct efx_filter_conf *conf;
};

static uint32_t count_bits(const uint64_t *bits, uint32_t from_word, uint32_t until_word)
{
    uint32_t n = 0;
    for (uint32_t w = from_word; w < until_word; w++) {
        n += (uint32_t)__builtin_popcountll(bits[w]);
    }
    return n;
}

static enum efx_rc push_failed(struct efx_op *op, const struct efx_step *step,
                               const struct efx_rows *in, const struct efx_fails *f)
{
    struct efx_batch bad = *in->b;
    bad.sel = f->failed;
    bad.code = f->code;
    struct efx_rows rows = {&bad, in->from, in->until};
    op->n_rows_failed += efx_rows_count(&rows);
    return efx_edge_push(&op->out[0].errors, step, &rows);
}

static enum efx_rc filter(struct op_filter *self, const struct efx_step *step,
                          const struct efx_rows *in)
{
    struct efx_op *op = &self->base;
    uint32_t w0 = in->from / 64, w1 = efx_words(in->until);
    uint64_t *yes = efx_scratch(op->ctx, w1 * sizeof *yes);
    struct efx_fails fails = {NULL, NULL, false};
    if (efx_expr_can_fail(self->conf->pred)) {
        fails.failed = efx_scratch(op->ctx, w1 * sizeof *fails.failed);
        memset(fails.failed + w0, 0, (w1 - w0) * sizeof *fails.failed);
        fails.code = efx_scratch(op->ctx, in->until * sizeof *fails.code);
    }
    efx_expr_filter(self->conf->pred, op->ctx, step, in, yes, &fails);
    uint32_t n_in = efx_rows_count(in);
    uint32_t n_yes = count_bits(yes, w0, w1);
    op->n_rows_in += n_in;
    op->n_rows_out += n_yes;
    if (fails.any) {
        EFX_RET(push_failed(op, step, in, &fails));
    }
    if (n_yes == 0) {
        return EFX_OK;
    }
    if (n_yes == n_in) {
        return efx_edge_push(&op->out[0].rows, step, in);
    }
    struct efx_batch kept = *in->b;
    kept.sel = yes;
    return efx_edge_push(&op->out[0].rows, step, &(struct efx_rows){&kept, in->from, in->until});
}

static enum efx_rc filter_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                               const struct efx_rows *in)
{
    (void)inlet;
    struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
    enum efx_rc rc = filter((struct op_filter *)op, step, in);
    efx_ctx_end(op->ctx, m);
    return rc;
}

static const struct efx_op_vt filter_vt = {
    .name = "filter",
    .rows = filter_rows,
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

enum efx_rc efx_op_filter_create(const struct efx_op_open *how, const struct efx_filter_conf *conf,
                                 struct efx_op **out)
{
    struct op_filter *self = EFX_NEW(how->arena, struct op_filter);
    if (self == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_op_init(&self->base, &filter_vt, how));
    self->conf = conf;
    *out = &self->base;
    return EFX_OK;
}
