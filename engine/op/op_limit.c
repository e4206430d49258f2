/* OUTPUT ALL|FIRST|LAST EVERY n EVENTS|d (language §14).
 *
 *   ALL n    rows are held, all go with the n-th         ALL d    all go at the tick
 *   FIRST n  row 1 of every n (of its group) passes      FIRST d  passes if none did for d
 *   LAST n   at the n-th: the last row of each group     LAST d   likewise at the tick
 *
 * Ticks lie at multiples of d after the clock's first value; a tick at which nothing is held does
 * nothing, so the timer stands at the first tick behind the first row held. Held rows lie in the
 * heap, as bytes; a copy (inside a PARTITION) has a chain of them, or of its groups, in first-seen
 * order; copies release in order of birth.
 *
 *   State   keyed: copies (counts, chain), groups (count or time of FIRST; last row of LAST)
 *   Save    base every time, whole, when the save begins: what is held is little
 */
#include "limit.h"

#include "efx_rowbytes.h"

/* ---- rows that go out ---- */

struct limit_out {
    uint32_t n;
    int64_t ts[LIMIT_ROWS], clk[LIMIT_ROWS];
    efx_moment moment[LIMIT_ROWS];
    uint64_t sub[LIMIT_ROWS];
    uint8_t kind[LIMIT_ROWS];
    struct efx_rowbytes_cols to;
    struct efx_col *cols;
};

static struct limit_out *out_begin(struct op_limit *self)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct limit_out *o = efx_scratch(ctx, sizeof *o);
    o->n = 0;
    o->to.n_cols = self->n_kept;
    o->to.types = self->types;
    o->to.data = efx_scratch(ctx, self->n_kept * sizeof *o->to.data);
    o->to.valid = efx_scratch(ctx, self->n_kept * sizeof *o->to.valid);
    o->cols = efx_scratch(ctx, self->n_kept * sizeof *o->cols);
    for (uint32_t c = 0; c < self->n_kept; c++) {
        o->to.data[c] = efx_scratch(ctx, LIMIT_ROWS * efx_type_width(self->types[c]));
        o->to.valid[c] = efx_scratch(ctx, efx_words(LIMIT_ROWS) * 8);
        o->cols[c] = (struct efx_col){self->types[c], o->to.data[c], o->to.valid[c]};
    }
    return o;
}

static enum efx_rc out_push(struct op_limit *self, const struct efx_step *step, struct limit_out *o)
{
    struct efx_op *op = &self->base;
    struct efx_batch b = {.n_rows = o->n,
                          .n_cols = self->conf->in.n_cols,
                          .n_hidden = self->conf->keep_hidden ? 2 : 0,
                          .cols = o->cols,
                          .ts_ms = o->ts,
                          .clk_ms = o->clk,
                          .kind = o->kind,
                          .moment = o->moment,
                          .sub = o->sub};
    struct efx_rows rows = efx_rows_all(&b);
    op->n_rows_out += o->n;
    o->n = 0;
    return b.n_rows == 0 ? EFX_OK : efx_edge_push(&op->out[0].rows, step, &rows);
}

/* A held row goes out; its bytes must stay until the push is done, so they move to the step. */
static enum efx_rc out_add(struct op_limit *self, const struct efx_step *step, struct limit_out *o,
                           uint32_t ref, const struct limit_cause *cause)
{
    struct limit_held *h = efx_heap_at(self->heap, ref);
    uint8_t *bytes = efx_ctx_step_bytes(self->base.ctx, h->bytes);
    memcpy(bytes, (uint8_t *)(h + 1), h->bytes);
    struct efx_reader r = {bytes, h->bytes, false};
    EFX_ASSERT(efx_rowbytes_get(&r, &o->to, o->n));
    o->ts[o->n] = h->ts_ms;
    o->kind[o->n] = h->kind;
    o->clk[o->n] = cause->clk_ms;
    o->moment[o->n] = cause->moment;
    o->sub[o->n] = !cause->timer ? cause->sub : self->conf->in.partitioned ? h->birth : h->turn;
    o->n++;
    efx_heap_put(self->heap, ref, (uint32_t)sizeof *h + h->bytes);
    return o->n == LIMIT_ROWS ? out_push(self, step, o) : EFX_OK;
}

/* ---- what is held ---- */

