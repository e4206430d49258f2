/* Joins of two sides: streams with windows, streams that hold all, a stream joined with itself.
 *
 *   a row arrives    what is due before it leaves, on both sides ─► what it pushes out leaves
 *                    ─► it enters ─► it meets what the other side holds, oldest first
 *
 *   left   1   2           3                a row set for each event that has found somebody;
 *   right        a   b         c            outer joins: or has found nobody
 *   out          1a  1b    3a  1c …
 *
 * A run of rows of one inlet is prepared as a whole: keys, entries, log rows, and the window's list
 * of what comes and goes. Then the changes are taken in order. The other side stands still
 * meanwhile but for its timers, which are looked at by one comparison. In a self join every row
 * takes both roles; each has its own log and window, and the two lists are merged: row by row, left
 * before right, timers by moment. Where both roles hold the same rows (same window, same keys, no
 * removals) they are kept once (`twin`).
 *
 * What happens is written down as a script (join_emit.c) that is judged and put out in batches, so
 * the residual condition runs over columns and never row by row.
 *
 *   NULL     keys with a NULL meet nobody
 *   Late     windows see to their own rules; WITHIN is decided by timestamps
 *   Order    in the order of the run; timers of both sides by due time, left before right
 *   Errors   a condition that fails is not met, the row that arrived leaves by the error edge too;
 *            windows that flush whole batches are refused (9001)
 *   Limits   see join.h
 */
#include "join.h"

static enum efx_rc push_failed(struct join_run *run, const struct efx_rows *in)
{
    struct op_join *op = run->op;
    if (!run->fails.any) {
        return EFX_OK;
    }
    struct efx_batch bad = *in->b;
    bad.sel = run->fails.failed;
    bad.code = run->fails.code;
    struct efx_rows rows = {&bad, in->from, in->until};
    op->base.n_rows_failed += efx_rows_count(&rows);
    return efx_edge_push(&op->base.out[0].errors, run->step, &rows);
}

static void step_begin(struct op_join *op, const struct efx_step *step)
{
    if (op->step_no != step->no) {
        op->step_no = step->no;
        efx_join__kill_gone(op);
    }
}

static enum efx_rc run_rows(struct op_join *op, uint32_t inlet, const struct efx_step *step,
                            const struct efx_rows *in)
{
    uint32_t *at = efx_scratch(op->base.ctx, EFX_BATCH_ROWS_MAX * sizeof *at);
    struct join_rows rows = {.in = *in, .at = at, .n = efx_rows_list(in, at)};
    if (rows.n == 0) {
        return EFX_OK;
    }
    op->base.n_rows_in += rows.n;
    step_begin(op, step);
    struct join_run run;
    efx_join__run_init(&run, op, step, in->b);
    const struct efx_join_side *side = op->conf->side;
    run.mixed = op->conf->self && side[0].triggers && side[1].triggers;
    run.probes = (uint8_t)(!op->conf->self ? inlet : side[0].triggers ? 0 : 1);
    EFX_RET(op->twin
                ? (op->flows ? efx_join__flow_twin(&run, &rows) : efx_join__run_twin(&run, &rows))
            : op->conf->self ? efx_join__run_self(&run, &rows)
                             : efx_join__run_side(&run, &rows, inlet));
    EFX_RET(efx_join__emit(&run));
    efx_join__del_empty(op);
    return push_failed(&run, in);
}

static enum efx_rc join_rows(struct efx_op *self, uint32_t inlet, const struct efx_step *step,
                             const struct efx_rows *in)
{
    struct efx_ctx_mark mark = efx_ctx_begin(self->ctx);
    enum efx_rc rc = run_rows((struct op_join *)self, inlet, step, in);
    efx_ctx_end(self->ctx, mark);
    return rc;
}

/* ---- runs of both inlets ---- */

