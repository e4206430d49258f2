/* Batches of an aggregated query: a row a group at the flush (language §3.5).
 *
 *   EAGER   rows enter as they come:   x  y  x │flush: x's row, y's row; both start anew
 *   PANE    the window's changes:      +x +y +x ends_part │ −x −y −x ends_part
 *
 *   entry   aggregates │ columns of the last row │ ts of the last, turn and number of the first
 *           extra = next group of the batch (id + 1), in first-seen order
 *
 * Groups are removed when their row is out, so a group that never comes again costs nothing. An
 * expired part shows aggregates after everything was taken out: those of new groups. Only where an
 * aggregate outlives its group (minForever) do groups stay; then the first row of a batch starts
 * the others anew (`fresh`).
 *
 *   Order   groups by first row; columns that are neither grouped nor aggregated from the last
 */
#include "select.h"

enum { FLUSH_ROWS = 1024 };

struct feed {
    uint32_t n;
    const uint32_t *row;        /* [n] of cols */
    const struct efx_col *cols; /* wide batch, or what the window held */
    bool from_left;
    bool expired;         /* an expired part: aggregates see nothing */
    const int64_t *ts_ms; /* by row */
    const uint64_t *turn; /* [n] by place; NULL: from the batch */
    const struct efx_batch *b;
    const struct efx_step *step;
};

static struct select_group *group_at(const struct op_select *self, uint32_t id)
{
    return efx_keyed_state(self->groups, id, self->plain);
}

/* ---- lists ---- */

static enum efx_rc list_of(struct op_select *self, int64_t birth, struct select_list **out)
{
    *out = &self->list;
    if (self->lists != NULL) {
        struct efx_col key = {EFX_TYPE_LONG, &birth, NULL};
        uint32_t id, n_new;
        EFX_RET(efx_keyed_ids(self->lists, &key, NULL, 1, &id, &n_new));
        *out = efx_keyed_state(self->lists, id, 0);
    }
    return EFX_OK;
}

enum efx_rc efx_select__list_add(struct op_select *self, uint32_t id, int64_t birth)
{
    struct select_list *l;
    EFX_RET(list_of(self, birth, &l));
    efx_keyed_at(self->groups, id)->extra = 0;
    if (l->tail != 0) {
        efx_keyed_at(self->groups, l->tail - 1)->extra = id + 1;
    } else {
        l->head = id + 1;
    }
    l->tail = id + 1;
    return EFX_OK;
}

/* ---- rows in ---- */

/* Rows of timers have none of their own: they stay behind what came before them. */
static uint64_t turn_of(const struct op_select *self, const struct feed *f, uint32_t i)
{
    if (f->turn != NULL) {
        return f->turn[i];
    }
    uint32_t row = f->row[i];
    uint64_t turn = self->last_turn;
    if (f->b->moment != NULL && efx_moment_is_event(f->b->moment[row])) {
        turn = efx_step_turn(f->step, f->b->moment[row]);
    } else if (f->b->moment == NULL && f->b->sub != NULL) {
        turn = f->b->sub[row] & UINT64_MAX >> 1;
    }
    return turn < self->last_turn ? self->last_turn : turn;
}

/* Groups that this batch sees first, and everybody's last timestamp. fresh: bits, may be NULL. */
static enum efx_rc see(struct op_select *self, const struct feed *f, const uint32_t *id,
                       uint64_t *fresh)
{
    uint32_t birth_col = self->conf->in.n_cols + 1;
    const struct efx_states at = efx_keyed_states(self->groups, self->plain);
    for (uint32_t i = 0; i < f->n; i++) {
        struct select_group *g = efx_state_at(&at, id[i]);
        if (g->no == 0) {
            int64_t birth = 0;
            if (self->lists != NULL) {
                birth = ((const int64_t *)f->cols[birth_col].data)[f->row[i]];
            }
            g->no = ++self->no;
            g->turn = turn_of(self, f, i);
            self->last_turn = g->turn;
            EFX_RET(efx_select__list_add(self, id[i], birth));
            if (fresh != NULL) {
                fresh[i / 64] |= (uint64_t)1 << i % 64;
            }
        }
        g->ts_ms = f->ts_ms[f->row[i]];
    }
    return EFX_OK;
}

static enum efx_rc feed(struct op_select *self, const struct feed *f, const uint32_t *id)
{
    uint64_t *fresh = NULL;
    if (f->n == 0) {
        return EFX_OK;
    }
    if (self->forever) {
        fresh = efx_scratch_zero(self->base.ctx, efx_words(f->n) * sizeof *fresh);
    }
    if (!self->keyed) {
        efx_keyed_touch(self->groups, 0);
    }
    EFX_RET(see(self, f, id, fresh));
    if (!f->expired || self->forever) {
        struct select_ops ops = {.n = f->n,
                                 .row = f->row,
                                 .id = id,
                                 .cols = f->cols,
                                 .from_left = f->from_left,
                                 .fresh = fresh,
                                 .skip_all = f->expired};
        EFX_RET(efx_select__aggregate(self, &ops, NULL));
    }
    uint32_t first = self->keyed ? 0 : f->n - 1; /* one group: only the last row stays */
    for (uint32_t k = 0; k < self->n_keeps; k++) {
        const struct select_keep *keep = &self->keeps[k];
        if (keep->key == EFX_NO_COL) {
            uint32_t col = f->from_left ? self->held_of[keep->col] : keep->col;
            EFX_RET(efx_select__keep(self, keep, &f->cols[col], f->row + first, id + first,
                                     f->n - first));
        }
    }
    return EFX_OK;
}