static enum efx_rc hold(struct op_limit *self, const struct efx_step *step,
                        const struct efx_batch *b, uint32_t row, uint64_t birth, uint32_t group,
                        uint32_t *ref)
{
    uint32_t bytes = efx_rowbytes_size(b->cols, self->n_kept, row);
    EFX_RET(efx_heap_get(self->heap, (uint32_t)sizeof(struct limit_held) + bytes, ref));
    struct limit_held *h = efx_heap_at(self->heap, *ref);
    *h = (struct limit_held){.ts_ms = b->ts_ms[row],
                             .birth = birth,
                             .group = group,
                             .kind = efx_batch_kind(b, row),
                             .bytes = bytes};
    /* Rows of timers have no turn of their own: they stay behind what came before them. */
    h->turn = self->last_turn;
    if (b->moment != NULL && efx_moment_is_event(b->moment[row])) {
        uint64_t turn = efx_step_turn(step, b->moment[row]);
        h->turn = turn > h->turn ? turn : h->turn;
    }
    self->last_turn = h->turn;
    efx_rowbytes_put(b->cols, self->n_kept, row, (uint8_t *)(h + 1));
    return EFX_OK;
}

static enum efx_rc hold_all(struct op_limit *self, const struct efx_step *step,
                            const struct efx_batch *b, uint32_t row, struct limit_copy *c,
                            uint32_t group)
{
    uint32_t ref;
    EFX_RET(hold(self, step, b, row, c->birth, group, &ref));
    if (c->tail != 0) {
        ((struct limit_held *)efx_heap_at(self->heap, c->tail))->next = ref;
    } else {
        c->head = ref;
    }
    c->tail = ref;
    c->n_held++;
    self->n_held++;
    return EFX_OK;
}

static enum efx_rc hold_last(struct op_limit *self, const struct efx_step *step,
                             const struct efx_batch *b, uint32_t row, struct limit_copy *c,
                             uint32_t group)
{
    struct limit_group *g = efx_keyed_state(self->groups, group, 0);
    uint32_t ref;
    EFX_RET(hold(self, step, b, row, c->birth, group, &ref));
    if (g->last != 0) {
        struct limit_held *old = efx_heap_at(self->heap, g->last);
        ((struct limit_held *)efx_heap_at(self->heap, ref))->turn = old->turn;
        efx_heap_put(self->heap, g->last, (uint32_t)sizeof *old + old->bytes);
        g->last = ref;
        return EFX_OK;
    }
    g->last = ref;
    g->next = 0;
    if (c->tail != 0) {
        ((struct limit_group *)efx_keyed_state(self->groups, c->tail - 1, 0))->next = group + 1;
    } else {
        c->head = group + 1;
    }
    c->tail = group + 1;
    c->n_held++;
    self->n_held++;
    return EFX_OK;
}

/* All that a copy holds goes out, in order. */
static enum efx_rc release(struct op_limit *self, const struct efx_step *step, struct limit_copy *c,
                           const struct limit_cause *cause, struct limit_out *o)
{
    uint32_t at = c->head;
    self->n_held -= c->n_held;
    c->head = c->tail = 0;
    c->n_held = 0;
    c->n = cause->timer ? c->n : 0;
    while (at != 0) {
        uint32_t ref = at;
        if (self->conf->kind == EFX_AST_OUTPUT_LAST) {
            struct limit_group *g = efx_keyed_state(self->groups, at - 1, 0);
            ref = g->last;
            g->last = 0;
            at = g->next;
        } else {
            at = ((struct limit_held *)efx_heap_at(self->heap, ref))->next;
        }
        EFX_RET(out_add(self, step, o, ref, cause));
    }
    return EFX_OK;
}

/* Copies in order of birth: ids are given in that order, and load_end keeps it. */
static enum efx_rc release_all(struct op_limit *self, const struct efx_step *step,
                               const struct limit_cause *cause)
{
    struct limit_out *o = out_begin(self);
    for (uint32_t i = 0; i < self->n_order && self->n_held > 0; i++) {
        struct limit_copy *c = efx_keyed_state(self->copies, self->order[i], 0);
        EFX_RET(release(self, step, c, cause, o));
    }
    self->due_ms = EFX_NEVER_MS;
    return out_push(self, step, o);
}

