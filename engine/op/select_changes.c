/* Through a window, change by change. CHANGES: every change is a place of a new batch, with the
 * columns of its row, from the slice or from what the window held; the places of kinds that nobody
 * asked for are not there. PANE takes the same changes in its own way (select_pane.c).
 *
 *   changes   +3 −0 +4 −1            rows 3, 4 of the slice, held rows 0, 1
 *   places     0  1  2  3            ops of the aggregates and rows of the environment alike
 *
 *   Order   that of the list
 */
#include "select.h"

#include "efx_hash.h"

struct places {
    uint32_t n;
    const struct efx_change *list;
    const struct efx_batch *in;   /* the wide batch; NULL: nothing arrives */
    const struct efx_batch *left; /* NULL: nothing held is named */
    const uint64_t *arg_failed;   /* as in struct select_in */
};

/* A wide column by place. Long texts that the window holds are copied: they may go before the step
 * ends. */
static void gather(struct op_select *self, const struct places *p, uint32_t col,
                   struct efx_col *out)
{
    struct efx_ctx *ctx = self->base.ctx;
    enum efx_type type = self->wide_types[col];
    const struct efx_col *in = p->in != NULL ? &p->in->cols[col] : NULL;
    const struct efx_col *left = p->left != NULL ? &p->left->cols[self->held_of[col]] : NULL;
    void *data = efx_scratch(ctx, (p->n + 1) * efx_type_width(type));
    uint64_t *valid = efx_scratch_zero(ctx, (efx_words(p->n) + 1) * sizeof *valid);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct efx_change *c = &p->list[i];
        const struct efx_col *from = c->arrives ? in : left;
        if (c->kind == EFX_ROW_RESET || from == NULL || !efx_bit(from->valid, c->row)) {
            continue;
        }
        efx_col_copy_slot(data, i, from, c->row);
        valid[i / 64] |= (uint64_t)1 << i % 64;
        if (efx_type_is_cell(type) && !c->arrives) {
            struct efx_cell *cell = &((struct efx_cell *)data)[i];
            *cell = efx_ctx_cell(ctx, efx_cell_bytes(cell), cell->len);
        }
    }
    *out = (struct efx_col){type, data, valid};
}

/* Groups by place. */
static enum efx_rc ids_make(struct op_select *self, const struct places *p, const uint32_t *id_at,
                            uint32_t *id)
{
    struct efx_ctx *ctx = self->base.ctx;
    uint32_t *row = efx_scratch(ctx, (p->n + 1) * sizeof *row);
    uint32_t *of = efx_scratch(ctx, (p->n + 1) * sizeof *of);
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->list[i].arrives) {
            id[i] = id_at[p->list[i].row];
        } else {
            row[n++] = p->list[i].row;
        }
    }
    if (n == 0) {
        return EFX_OK;
    }
    if (self->rekey) {
        EFX_RET(efx_select__ids_left(self, p->left, row, n, of));
    } else {
        const uint32_t *group = p->left->cols[p->left->n_cols - 1].data;
        for (uint32_t i = 0; i < n; i++) {
            of[i] = group[row[i]];
        }
    }
    n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (!p->list[i].arrives) {
            id[i] = of[n++];
        }
    }
    return EFX_OK;
}

static enum efx_rc aggregate(struct op_select *self, const struct places *p, const uint32_t *id_at,
                             struct select_values *v)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_col *cols = efx_scratch(ctx, (self->n_wide + 1) * sizeof *cols);
    uint32_t *id = efx_scratch_zero(ctx, (p->n + 1) * sizeof *id);
    uint64_t *leaves = efx_scratch_zero(ctx, (efx_words(p->n) + 1) * sizeof *leaves);
    for (uint32_t i = 0; i < p->n; i++) {
        leaves[i / 64] |= (uint64_t)(p->list[i].kind == EFX_ROW_EXPIRED) << i % 64;
    }
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        if (self->aggs[k].col != EFX_NO_COL) {
            gather(self, p, self->aggs[k].col, &cols[self->aggs[k].col]);
        }
    }
    if (self->number_col != EFX_NO_COL) {
        gather(self, p, self->number_col, &cols[self->number_col]);
    }
    if (self->keyed) {
        EFX_RET(ids_make(self, p, id_at, id));
    }
    struct select_ops ops = {.n = p->n, .id = id, .leaves = leaves, .cols = cols};
    efx_select__values(self, p->n, v);
    EFX_RET(efx_select__count(self, &ops, NULL));
    return efx_select__aggregate(self, &ops, v);
}

