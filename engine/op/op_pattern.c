/* PATTERN: the automaton of engine/cep between an operator's inlets and outlets.
 *
 *   inlet 0 ──►┐                          ┌──► rows    a row a match, columns = outs
 *   inlet 1 ──►┤ automaton ─► matches ─►──┤            with `expired` also one a dead partial
 *   …       ──►┘                          └──► errors  input rows: a filter failed, 3106
 *
 * Matches are copied out as they come, into columns of the scratch that are made with the first one
 * of a call, and pushed when they are full or the call ends. A row whose aggregate fails is not put
 * out; the event that completed it goes to the error edge.
 *
 *   Owner    partials in `mem`; the compiled pattern in the arena
 *   Errors   3106; what filters and aggregates' arguments raise. Of a row that a timer makes: none,
 *            there is no event to blame
 *   Limits   max_partials; ROWS_MAX rows a push
 *   Order    rows as their causes come; limits passed before the row that passed them
 *   State    engine/cep/nfa_save.c
 */
#include "efx_nfa_run.h"
#include "efx_ops.h"

enum { ROWS_MAX = 1024 };

struct emit { /* rows that go out together; col NULL = none came yet */
    uint32_t n;
    struct efx_col *col;
    void **data;
    uint64_t **valid;
    int64_t *ts_ms, *clk_ms;
    efx_moment *moment;
    uint64_t *sub;
    uint8_t *kind;
};

struct op_pattern {
    struct efx_op base;
    const struct efx_nfa *nfa;
    struct efx_nfa_run *run;
    uint32_t n_cols;             /* outs and hidden ones */
    const struct efx_step *step; /* of the call */
    struct efx_fails fails;      /* of its input rows */
    struct emit emit;
};

static void emit_make(struct op_pattern *self)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct emit *e = &self->emit;
    e->col = efx_scratch_zero(ctx, self->n_cols * sizeof *e->col);
    e->data = efx_scratch(ctx, self->n_cols * sizeof *e->data);
    e->valid = efx_scratch(ctx, self->n_cols * sizeof *e->valid);
    for (uint32_t k = 0; k < self->n_cols; k++) {
        enum efx_type t = self->nfa->outs[k].type;
        e->valid[k] = efx_scratch_zero(ctx, ROWS_MAX / 8);
        e->data[k] = efx_scratch(ctx, ROWS_MAX * efx_type_width(t));
        e->col[k] = (struct efx_col){.type = t, .data = e->data[k], .valid = e->valid[k]};
    }
    e->ts_ms = efx_scratch(ctx, ROWS_MAX * sizeof *e->ts_ms);
    e->clk_ms = efx_scratch(ctx, ROWS_MAX * sizeof *e->clk_ms);
    e->moment = efx_scratch(ctx, ROWS_MAX * sizeof *e->moment);
    e->sub = efx_scratch(ctx, ROWS_MAX * sizeof *e->sub);
    e->kind = efx_scratch(ctx, ROWS_MAX);
}

static enum efx_rc emit_push(struct op_pattern *self)
{
    struct emit *e = &self->emit;
    uint32_t needs = self->base.out[0].rows.needs;
    struct efx_batch b = {
        .n_rows = e->n,
        .n_cols = self->nfa->n_outs,
        .n_hidden = self->nfa->n_hidden_outs,
        .cols = e->col,
        .ts_ms = e->ts_ms,
        .clk_ms = e->clk_ms,
        .kind = self->nfa->expired ? e->kind : NULL,
        .moment = (needs & EFX_NEEDS_MOMENT) != 0 || self->nfa->expired ? e->moment : NULL,
        .sub = (needs & EFX_NEEDS_SUB) != 0 ? e->sub : NULL,
    };
    if (e->n == 0) {
        return EFX_OK;
    }
    struct efx_rows rows = efx_rows_all(&b);
    self->base.n_rows_out += e->n;
    e->n = 0;
    return efx_edge_push(&self->base.out[0].rows, self->step, &rows);
}

static enum efx_rc emit_row(void *arg, uint32_t partial, const struct efx_nfa_cause *why)
{
    struct op_pattern *self = arg;
    struct emit *e = &self->emit;
    if (e->col == NULL) {
        emit_make(self);
    }
    uint32_t i = e->n;
    uint16_t code = efx_nfa_run_outs(self->run, partial, e->data, e->valid, i);
    if (code != 0) {
        if (why->row != EFX_NO_COL) {
            efx_fail_row(&self->fails, why->row, code);
        }
        return EFX_OK;
    }
    e->ts_ms[i] = why->ts_ms;
    e->clk_ms[i] = why->clk_ms;
    e->moment[i] = why->moment;
    e->sub[i] = why->sub;
    e->kind[i] = why->expired ? EFX_ROW_EXPIRED : EFX_ROW_CURRENT;
    e->n++;
    return e->n == ROWS_MAX ? emit_push(self) : EFX_OK;
}

static enum efx_rc push_failed(struct op_pattern *self, const struct efx_rows *in)
{
    if (!self->fails.any) {
        return EFX_OK;
    }
    struct efx_batch b = *in->b;
    b.sel = self->fails.failed;
    b.code = self->fails.code;
    struct efx_rows rows = {.b = &b, .from = in->from, .until = in->until};
    self->base.n_rows_failed += efx_rows_count(&rows);
    return efx_edge_push(&self->base.out[0].errors, self->step, &rows);
}