static enum efx_rc fire(struct op_limit *self, const struct efx_step *step, efx_moment until)
{
    if (!efx_op_due(&self->base, step, self->due_ms, until)) {
        return EFX_OK;
    }
    struct efx_ctx_mark m = efx_ctx_begin(self->base.ctx);
    struct limit_cause cause = {efx_op_timer_moment(&self->base, step, self->due_ms), self->due_ms,
                                true, 0};
    enum efx_rc rc = release_all(self, step, &cause);
    efx_ctx_end(self->base.ctx, m);
    return rc;
}

/* The end of the program is like a timer of each limiter, in order of definition, at a time when
 * all that is due has been done. */
static efx_moment stop_moment(const struct op_limit *self, const struct efx_step *step)
{
    return efx_op_timer_moment(&self->base, step, step->clk_last_ms + 1);
}

static enum efx_rc stop(struct op_limit *self, const struct efx_step *step)
{
    self->stopped = true;
    if (self->n_held == 0) {
        return EFX_OK;
    }
    struct efx_ctx_mark m = efx_ctx_begin(self->base.ctx);
    struct limit_cause cause = {stop_moment(self, step), step->clk_last_ms, true, 0};
    enum efx_rc rc = release_all(self, step, &cause);
    efx_ctx_end(self->base.ctx, m);
    return rc;
}

/* Did a limiter behind this one make the row when it stopped? */
static bool is_behind_stop(const struct op_limit *self, const struct efx_step *step, efx_moment m)
{
    return step->what == EFX_STEP_STOP && !self->stopped && m >= stop_moment(self, step);
}

/* ---- rows that arrive ---- */

/* The tick that releases a row: the first behind the clock, or the clock itself for a row that a
 * timer of lower rank made at a tick, since ours is still to come there. */
static void set_timer(struct op_limit *self, const struct efx_step *step, int64_t clk_ms,
                      efx_moment m)
{
    int64_t every_ms = self->conf->every_ms;
    if (self->due_ms != EFX_NEVER_MS || every_ms == 0) {
        return;
    }
    int64_t since = clk_ms - step->start_ms;
    int64_t ticks = since < 0 ? 1 : since / every_ms + 1;
    if (since > 0 && since % every_ms == 0 && clk_ms >= step->clk_base_ms &&
        m < efx_op_timer_moment(&self->base, step, clk_ms)) {
        ticks--;
    }
    int64_t after;
    if (__builtin_mul_overflow(ticks, every_ms, &after) ||
        __builtin_add_overflow(step->start_ms, after, &self->due_ms)) {
        self->due_ms = EFX_NEVER_MS;
    }
}

/* FIRST: does this row pass? */
static bool first_passes(struct op_limit *self, struct limit_group *g, int64_t clk_ms)
{
    if (self->conf->n > 0) {
        bool passes = g->n == 0;
        g->n = g->n + 1 == self->conf->n ? 0 : g->n + 1;
        return passes;
    }
    bool passes = g->n == 0 || clk_ms - g->passed_ms >= self->conf->every_ms;
    if (passes) {
        g->n = 1;
        g->passed_ms = clk_ms;
    }
    return passes;
}

static enum efx_rc first(struct op_limit *self, const struct efx_step *step,
                         const struct efx_rows *in, const uint32_t *at, uint32_t n,
                         const uint32_t *group)
{
    struct efx_op *op = &self->base;
    uint64_t *yes = efx_scratch_zero(op->ctx, efx_words(in->until) * 8);
    uint32_t n_yes = 0;
    for (uint32_t i = 0; i < n; i++) {
        efx_keyed_touch(self->groups, group[i]);
        struct limit_group *g = efx_keyed_state(self->groups, group[i], 0);
        if (first_passes(self, g, efx_batch_clk_ms(in->b, at[i]))) {
            efx_bit_put(yes, at[i], true);
            n_yes++;
        }
    }
    if (n_yes == 0) {
        return EFX_OK;
    }
    struct efx_batch b = *in->b;
    b.sel = yes;
    op->n_rows_out += n_yes;
    return efx_edge_push(&op->out[0].rows, step, &(struct efx_rows){&b, in->from, in->until});
}

