/* From the input to the wide batch: group keys, group ids, arguments of aggregates. */
#include "select.h"

#include "efx_hash.h"

static struct efx_fails fails_make(struct efx_ctx *ctx, const struct efx_rows *rows)
{
    uint32_t w0 = rows->from / 64, w1 = efx_words(rows->until);
    struct efx_fails f = {efx_scratch(ctx, w1 * sizeof *f.failed),
                          efx_scratch(ctx, rows->until * sizeof *f.code), false};
    memset(f.failed + w0, 0, (w1 - w0) * sizeof *f.failed);
    return f;
}

/* Rows whose key fails do not enter. */
static enum efx_rc keys_eval(struct op_select *self, struct select_in *in)
{
    const struct efx_select_conf *conf = self->conf;
    struct efx_ctx *ctx = self->base.ctx;
    uint32_t n = 0;
    bool can_fail = false;
    in->keys = efx_scratch(ctx, (conf->n_group + 1) * sizeof *in->keys);
    if (self->partitioned) {
        in->keys[n++] = in->b.cols[conf->in.n_cols + 1];
    }
    for (uint32_t k = 0; k < conf->n_group; k++) {
        can_fail = can_fail || efx_expr_can_fail(conf->group[k]);
    }
    struct efx_fails fails = {NULL, NULL, false};
    if (can_fail) {
        fails = fails_make(ctx, &in->rows);
    }
    for (uint32_t k = 0; k < conf->n_group; k++) {
        efx_expr_eval(conf->group[k], ctx, in->step, &in->rows, &in->keys[n++], &fails);
    }
    if (!fails.any) {
        return EFX_OK;
    }
    uint32_t w1 = efx_words(in->rows.until);
    uint64_t *sel = efx_scratch(ctx, w1 * sizeof *sel);
    for (uint32_t w = in->rows.from / 64; w < w1; w++) {
        sel[w] = efx_rows_word(&in->rows, w) & ~fails.failed[w];
    }
    EFX_RET(efx_select__push_failed(self, in->step, &in->b, in->rows.from, in->rows.until, &fails));
    in->b.sel = sel;
    return EFX_OK;
}

/* A copy of the column that is NULL where `yes` is not set too. */
static void narrow(struct efx_ctx *ctx, const struct efx_rows *rows, const uint64_t *yes,
                   struct efx_col *c)
{
    uint32_t w1 = efx_words(rows->until);
    uint64_t *valid = efx_scratch(ctx, w1 * sizeof *valid);
    for (uint32_t w = rows->from / 64; w < w1; w++) {
        valid[w] = yes[w] & (c->valid == NULL ? UINT64_MAX : c->valid[w]);
    }
    c->valid = valid;
}

/* An argument that fails is NULL for its aggregate; so is one whose FILTER is not met. */
static void arg_eval(struct op_select *self, struct select_in *in, uint32_t k, struct efx_col *cols,
                     struct efx_fails *fails)
{
    const struct efx_select_agg *conf = &self->conf->aggs[k];
    const struct select_agg *agg = &self->aggs[k];
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_col *c = &cols[agg->col];
    if (conf->arg != NULL) {
        efx_expr_eval(conf->arg, ctx, in->step, &in->rows, c, fails);
    } else { /* count(*) FILTER: only NULL bits are looked at */
        *c = (struct efx_col){EFX_TYPE_BOOL, efx_scratch(ctx, in->rows.until), NULL};
        memset((uint8_t *)(uintptr_t)c->data + in->rows.from, 1, in->rows.until - in->rows.from);
    }
    if (conf->filter != NULL) {
        uint64_t *yes = efx_scratch(ctx, efx_words(in->rows.until) * sizeof *yes);
        efx_expr_filter(conf->filter, ctx, in->step, &in->rows, yes, fails);
        narrow(ctx, &in->rows, yes, c);
    }
}