/* ---- rows out ---- */

struct flush {
    efx_moment moment;
    int64_t clk_ms;
    int64_t birth;
    uint8_t kind;
};

static enum efx_rc emit(struct op_select *self, const struct efx_step *step, const struct flush *f,
                        const uint32_t *id, uint32_t n, bool last)
{
    const struct efx_select_conf *conf = self->conf;
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_col *env = efx_select__env(self);
    struct select_values v;
    efx_select__values(self, n, &v);
    for (uint32_t k = 0; k < conf->n_aggs; k++) {
        struct efx_states at = efx_keyed_states(self->groups, k);
        struct efx_agg_out out = {(void *)(uintptr_t)v.col[k].data,
                                  (uint64_t *)(uintptr_t)v.col[k].valid, v.fails};
        memset(out.valid, 0, efx_words(n) * sizeof *out.valid);
        EFX_RET(self->aggs[k].vt->emit(&at, id, n, &out));
        v.fails.any = v.fails.any || out.fails.any;
        env[conf->env_agg + k] = v.col[k];
    }
    for (uint32_t k = 0; k < self->n_keeps; k++) {
        efx_select__kept(self, &self->keeps[k], id, n, &env[self->keeps[k].col]);
    }
    int64_t *ts = efx_scratch(ctx, n * sizeof *ts), *clk = efx_scratch(ctx, n * sizeof *clk);
    efx_moment *moment = efx_scratch(ctx, n * sizeof *moment);
    uint64_t *sub = efx_scratch(ctx, n * sizeof *sub);
    uint8_t *kind = efx_scratch(ctx, n);
    memset(kind, f->kind, n);
    uint64_t *set_end = efx_scratch_zero(ctx, efx_words(n) * sizeof *set_end);
    for (uint32_t i = 0; i < n; i++) {
        const struct select_group *g = group_at(self, id[i]);
        ts[i] = f->kind == EFX_ROW_CURRENT ? g->ts_ms : f->clk_ms;
        clk[i] = f->clk_ms;
        moment[i] = f->moment;
        sub[i] = efx_select__sub(self, f->moment, f->kind, g->turn, f->birth);
    }
    efx_bit_put(set_end, n - 1, last);
    struct select_made m = {.b = {.n_rows = n,
                                  .n_cols = conf->n_env,
                                  .cols = env,
                                  .ts_ms = ts,
                                  .clk_ms = clk,
                                  .kind = kind,
                                  .moment = moment,
                                  .sub = sub,
                                  .set_end = set_end},
                            .until = n,
                            .fails = &v.fails};
    return efx_select__out(self, step, &m);
}

/* The group has no row any more. */
static void group_drop(struct op_select *self, uint32_t id)
{
    efx_keyed_at(self->groups, id)->extra = 0;
    if (self->forever) {
        efx_keyed_touch(self->groups, id);
        group_at(self, id)->no = 0;
    } else if (self->keyed) {
        efx_keyed_del(self->groups, id);
    } else {
        efx_keyed_reset(self->groups, id);
    }
}

/* All groups of the batch: a row each, then they go. */
static enum efx_rc flush_list(struct op_select *self, const struct efx_step *step,
                              const struct flush *f, struct select_list list)
{
    struct efx_ctx *ctx = self->base.ctx;
    bool wanted = f->kind == EFX_ROW_CURRENT ? self->conf->current : self->conf->expired;
    uint32_t *id = efx_scratch(ctx, FLUSH_ROWS * sizeof *id);
    for (uint32_t next = list.head; next != 0;) {
        struct efx_ctx_mark m = efx_ctx_begin(ctx);
        uint32_t n = 0;
        for (; next != 0 && n < FLUSH_ROWS; next = efx_keyed_at(self->groups, id[n - 1])->extra) {
            id[n++] = next - 1;
        }
        enum efx_rc rc = wanted ? emit(self, step, f, id, n, next == 0) : EFX_OK;
        efx_ctx_end(ctx, m);
        EFX_RET(rc);
        for (uint32_t i = 0; i < n; i++) {
            group_drop(self, id[i]);
        }
    }
    return EFX_OK;
}

/* ---- PANE ---- */