/* What the rows bear beside their columns. */
static void rows_dress(struct op_select *self, const struct places *p, struct efx_batch *b)
{
    struct efx_ctx *ctx = self->base.ctx;
    int64_t *ts = efx_scratch(ctx, (p->n + 1) * sizeof *ts);
    int64_t *clk = efx_scratch(ctx, (p->n + 1) * sizeof *clk);
    efx_moment *moment = efx_scratch(ctx, (p->n + 1) * sizeof *moment);
    uint64_t *sub = efx_scratch(ctx, (p->n + 1) * sizeof *sub);
    uint8_t *kind = efx_scratch(ctx, p->n + 1);
    uint64_t *sel = efx_scratch_zero(ctx, (efx_words(p->n) + 1) * sizeof *sel);
    uint64_t *set_end = efx_scratch_zero(ctx, (efx_words(p->n) + 1) * sizeof *set_end);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct efx_change *c = &p->list[i];
        const struct efx_batch *from = c->arrives ? p->in : p->left;
        bool current = c->kind == EFX_ROW_CURRENT;
        ts[i] = current ? from->ts_ms[c->row] : c->clk_ms;
        clk[i] = c->clk_ms;
        kind[i] = c->kind;
        moment[i] = c->moment;
        sub[i] = c->arrives && from->sub != NULL
                     ? from->sub[c->row]
                     : efx_select__sub(self, c->moment, c->kind, c->turn, c->birth);
        bool wanted =
            current ? self->conf->current : c->kind == EFX_ROW_EXPIRED && self->conf->expired;
        wanted = wanted && !(c->arrives && p->arg_failed != NULL && efx_bit(p->arg_failed, c->row));
        sel[i / 64] |= (uint64_t)wanted << i % 64;
        set_end[i / 64] |= (uint64_t)(c->ends_part != 0) << i % 64;
    }
    b->n_rows = p->n;
    b->ts_ms = ts;
    b->clk_ms = clk;
    b->moment = moment;
    b->kind = self->conf->expired ? kind : NULL;
    b->sub = sub;
    b->sel = sel;
    b->set_end = set_end;
}

static enum efx_rc changes(struct op_select *self, const struct efx_step *step,
                           const struct places *p, const uint32_t *id_at)
{
    const struct efx_select_conf *conf = self->conf;
    struct efx_col *env = efx_select__env(self);
    struct select_made m = {.b = {.n_cols = conf->n_env, .cols = env}, .until = p->n};
    struct select_values v;
    rows_dress(self, p, &m.b);
    if (self->grouped) {
        EFX_RET(aggregate(self, p, id_at, &v));
        memcpy(env + conf->env_agg, v.col, conf->n_aggs * sizeof *env);
        m.fails = &v.fails;
    }
    for (uint32_t c = 0; c < self->n_in; c++) {
        if (self->held_of[c] != EFX_NO_COL) {
            gather(self, p, c, &env[c]);
        }
    }
    return efx_select__out(self, step, &m);
}

/* ---- the loop over the window's calls ---- */

/* The column by which the window's log is saved: the group, or only its key group. */
static enum efx_rc id_col_make(struct op_select *self, struct select_in *in, uint32_t **id_at)
{
    struct efx_ctx *ctx = self->base.ctx;
    bool of_group = self->mode == SELECT_CHANGES && self->keyed;
    *id_at = NULL;
    if ((!of_group && self->id_col == EFX_NO_COL) || in->n == 0) {
        return EFX_OK;
    }
    in->id = efx_scratch(ctx, in->n * sizeof *in->id);
    if (of_group) {
        EFX_RET(efx_select__ids(self, in->keys, in->at, in->n, in->id));
    } else {
        uint64_t *hash = efx_scratch(ctx, in->n * sizeof *hash);
        efx_keyed_hash(in->keys, self->n_keys, in->at, in->n, hash);
        for (uint32_t i = 0; i < in->n; i++) {
            in->id[i] = efx_hash_key_group(hash[i]);
        }
    }
    *id_at = efx_scratch(ctx, in->rows.until * sizeof **id_at);
    for (uint32_t i = 0; i < in->n; i++) {
        (*id_at)[in->at[i]] = in->id[i];
    }
    if (self->id_col != EFX_NO_COL) {
        ((struct efx_col *)(uintptr_t)in->b.cols)[self->id_col] =
            (struct efx_col){EFX_TYPE_INT, *id_at, NULL};
    }
    return EFX_OK;
}

static enum efx_rc take(struct op_select *self, const struct efx_step *step,
                        const struct select_in *in, const uint32_t *id_at,
                        const struct efx_changes *c)
{
    if (c->n == 0) {
        return EFX_OK;
    }
    if (self->mode == SELECT_PANE) {
        return efx_select__pane(self, step, c);
    }
    const struct places p = {c->n, c->list, in != NULL ? &in->b : NULL, c->left,
                             in != NULL ? in->arg_failed : NULL};
    return changes(self, step, &p, id_at);
}

enum efx_rc efx_select__through(struct op_select *self, const struct efx_step *step,
                                const struct efx_rows *rows, efx_moment until)
{
    struct efx_ctx *ctx = self->base.ctx;
    const struct efx_window_vt *vt = self->window->vt;
    struct select_in in;
    struct efx_rows left = {NULL, 0, 0};
    uint32_t *id_at = NULL;
    struct efx_changes c = {.list = efx_scratch(ctx, EFX_CHANGES_MAX * sizeof(struct efx_change))};
    if (rows != NULL) {
        EFX_RET(efx_select__in(self, step, rows, &in));
        EFX_RET(id_col_make(self, &in, &id_at));
        left = in.rows;
    }
    for (enum efx_rc rc = EFX_AGAIN; rc == EFX_AGAIN;) {
        struct efx_ctx_mark m = efx_ctx_begin(ctx);
        c.n = 0;
        c.left = NULL;
        rc = rows != NULL ? vt->arrive(self->window, step, &left, &c)
                          : vt->fire(self->window, step, until, &c);
        enum efx_rc done = rc < 0 ? rc : take(self, step, rows != NULL ? &in : NULL, id_at, &c);
        efx_ctx_end(ctx, m);
        EFX_RET(done);
    }
    if (self->counts && rows != NULL && in.n > 0) { /* a window may have dropped rows */
        EFX_RET(efx_select__note_empty(self, in.id, in.n));
    }
    if (self->counts) {
        efx_select__del_empty(self);
    }
    return EFX_OK;
}