/* The event stays with its aggregates, but gives no row; one that leaves has told before. */
static enum efx_rc args_failed(struct op_select *self, struct select_in *in,
                               struct efx_fails *fails)
{
    for (uint32_t i = in->rows.from; in->b.kind != NULL && i < in->rows.until; i++) {
        if (in->b.kind[i] != EFX_ROW_CURRENT) {
            efx_bit_put(fails->failed, i, false);
        }
    }
    in->arg_failed = fails->failed;
    return efx_select__push_failed(self, in->step, &in->b, in->rows.from, in->rows.until, fails);
}

static enum efx_rc args_eval(struct op_select *self, struct select_in *in, struct efx_col *cols)
{
    struct efx_fails fails = {NULL, NULL, false};
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        const struct efx_select_agg *a = &self->conf->aggs[k];
        if (self->aggs[k].col == EFX_NO_COL || self->aggs[k].plain) {
            continue;
        }
        bool can_fail = (a->arg != NULL && efx_expr_can_fail(a->arg)) ||
                        (a->filter != NULL && efx_expr_can_fail(a->filter));
        if (can_fail && fails.failed == NULL) {
            fails = fails_make(self->base.ctx, &in->rows);
        }
        arg_eval(self, in, k, cols, &fails);
    }
    return fails.any ? args_failed(self, in, &fails) : EFX_OK;
}

/* Of the rows, for aggregates by number: a join gives its own, a window's rows get theirs here. */
static const uint64_t *numbers(struct op_select *self, const struct select_in *in)
{
    if (in->b.number != NULL) {
        return in->b.number;
    }
    uint64_t *number = efx_scratch_zero(self->base.ctx, (in->rows.until + 1) * sizeof *number);
    for (uint32_t i = 0; i < in->n && self->window != NULL; i++) {
        number[in->at[i]] = ++self->last_number;
    }
    return number;
}

enum efx_rc efx_select__in(struct op_select *self, const struct efx_step *step,
                           const struct efx_rows *rows, struct select_in *in)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_col *cols = efx_scratch(ctx, (self->n_wide + 1) * sizeof *cols);
    memcpy(cols, rows->b->cols, self->n_in * sizeof *cols);
    in->step = step;
    in->arg_failed = NULL;
    in->b = *rows->b;
    in->b.cols = cols;
    in->rows = (struct efx_rows){&in->b, rows->from, rows->until};
    self->base.n_rows_in += efx_rows_count(rows);
    EFX_RET(keys_eval(self, in));
    if (self->key_col != EFX_NO_COL) {
        memcpy(cols + self->key_col, in->keys + self->partitioned,
               self->conf->n_group * sizeof *cols);
    }
    EFX_RET(args_eval(self, in, cols));
    in->at = efx_scratch(ctx, (rows->until - rows->from + 1) * sizeof *in->at);
    in->n = efx_rows_list(&in->rows, in->at);
    in->dense = rows->from == 0 && in->n == rows->until;
    in->id = NULL;
    if (self->number_col != EFX_NO_COL) {
        cols[self->number_col] = (struct efx_col){EFX_TYPE_LONG, numbers(self, in), NULL};
    }
    return EFX_OK;
}

enum efx_rc efx_select__ids(struct op_select *self, const struct efx_col *keys, const uint32_t *at,
                            uint32_t n, uint32_t *id)
{
    uint32_t n_new;
    return efx_keyed_ids(self->groups, keys, at, n, id, &n_new);
}

/* ---- a group per partition copy: found by the copy's number, checked by its birth ---- */

static enum efx_rc by_copy_grow(struct op_select *self, uint32_t copy)
{
    uint32_t n = self->n_by_copy == 0 ? 64 : self->n_by_copy;
    while (n <= copy) {
        n *= 2;
    }
    uint32_t *more = self->by_copy == NULL
                         ? self->mem->alloc(self->mem, n * sizeof *more)
                         : efx_mem_grow(self->mem, self->by_copy, self->n_by_copy * sizeof *more,
                                        n * sizeof *more);
    if (more == NULL) {
        return EFX_ENOMEM;
    }
    memset(more + self->n_by_copy, 0, (n - self->n_by_copy) * sizeof *more);
    self->by_copy = more;
    self->n_by_copy = n;
    return EFX_OK;
}