/* Runs from i on in which each inlet has rows of one batch; rows[no].in.b NULL: it has none. */
static uint32_t stretch_of(const struct efx_run *runs, uint32_t i, uint32_t n,
                           struct efx_rows *rows)
{
    rows[0] = rows[1] = (struct efx_rows){0};
    for (; i < n; i++) {
        const struct efx_rows *r = &runs[i].rows;
        struct efx_rows *of = &rows[runs[i].inlet];
        if (of->b == NULL) {
            *of = *r;
        } else if (of->b == r->b && of->until == r->from) {
            of->until = r->until;
        } else {
            break;
        }
    }
    return i;
}

static enum efx_rc run_both(struct op_join *op, const struct efx_step *step,
                            const struct efx_rows *in, const struct efx_run *runs, uint32_t n)
{
    struct join_rows rows[2];
    struct join_run run;
    for (uint32_t no = 0; no < 2; no++) {
        uint32_t *at = efx_scratch(op->base.ctx, EFX_BATCH_ROWS_MAX * sizeof *at);
        rows[no] = (struct join_rows){.in = in[no], .at = at, .n = efx_rows_list(&in[no], at)};
        if (rows[no].n == 0) {
            return EFX_AGAIN;
        }
    }
    op->base.n_rows_in += rows[0].n + rows[1].n;
    step_begin(op, step);
    efx_join__run_init(&run, op, step, in[0].b);
    run.mixed = true;
    EFX_RET(efx_join__flow_both(&run, rows, runs, n));
    efx_join__del_empty(op);
    return EFX_OK;
}

static enum efx_rc run_by_run(struct efx_op *self, const struct efx_step *step,
                              const struct efx_run *runs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        EFX_RET(join_rows(self, runs[i].inlet, step, &runs[i].rows));
    }
    return EFX_OK;
}

static enum efx_rc join_runs(struct efx_op *self, const struct efx_step *step,
                             const struct efx_run *runs, uint32_t n)
{
    struct op_join *op = (struct op_join *)self;
    if (!op->flows) {
        return run_by_run(self, step, runs, n);
    }
    for (uint32_t i = 0, until; i < n; i = until) {
        struct efx_rows in[2];
        enum efx_rc rc = EFX_AGAIN;
        until = stretch_of(runs, i, n, in);
        if (in[0].b != NULL && in[1].b != NULL && in[0].b->moment != NULL &&
            in[1].b->moment != NULL) {
            struct efx_ctx_mark mark = efx_ctx_begin(self->ctx);
            rc = run_both(op, step, in, runs + i, until - i);
            efx_ctx_end(self->ctx, mark);
        }
        EFX_RET(rc == EFX_AGAIN ? run_by_run(self, step, runs + i, until - i) : rc);
    }
    return EFX_OK;
}

/* ---- timers ---- */

static int64_t join_next_due_ms(const struct efx_op *self)
{
    const struct op_join *op = (const struct op_join *)self;
    int64_t left = efx_join__due_ms(op, 0), right = efx_join__due_ms(op, 1);
    return left < right ? left : right;
}

static enum efx_rc join_finish(struct efx_op *self, const struct efx_step *step, efx_moment until)
{
    struct op_join *op = (struct op_join *)self;
    if (!efx_op_due(self, step, join_next_due_ms(self), until)) {
        return EFX_OK;
    }
    struct efx_ctx_mark mark = efx_ctx_begin(self->ctx);
    step_begin(op, step);
    struct join_run run;
    efx_join__run_init(&run, op, step, NULL);
    enum efx_rc rc = efx_join__fire_both(&run, until);
    if (rc == EFX_OK) {
        rc = efx_join__emit(&run);
    }
    efx_join__del_empty(op);
    efx_ctx_end(self->ctx, mark);
    return rc;
}

static void join_origin_set(struct efx_op *self, int64_t t0_ms)
{
    struct op_join *op = (struct op_join *)self;
    for (uint32_t no = 0; no < 2; no++) {
        struct efx_window *w = op->side[no].window;
        if (w != NULL) {
            w->vt->origin_set(w, t0_ms);
        }
    }
}