static enum efx_rc held(struct op_limit *self, const struct efx_step *step,
                        const struct efx_rows *in, const uint32_t *at, uint32_t n,
                        const uint32_t *copy, const uint32_t *group)
{
    const struct efx_batch *b = in->b;
    struct limit_out *o = out_begin(self);
    for (uint32_t i = 0; i < n; i++) {
        efx_moment m = efx_op_row_moment(step, b, at[i]);
        if (self->n_held > 0 && efx_op_due(&self->base, step, self->due_ms, m)) {
            EFX_RET(out_push(self, step, o));
            EFX_RET(fire(self, step, m));
        }
        if (is_behind_stop(self, step, m)) {
            EFX_RET(out_push(self, step, o));
            EFX_RET(stop(self, step));
        }
        struct limit_copy *c = efx_keyed_state(self->copies, copy[i], 0);
        int64_t clk_ms = efx_batch_clk_ms(b, at[i]);
        EFX_RET(self->conf->kind == EFX_AST_OUTPUT_ALL
                    ? hold_all(self, step, b, at[i], c, group[i])
                    : hold_last(self, step, b, at[i], c, group[i]));
        set_timer(self, step, clk_ms, m);
        if (self->conf->n > 0 && ++c->n == self->conf->n) {
            struct limit_cause cause = {m, clk_ms, false, b->sub != NULL ? b->sub[at[i]] : 0};
            EFX_RET(release(self, step, c, &cause, o));
        }
    }
    return out_push(self, step, o);
}

/* A copy that is new gets its place in the order of births. */
static enum efx_rc learn_copies(struct op_limit *self, const struct efx_col *birth,
                                const uint32_t *at, uint32_t n, const uint32_t *copy)
{
    for (uint32_t i = 0; i < n; i++) {
        struct limit_copy *c = efx_keyed_state(self->copies, copy[i], 0);
        if (!c->known) {
            c->known = 1;
            c->birth = birth == NULL ? 0 : (uint64_t)((const int64_t *)birth->data)[at[i]];
            EFX_RET(efx_limit__order(self, copy[i]));
        }
    }
    return EFX_OK;
}

static enum efx_rc limit(struct op_limit *self, const struct efx_step *step,
                         const struct efx_rows *in)
{
    struct efx_op *op = &self->base;
    uint32_t *at = efx_scratch(op->ctx, (in->until - in->from) * sizeof *at);
    uint32_t n = efx_rows_list(in, at);
    op->n_rows_in += n;
    if (n == 0) {
        return EFX_OK;
    }
    const struct efx_limit_conf *conf = self->conf;
    const struct efx_col *cols = in->b->cols;
    uint32_t n_cols = conf->in.n_cols, hidden = n_cols + conf->n_group;
    struct efx_batch kept = *in->b;
    struct efx_col *kept_cols = efx_scratch(op->ctx, (n_cols + 2) * sizeof *kept_cols);
    struct efx_col *keys = efx_scratch(op->ctx, (conf->n_group + 1) * sizeof *keys);
    const struct efx_col *birth = NULL;
    uint32_t n_keys = 0;
    memcpy(kept_cols, cols, n_cols * sizeof *cols);
    if (conf->in.partitioned) {
        birth = &cols[hidden + 1];
        keys[n_keys++] = *birth;
        kept_cols[n_cols] = cols[hidden];
        kept_cols[n_cols + 1] = *birth;
    }
    memcpy(keys + n_keys, cols + n_cols, conf->n_group * sizeof *cols);
    kept.n_cols = n_cols;
    kept.n_hidden = conf->keep_hidden ? 2 : 0;
    kept.cols = kept_cols;
    struct efx_rows rows = {&kept, in->from, in->until};
    uint32_t *copy = efx_scratch_zero(op->ctx, n * sizeof *copy);
    uint32_t *group = efx_scratch_zero(op->ctx, n * sizeof *group);
    uint32_t n_new;
    EFX_RET(efx_keyed_ids(self->copies, keys, at, n, copy, &n_new));
    EFX_RET(learn_copies(self, birth, at, n, copy));
    EFX_RET(efx_keyed_ids(self->groups, keys, at, n, group, &n_new));
    return conf->kind == EFX_AST_OUTPUT_FIRST ? first(self, step, &rows, at, n, group)
                                              : held(self, step, &rows, at, n, copy, group);
}

static enum efx_rc limit_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                              const struct efx_rows *in)
{
    (void)inlet;
    struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
    enum efx_rc rc = limit((struct op_limit *)op, step, in);
    efx_ctx_end(op->ctx, m);
    return rc;
}

static int64_t limit_next_due_ms(const struct efx_op *op)
{
    return ((const struct op_limit *)op)->due_ms;
}

static enum efx_rc limit_finish(struct efx_op *op, const struct efx_step *step, efx_moment until)
{
    return fire((struct op_limit *)op, step, until);
}

