/* Triggers: a stream (triggered_time LONG) that only the clock writes (language §15).
 *
 *   start 1000 ── START fires at 1000, before the first event
 *   EVERY 500     1500 · 2000 · 2500 …   exact multiples after the start
 *
 * When one step moves the clock over more than max_catch_up due times, only the last ones fire; the
 * others are counted.
 *
 *   State  16 bytes, base at every save: next due time, start
 */
#include "efx_ops.h"

enum { ROWS = 256, STATE_BYTES = 16 };

struct op_trigger {
    struct efx_op base;
    const struct efx_trigger_conf *conf;
    uint64_t n_skipped;
    bool marked;
    int64_t due_ms; /* EFX_TS_NONE: the clock has not started; EFX_NEVER_MS: fires no more */
    int64_t start_ms;
};

static int64_t trigger_next_due_ms(const struct efx_op *op)
{
    /* Not started is due at once: finish then learns the start from the step. */
    return ((const struct op_trigger *)op)->due_ms;
}

static void begin(struct op_trigger *self, const struct efx_step *step)
{
    if (self->due_ms == EFX_TS_NONE) {
        self->start_ms = step->start_ms;
        self->due_ms = step->start_ms;
        if (self->conf->kind == EFX_AST_TRIGGER_EVERY &&
            __builtin_add_overflow(self->start_ms, self->conf->every_ms, &self->due_ms)) {
            self->due_ms = EFX_NEVER_MS;
        }
    }
}

static void go_on(struct op_trigger *self)
{
    if (self->conf->kind != EFX_AST_TRIGGER_EVERY ||
        __builtin_add_overflow(self->due_ms, self->conf->every_ms, &self->due_ms)) {
        self->due_ms = EFX_NEVER_MS;
    }
}

/* Leaves out what is more than max_catch_up before the step's end. */
static void skip(struct op_trigger *self, const struct efx_step *step)
{
    if (self->conf->kind != EFX_AST_TRIGGER_EVERY || self->due_ms > step->clk_last_ms) {
        return;
    }
    int64_t n = (step->clk_last_ms - self->due_ms) / self->conf->every_ms + 1;
    if (n > self->conf->max_catch_up) {
        self->n_skipped += (uint64_t)(n - self->conf->max_catch_up);
        self->due_ms += (n - self->conf->max_catch_up) * self->conf->every_ms;
    }
}

static enum efx_rc fire(struct op_trigger *self, const struct efx_step *step, efx_moment until)
{
    struct efx_op *op = &self->base;
    int64_t *at = efx_scratch(op->ctx, ROWS * sizeof *at);
    efx_moment *moment = efx_scratch(op->ctx, ROWS * sizeof *moment);
    uint32_t n;
    do {
        n = 0;
        while (n < ROWS && efx_op_due(op, step, self->due_ms, until)) {
            at[n] = self->due_ms;
            moment[n++] = efx_op_timer_moment(op, step, self->due_ms);
            go_on(self);
        }
        struct efx_col col = {EFX_TYPE_LONG, at, NULL};
        struct efx_batch b = {
            .n_rows = n, .n_cols = 1, .cols = &col, .ts_ms = at, .moment = moment};
        struct efx_rows rows = efx_rows_all(&b);
        op->n_rows_out += n;
        if (n > 0) {
            EFX_RET(efx_edge_push(&op->out[0].rows, step, &rows));
        }
    } while (n == ROWS);
    return EFX_OK;
}

static enum efx_rc trigger_finish(struct efx_op *op, const struct efx_step *step, efx_moment until)
{
    struct op_trigger *self = (struct op_trigger *)op;
    if (step->start_ms == EFX_TS_NONE) {
        return EFX_OK;
    }
    begin(self, step);
    skip(self, step);
    struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
    enum efx_rc rc = fire(self, step, until);
    efx_ctx_end(op->ctx, m);
    return rc;
}

static enum efx_rc trigger_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                                const struct efx_rows *in)
{
    (void)op;
    (void)inlet;
    (void)step;
    (void)in;
    return EFX_EBUG; /* events from outside are refused before they are numbered */
}

static void trigger_mark(struct efx_op *op, const struct efx_mark *mark)
{
    (void)mark;
    ((struct op_trigger *)op)->marked = true;
}

/* Saved at once, before the next step can change it: it is 16 bytes. */
static enum efx_rc trigger_slice(struct efx_op *op, uint32_t budget_rows, struct efx_save *out)
{
    struct op_trigger *self = (struct op_trigger *)op;
    (void)budget_rows;
    if (self->marked) {
        self->marked = false;
        struct efx_writer w = efx_save_writer(out, op->key_group, STATE_BYTES);
        efx_put_i64(&w, self->due_ms);
        efx_put_i64(&w, self->start_ms);
    }
    return EFX_DONE;
}

static enum efx_rc trigger_load(struct efx_op *op, struct efx_kg_range kg, struct efx_reader *r,
                                struct efx_err *err)
{
    struct op_trigger *self = (struct op_trigger *)op;
    struct efx_reader section;
    uint32_t key_group;
    while (efx_load_next(r, kg, &key_group, &section)) {
        self->due_ms = efx_get_i64(&section);
        self->start_ms = efx_get_i64(&section);
        r->bad = r->bad || section.bad || section.left > 0;
    }
    return r->bad
               ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved state of a trigger is damaged")
               : EFX_OK;
}

uint64_t efx_op_trigger_skipped(const struct efx_op *trigger)
{
    return ((const struct op_trigger *)trigger)->n_skipped;
}

static const struct efx_op_vt trigger_vt = {
    .name = "trigger",
    .rows = trigger_rows,
    .next_due_ms = trigger_next_due_ms,
    .finish = trigger_finish,
    .stop = efx_op_nothing_held,
    .origin_set = efx_op_origin_ignore,
    .schema = 1,
    .mark = trigger_mark,
    .slice = trigger_slice,
    .load = trigger_load,
    .load_end = efx_op_load_end_nothing,
    .bytes = efx_op_no_bytes,
    .close = efx_op_close_nothing,
};

enum efx_rc efx_op_trigger_create(const struct efx_op_open *how,
                                  const struct efx_trigger_conf *conf, struct efx_op **out)
{
    struct op_trigger *self = EFX_NEW(how->arena, struct op_trigger);
    if (self == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_op_init(&self->base, &trigger_vt, how));
    self->conf = conf;
    self->due_ms = EFX_TS_NONE;
    self->start_ms = EFX_TS_NONE;
    *out = &self->base;
    return EFX_OK;
}