static size_t join_bytes(const struct efx_op *self)
{
    const struct op_join *op = (const struct op_join *)self;
    size_t bytes = efx_keyed_bytes(op->index) + op->n_pairs * sizeof *op->pair;
    for (uint32_t no = 0; no < 2; no++) {
        const struct join_side *s = &op->side[no];
        size_t row = sizeof *s->link + (s->pairs != NULL ? sizeof *s->pairs : 0);
        bytes += s->n_ring * row + (s->log != NULL ? efx_log_bytes(s->log) : 0);
        bytes += s->window != NULL ? s->window->vt->bytes(s->window) : 0;
    }
    return bytes + (op->joined != NULL ? efx_log_bytes(op->joined) : 0);
}

static void join_close(struct efx_op *self)
{
    struct op_join *op = (struct op_join *)self;
    efx_join__side_close(op, 0);
    efx_join__side_close(op, 1);
    efx_keyed_destroy(&op->index);
    efx_log_destroy(&op->joined);
    op->mem->free(op->mem, op->pair, op->n_pairs * sizeof *op->pair);
    op->mem->free(op->mem, op->empty, op->n_empty_max * sizeof *op->empty);
    op->mem->free(op->mem, op->pairs_gone.number,
                  op->pairs_gone.n_max * sizeof *op->pairs_gone.number);
}

static const struct efx_op_vt join_vt = {
    .name = "join",
    .rows = join_rows,
    .runs = join_runs,
    .next_due_ms = join_next_due_ms,
    .finish = join_finish,
    .stop = efx_op_nothing_held,
    .origin_set = join_origin_set,
    .schema = 1,
    .mark = efx_join__mark,
    .slice = efx_join__slice,
    .load = efx_join__load,
    .load_end = efx_join__load_end,
    .bytes = join_bytes,
    .close = join_close,
};

/* ---- opening ---- */

static bool side_can_fail(const struct efx_join_conf *conf, uint32_t no)
{
    bool can = false;
    for (uint32_t k = 0; k < conf->n_eq; k++) {
        can = can || efx_expr_can_fail(conf->side[no].keys[k]);
    }
    return can;
}

static bool roles_share_keys(const struct efx_join_conf *conf)
{
    bool same = conf->self;
    for (uint32_t k = 0; k < conf->n_eq; k++) {
        uint32_t col = efx_expr_col(conf->side[0].keys[k]);
        same = same && col != EFX_NO_COL && col == efx_expr_col(conf->side[1].keys[k]);
    }
    return same;
}

/* Do both roles hold the same rows, and nothing tells them apart? */
static bool roles_are_twins(const struct op_join *op)
{
    const struct efx_join_side *l = &op->conf->side[0], *r = &op->conf->side[1];
    if (!op->same_keys || op->removes || !l->triggers || !r->triggers || l->window != r->window) {
        return false;
    }
    if (l->window == NULL) {
        return l->holds && r->holds && l->ttl_ms == r->ttl_ms;
    }
    enum efx_evicts evicts = l->window->base.traits.evicts; /* that let every row in */
    return (evicts == EFX_EVICTS_BY_DUE || evicts == EFX_EVICTS_BY_ARRIVAL) &&
           memcmp(l->window_conf, r->window_conf, l->window->base.conf_bytes) == 0;
}

/* Can all columns come from the logs, and do the windows let every row in and say so by `flow`? */
static bool can_flow(const struct op_join *op)
{
    bool can = op->plain && !op->can_fail && !op->partitioned && (op->twin || !op->conf->self);
    for (uint32_t no = 0; no < (op->twin ? 1 : 2); no++) {
        const struct efx_window_vt *w = op->conf->side[no].window;
        bool all_in =
            w == NULL || (w->flow != NULL && (w->base.traits.evicts == EFX_EVICTS_BY_DUE ||
                                              w->base.traits.evicts == EFX_EVICTS_BY_ARRIVAL));
        can = can && all_in && op->side[no].log != NULL;
    }
    return can;
}