static void call_begin(struct op_pattern *self, const struct efx_step *step)
{
    self->step = step;
    self->emit.col = NULL;
    self->emit.n = 0;
}

static enum efx_rc pattern_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                                const struct efx_rows *in)
{
    struct op_pattern *self = (struct op_pattern *)op;
    struct efx_ctx_mark mark = efx_ctx_begin(op->ctx);
    call_begin(self, step);
    op->n_rows_in += efx_rows_count(in);
    self->fails = (struct efx_fails){
        .failed = efx_scratch_zero(op->ctx, efx_words(in->until) * sizeof(uint64_t)),
        .code = efx_scratch(op->ctx, in->until * sizeof(uint16_t)),
    };
    enum efx_rc rc = efx_nfa_run_rows(self->run, inlet, step, in, &self->fails);
    if (rc == EFX_OK) {
        rc = emit_push(self);
    }
    if (rc == EFX_OK) {
        rc = push_failed(self, in);
    }
    efx_ctx_end(op->ctx, mark);
    return rc;
}

static int64_t pattern_next_due_ms(const struct efx_op *op)
{
    return efx_nfa_run_due_ms(((const struct op_pattern *)op)->run);
}

static enum efx_rc pattern_finish(struct efx_op *op, const struct efx_step *step, efx_moment until)
{
    struct op_pattern *self = (struct op_pattern *)op;
    struct efx_ctx_mark mark = efx_ctx_begin(op->ctx);
    call_begin(self, step);
    enum efx_rc rc = efx_nfa_run_expire(self->run, step, until, NULL);
    if (rc == EFX_OK) {
        rc = emit_push(self);
    }
    efx_ctx_end(op->ctx, mark);
    return rc;
}

static void pattern_mark(struct efx_op *op, const struct efx_mark *mark)
{
    (void)mark; /* every save is a base */
    efx_nfa_run_mark(((struct op_pattern *)op)->run);
}

static enum efx_rc pattern_slice(struct efx_op *op, uint32_t budget_rows, struct efx_save *out)
{
    return efx_nfa_run_slice(((struct op_pattern *)op)->run, budget_rows, out);
}

static enum efx_rc pattern_load(struct efx_op *op, struct efx_kg_range kg, struct efx_reader *r,
                                struct efx_err *err)
{
    return efx_nfa_run_load(((struct op_pattern *)op)->run, kg, r, err);
}

static enum efx_rc pattern_load_end(struct efx_op *op, struct efx_err *err)
{
    (void)err;
    return efx_nfa_run_load_end(((struct op_pattern *)op)->run);
}

static size_t pattern_bytes(const struct efx_op *op)
{
    return efx_nfa_run_bytes(((const struct op_pattern *)op)->run);
}

static void pattern_close(struct efx_op *op)
{
    efx_nfa_run_close(((struct op_pattern *)op)->run);
}

static const struct efx_op_vt pattern_vt = {
    .name = "pattern",
    .rows = pattern_rows,
    .next_due_ms = pattern_next_due_ms,
    .finish = pattern_finish,
    .stop = efx_op_nothing_held,
    .origin_set = efx_op_origin_ignore,
    .schema = 1,
    .mark = pattern_mark,
    .slice = pattern_slice,
    .load = pattern_load,
    .load_end = pattern_load_end,
    .bytes = pattern_bytes,
    .close = pattern_close,
};

static enum efx_rc compile(const struct efx_op_open *how, const struct efx_pattern_conf *conf,
                           const struct efx_nfa **out, struct efx_err *err)
{
    uint32_t *n_cols = EFX_NEW_N(how->arena, uint32_t, conf->n_inputs);
    const enum efx_type **types = EFX_NEW_N(how->arena, const enum efx_type *, conf->n_inputs);
    if (n_cols == NULL || types == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < conf->n_inputs; i++) {
        n_cols[i] = conf->in[i].n_cols;
        types[i] = conf->in[i].types;
    }
    return efx_nfa_compile(how->arena,
                           &(struct efx_nfa_conf){
                               .pattern = conf->pattern,
                               .n_inputs = conf->n_inputs,
                               .n_cols = n_cols,
                               .types = types,
                               .partitioned = conf->in[0].partitioned,
                               .n_outs = conf->n_outs,
                               .outs = conf->outs,
                               .keep_hidden = conf->keep_hidden,
                               .expired = conf->expired,
                           },
                           out, err);
}

enum efx_rc efx_op_pattern_create(const struct efx_op_open *how,
                                  const struct efx_pattern_conf *conf, struct efx_op **out,
                                  struct efx_err *err)
{
    struct op_pattern *self = EFX_NEW(how->arena, struct op_pattern);
    if (self == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(compile(how, conf, &self->nfa, err));
    self->n_cols = self->nfa->n_outs + self->nfa->n_hidden_outs;
    EFX_RET(efx_op_init(&self->base, &pattern_vt, how));
    EFX_RET(efx_nfa_run_create(
        &(struct efx_nfa_open){
            .how = how,
            .nfa = self->nfa,
            .op = &self->base,
            .sink = {.emit = emit_row, .arg = self},
            .max_partials = conf->max_partials,
        },
        &self->run));
    *out = &self->base;
    return EFX_OK;
}