enum { COPY_BLOCK = 128 };

struct copy_guess {
    uint32_t id;
    const struct efx_entry *entry; /* NULL = the map names none */
};

/* Entries that the map names, asked for together. Behind an exchange copies of several shards have
 * one number, so the map may name another before the row's turn has come. */
static void copies_guess(const struct op_select *self, const struct efx_states *at,
                         const uint32_t *copy, const uint32_t *row, uint32_t n,
                         struct copy_guess *guess)
{
    uint32_t n_ids = efx_keyed_n_ids(self->groups), last = at->stride - 1;
    for (uint32_t i = 0; i < n; i++) {
        if (copy[row[i]] < self->n_by_copy) {
            __builtin_prefetch(&self->by_copy[copy[row[i]]]);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = copy[row[i]] < self->n_by_copy ? self->by_copy[copy[row[i]]] : n_ids;
        guess[i] = (struct copy_guess){id, NULL};
        if (id < n_ids) {
            uint8_t *e = (uint8_t *)efx_state_at(at, id) - at->off;
            guess[i].entry = (const struct efx_entry *)(const void *)e;
            __builtin_prefetch(e, 1);
            __builtin_prefetch(e + last, 1);
        }
    }
}

static enum efx_rc ids_by_copy(struct op_select *self, const struct select_in *in,
                               const uint32_t *at, uint32_t n, uint32_t *id)
{
    const uint32_t *copy = in->b.cols[self->conf->in.n_cols].data;
    const int64_t *birth = in->keys[0].data;
    struct copy_guess guess[COPY_BLOCK];
    const uint32_t stamp = efx_keyed_stamp(self->groups);
    for (uint32_t from = 0; from < n; from += COPY_BLOCK) {
        uint32_t m = n - from < COPY_BLOCK ? n - from : COPY_BLOCK;
        struct efx_states states = efx_keyed_states(self->groups, 0);
        copies_guess(self, &states, copy, at + from, m, guess);
        for (uint32_t i = 0; i < m; i++) {
            uint32_t row = at[from + i];
            const struct efx_entry *e = guess[i].entry;
            if (e != NULL && e->stamp != EFX_KEYED_DEAD &&
                memcmp(e->key, &birth[row], sizeof *birth) == 0) {
                id[from + i] = guess[i].id;
                if (!efx_keyed_is_touched(e, stamp)) {
                    efx_keyed_touch(self->groups, id[from + i]);
                }
                continue;
            }
            EFX_RET(efx_select__ids(self, in->keys, &row, 1, &id[from + i]));
            if (copy[row] >= self->n_by_copy) {
                EFX_RET(by_copy_grow(self, copy[row]));
            }
            self->by_copy[copy[row]] = id[from + i];
        }
    }
    return EFX_OK;
}

enum efx_rc efx_select__ids_in(struct op_select *self, const struct select_in *in,
                               const uint32_t *at, uint32_t n, uint32_t *id)
{
    return self->partitioned && self->conf->n_group == 0
               ? ids_by_copy(self, in, at, n, id)
               : efx_select__ids(self, in->keys, at, n, id);
}

enum efx_rc efx_select__ids_left(struct op_select *self, const struct efx_batch *left,
                                 const uint32_t *row, uint32_t n, uint32_t *id)
{
    struct efx_col *keys = efx_scratch(self->base.ctx, (self->n_keys + 1) * sizeof *keys);
    uint32_t k = 0;
    if (self->partitioned) {
        keys[k++] = left->cols[self->held_of[self->conf->in.n_cols + 1]];
    }
    for (uint32_t g = 0; g < self->conf->n_group; g++) {
        keys[k++] = left->cols[self->held_of[self->key_col + g]];
    }
    return efx_select__ids(self, keys, row, n, id);
}