static enum efx_rc feed_held(struct op_select *self, const struct efx_step *step,
                             const struct efx_changes *c, uint32_t from, uint32_t until)
{
    struct efx_ctx *ctx = self->base.ctx;
    uint32_t n = until - from;
    uint32_t *row = efx_scratch(ctx, n * sizeof *row), *id = efx_scratch(ctx, n * sizeof *id);
    uint64_t *turn = efx_scratch(ctx, n * sizeof *turn);
    for (uint32_t i = 0; i < n; i++) {
        row[i] = c->list[from + i].row;
        turn[i] = c->list[from + i].turn;
    }
    EFX_RET(efx_select__ids_left(self, c->left, row, n, id));
    struct feed f = {.n = n,
                     .row = row,
                     .cols = c->left->cols,
                     .from_left = true,
                     .expired = c->list[from].kind == EFX_ROW_EXPIRED,
                     .ts_ms = c->left->ts_ms,
                     .turn = turn,
                     .b = c->left,
                     .step = step};
    return feed(self, &f, id);
}

enum efx_rc efx_select__pane(struct op_select *self, const struct efx_step *step,
                             const struct efx_changes *c)
{
    for (uint32_t from = 0, until; from < c->n; from = until) {
        const struct efx_change *first = &c->list[from];
        until = from + 1;
        if (first->kind == EFX_ROW_RESET) {
            continue; /* groups went with the part before */
        }
        while (!c->list[until - 1].ends_part && until < c->n &&
               c->list[until].kind == first->kind) {
            until++;
        }
        struct efx_ctx_mark m = efx_ctx_begin(self->base.ctx);
        enum efx_rc rc = feed_held(self, step, c, from, until);
        if (rc == EFX_OK && c->list[until - 1].ends_part) {
            const struct flush f = {first->moment, first->clk_ms, first->birth, first->kind};
            struct select_list list = self->list;
            self->list = (struct select_list){0, 0};
            rc = flush_list(self, step, &f, list);
        }
        efx_ctx_end(self->base.ctx, m);
        EFX_RET(rc);
    }
    return EFX_OK;
}

/* ---- EAGER ---- */

static enum efx_rc flush_copy(struct op_select *self, const struct efx_step *step,
                              const struct efx_change *c)
{
    const struct flush f = {c->moment, c->clk_ms, c->birth, EFX_ROW_CURRENT};
    struct select_list list = self->list;
    if (self->lists == NULL) {
        self->list = (struct select_list){0, 0};
        return flush_list(self, step, &f, list);
    }
    struct efx_col key = {EFX_TYPE_LONG, &c->birth, NULL};
    uint32_t id;
    efx_keyed_find(self->lists, &key, NULL, 1, &id);
    if (id == EFX_KEYED_DEAD) {
        return EFX_OK;
    }
    list = *(const struct select_list *)efx_keyed_state(self->lists, id, 0);
    efx_keyed_del(self->lists, id);
    return flush_list(self, step, &f, list);
}

static enum efx_rc feed_slice(struct op_select *self, const struct select_in *in,
                              const struct efx_rows *rows)
{
    struct efx_ctx *ctx = self->base.ctx;
    uint32_t *at = efx_scratch(ctx, (rows->until - rows->from + 1) * sizeof *at);
    uint32_t n = efx_rows_list(rows, at);
    uint32_t *id = efx_scratch(ctx, (n + 1) * sizeof *id);
    EFX_RET(efx_select__ids_in(self, in, at, n, id));
    struct feed f = {
        .n = n, .row = at, .cols = in->b.cols, .ts_ms = in->b.ts_ms, .b = &in->b, .step = in->step};
    return feed(self, &f, id);
}

enum efx_rc efx_select__eager(struct op_select *self, const struct efx_step *step,
                              const struct efx_rows *rows)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct select_in in;
    EFX_RET(efx_select__in(self, step, rows, &in));
    struct efx_rows left = in.rows;
    struct efx_change flush;
    do {
        struct efx_rows passed = left;
        struct efx_ctx_mark m = efx_ctx_begin(ctx);
        flush.kind = 0;
        EFX_RET(self->window->vt->pass(self->window, step, &left, &flush));
        passed.until = left.from;
        enum efx_rc rc = passed.from < passed.until ? feed_slice(self, &in, &passed) : EFX_OK;
        if (rc == EFX_OK && flush.kind != 0) {
            rc = flush_copy(self, step, &flush);
        }
        efx_ctx_end(ctx, m);
        EFX_RET(rc);
    } while (flush.kind != 0 || left.from < left.until);
    return EFX_OK;
}

enum efx_rc efx_select__eager_fire(struct op_select *self, const struct efx_step *step,
                                   efx_moment until)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_changes c = {.list = efx_scratch(ctx, EFX_CHANGES_MAX * sizeof(struct efx_change))};
    for (enum efx_rc rc = EFX_AGAIN; rc == EFX_AGAIN;) {
        c.n = 0;
        rc = self->window->vt->fire(self->window, step, until, &c);
        if (rc < 0) {
            return rc;
        }
        for (uint32_t i = 0; i < c.n; i++) {
            struct efx_ctx_mark m = efx_ctx_begin(ctx);
            enum efx_rc done = flush_copy(self, step, &c.list[i]);
            efx_ctx_end(ctx, m);
            EFX_RET(done);
        }
    }
    return EFX_OK;
}