static enum efx_rc index_open(struct op_join *op, const struct efx_op_open *how)
{
    uint32_t n = op->conf->n_eq;
    enum efx_type *types = EFX_NEW_N(how->arena, enum efx_type, n + 1);
    if (types == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t k = 0; k < n; k++) {
        types[k] = op->conf->key_types[k];
    }
    types[n] = EFX_TYPE_LONG; /* birth */
    op->heads_conf.bytes = sizeof(struct join_heads);
    op->index_conf = (struct efx_keyed_conf){.n_cells = n + (op->partitioned ? 1 : 0),
                                             .types = types,
                                             .n_states = 1,
                                             .states = &op->heads_conf,
                                             .key_group = op->key_group};
    EFX_RET(efx_keyed_create(op->mem, how->ctx, &op->index_conf, &op->index));
    op->heads = efx_keyed_states(op->index, 0);
    return EFX_OK;
}

static enum efx_rc joined_open(struct op_join *op, const struct efx_op_open *how,
                               struct efx_err *err)
{
    const struct efx_op_in *left = &op->conf->side[0].in, *right = &op->conf->side[1].in;
    uint32_t n = left->n_cols + right->n_cols, n_all = n + (op->partitioned ? 1 : 0) + 2;
    if (n_all > EFX_LOG_COLS_MAX) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0,
                        "a join whose rows are taken out again has more than %d columns",
                        EFX_LOG_COLS_MAX - 3);
    }
    enum efx_type *types = EFX_NEW_N(how->arena, enum efx_type, n_all);
    if (types == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < n_all; c++) {
        types[c] = c < left->n_cols ? left->types[c]
                   : c < n          ? right->types[c - left->n_cols]
                                    : EFX_TYPE_LONG;
    }
    op->joined_conf = (struct efx_log_conf){
        .n_cols = n_all, .types = types, .has_group = true, .key_group = op->key_group};
    return efx_log_create(op->mem, &op->joined_conf, &op->joined);
}

static enum efx_rc check(const struct efx_join_conf *conf, struct efx_err *err)
{
    for (uint32_t no = 0; no < 2; no++) {
        const struct efx_window_vt *w = conf->side[no].window;
        if (w != NULL && (w->base.traits.flushes || w->base.traits.evicts == EFX_EVICTS_WHOLE ||
                          w->base.traits.evicts == EFX_EVICTS_NOTHING)) {
            return EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, 9001,
                            "a join with a %s window is not built yet", w->base.name);
        }
    }
    return EFX_OK;
}

static enum efx_rc open_parts(struct op_join *op, const struct efx_op_open *how,
                              struct efx_err *err)
{
    EFX_RET(index_open(op, how));
    EFX_RET(efx_join__side_open(op, how, 0, err));
    EFX_RET(efx_join__side_open(op, how, 1, err));
    bool both = op->conf->side[0].triggers && op->conf->side[1].triggers;
    EFX_ASSERT(!op->conf->self || !both || op->twin ||
               (op->side[0].log != NULL && op->side[1].log != NULL));
    return op->removes ? joined_open(op, how, err) : EFX_OK;
}

enum efx_rc efx_op_join_create(const struct efx_op_open *how, const struct efx_join_conf *conf,
                               struct efx_op **out, struct efx_err *err)
{
    EFX_RET(check(conf, err));
    struct op_join *op = EFX_NEW(how->arena, struct op_join);
    if (op == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_op_init(&op->base, &join_vt, how));
    op->conf = conf;
    op->mem = how->mem;
    op->kg = how->kg;
    op->key_group = how->key_group;
    op->partitioned = conf->side[0].in.partitioned;
    op->removes =
        conf->want_expired && (conf->side[0].window != NULL || conf->side[1].window != NULL);
    op->same_keys = roles_share_keys(conf);
    op->can_fail = side_can_fail(conf, 0) || side_can_fail(conf, 1) ||
                   (conf->residual != NULL && efx_expr_can_fail(conf->residual));
    op->twin = roles_are_twins(op);
    op->plain = !op->removes && conf->residual == NULL;
    op->pair_base = JOIN_UNDECIDED;
    op->pair_floor = 1;
    op->saving = JOIN_PARTS;
    enum efx_rc rc = open_parts(op, how, err);
    if (rc != EFX_OK) {
        join_close(&op->base);
        return rc;
    }
    op->flows = can_flow(op);
    *out = &op->base;
    return EFX_OK;
}