static enum efx_rc limit_stop(struct efx_op *op, const struct efx_step *step)
{
    struct op_limit *self = (struct op_limit *)op;
    return self->stopped ? EFX_OK : stop(self, step);
}

static size_t limit_bytes(const struct efx_op *op)
{
    const struct op_limit *self = (const struct op_limit *)op;
    return efx_keyed_bytes(self->copies) + efx_keyed_bytes(self->groups) +
           efx_heap_bytes(self->heap) + self->n_order_max * sizeof self->order[0];
}

static void limit_close(struct efx_op *op)
{
    struct op_limit *self = (struct op_limit *)op;
    efx_keyed_destroy(&self->copies);
    efx_keyed_destroy(&self->groups);
    efx_heap_destroy(&self->heap);
    self->mem->free(self->mem, self->order, self->n_order_max * sizeof self->order[0]);
    self->mem->free(self->mem, self->loaded, self->n_loaded_max * sizeof self->loaded[0]);
}

static const struct efx_op_vt limit_vt = {
    .name = "output",
    .rows = limit_rows,
    .next_due_ms = limit_next_due_ms,
    .finish = limit_finish,
    .stop = limit_stop,
    .origin_set = efx_op_origin_ignore,
    .schema = 1,
    .mark = efx_limit__mark,
    .slice = efx_limit__slice,
    .load_begin = efx_limit__load_begin,
    .load = efx_limit__load,
    .load_end = efx_limit__load_end,
    .bytes = limit_bytes,
    .close = limit_close,
};

static enum efx_rc open_tables(const struct efx_op_open *how, struct op_limit *self)
{
    static const struct efx_keyed_state copy = {.bytes = sizeof(struct limit_copy)};
    static const struct efx_keyed_state group = {.bytes = sizeof(struct limit_group)};
    const struct efx_limit_conf *conf = self->conf;
    uint32_t n_birth = conf->in.partitioned ? 1 : 0;
    self->n_birth = n_birth;
    enum efx_type *types = EFX_NEW_N(how->arena, enum efx_type, conf->n_group + 1);
    struct efx_keyed_conf *keyed = EFX_NEW_N(how->arena, struct efx_keyed_conf, 2);
    if (types == NULL || keyed == NULL) {
        return EFX_ENOMEM;
    }
    types[0] = EFX_TYPE_LONG;
    self->key_types = types;
    for (uint32_t g = 0; g < conf->n_group; g++) {
        types[n_birth + g] = conf->group_types[g];
    }
    keyed[0] = (struct efx_keyed_conf){.n_cells = n_birth,
                                       .types = types,
                                       .n_states = 1,
                                       .states = &copy,
                                       .key_group = how->key_group,
                                       .birth_group = n_birth > 0};
    keyed[1] = (struct efx_keyed_conf){.n_cells = n_birth + conf->n_group,
                                       .types = types,
                                       .nullable = conf->n_group > 0,
                                       .n_states = 1,
                                       .states = &group,
                                       .key_group = how->key_group,
                                       .birth_group = n_birth > 0};
    EFX_RET(efx_keyed_create(how->mem, how->ctx, &keyed[0], &self->copies));
    EFX_RET(efx_keyed_create(how->mem, how->ctx, &keyed[1], &self->groups));
    return efx_heap_create(how->mem, &self->heap);
}

enum efx_rc efx_op_limit_create(const struct efx_op_open *how, const struct efx_limit_conf *conf,
                                struct efx_op **out)
{
    struct op_limit *self = EFX_NEW(how->arena, struct op_limit);
    if (self == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_op_init(&self->base, &limit_vt, how));
    self->conf = conf;
    self->mem = how->mem;
    self->due_ms = EFX_NEVER_MS;
    self->n_kept = conf->in.n_cols + (conf->keep_hidden ? 2 : 0);
    enum efx_type *types = EFX_NEW_N(how->arena, enum efx_type, self->n_kept + 1);
    if (types == NULL) {
        return EFX_ENOMEM;
    }
    memcpy(types, conf->in.types, conf->in.n_cols * sizeof *types);
    if (conf->keep_hidden) {
        types[conf->in.n_cols] = EFX_TYPE_INT;
        types[conf->in.n_cols + 1] = EFX_TYPE_LONG;
    }
    self->types = types;
    EFX_RET(open_tables(how, self));
    *out = &self->base;
    return EFX_OK;
}
