/* Ops to aggregates: one call an aggregate, no look at types. And which groups may go. */
#include "select.h"

/* Ops whose groups are fetched before their turn, where they do not fit the near caches. */
enum { AHEAD = 16, NEAR_BYTES = 1024 * 1024 };

bool efx_select__is_forever(const struct efx_agg_vt *vt)
{
    /* The language names the two (§5.4, §21): their groups outlive their rows. */
    return strcmp(vt->base.name, "minForever") == 0 || strcmp(vt->base.name, "maxForever") == 0;
}

void efx_select__values(struct op_select *self, uint32_t n, struct select_values *v)
{
    struct efx_ctx *ctx = self->base.ctx;
    uint32_t words = efx_words(n) + 1;
    v->col = efx_scratch(ctx, (self->conf->n_aggs + 1) * sizeof *v->col);
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        enum efx_type type = self->aggs[k].vt->out;
        v->col[k] = (struct efx_col){type, efx_scratch(ctx, (n + 1) * efx_type_width(type)),
                                     efx_scratch(ctx, words * sizeof(uint64_t))};
    }
    v->fails = (struct efx_fails){efx_scratch_zero(ctx, words * sizeof(uint64_t)),
                                  efx_scratch(ctx, (n + 1) * sizeof(uint16_t)), false};
}

/* count(*) FILTER: ops whose row did not meet it. */
static const uint64_t *skip_make(struct op_select *self, const struct select_ops *ops,
                                 const struct efx_col *in, const struct efx_col *left)
{
    uint64_t *skip = efx_scratch_zero(self->base.ctx, efx_words(ops->n) * sizeof *skip);
    for (uint32_t i = 0; i < ops->n; i++) {
        bool leaves = ops->leaves != NULL && efx_bit(ops->leaves, i) && left != NULL;
        uint32_t row = ops->row == NULL ? i : ops->row[i];
        skip[i / 64] |= (uint64_t)!efx_bit((leaves ? left : in)->valid, row) << i % 64;
    }
    return skip;
}

/* Expired rows of a pattern pass by: their values are those that stand (language §8.6). */
static const uint64_t *skip_still(struct op_select *self, const struct select_ops *ops,
                                  const uint64_t *skip)
{
    uint64_t *both = efx_scratch(self->base.ctx, efx_words(ops->n) * sizeof *both);
    for (uint32_t w = 0; w < efx_words(ops->n); w++) {
        both[w] = ops->still[w] | (skip == NULL ? 0 : skip[w]);
    }
    return both;
}

static const uint64_t *all_ones(struct op_select *self, uint32_t n)
{
    uint64_t *skip = efx_scratch(self->base.ctx, efx_words(n) * sizeof *skip);
    memset(skip, 0xFF, efx_words(n) * sizeof *skip);
    return skip;
}

enum efx_rc efx_select__aggregate(struct op_select *self, const struct select_ops *ops,
                                  struct select_values *v)
{
    if (ops->n == 0) {
        return EFX_OK;
    }
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        const struct select_agg *agg = &self->aggs[k];
        if (k == self->count_agg) {
            continue;
        }
        struct efx_ctx_mark m = efx_ctx_begin(self->base.ctx);
        const struct efx_col *from = NULL, *left = NULL;
        if (agg->col != EFX_NO_COL) {
            from = &ops->cols[ops->from_left ? self->held_of[agg->col] : agg->col];
            left = ops->left != NULL ? &ops->left->cols[self->held_of[agg->col]] : NULL;
        }
        struct efx_agg_in in = {
            .n = ops->n,
            .id = ops->id,
            .row = ops->row,
            .arg = agg->by_arg ? from : NULL,
            .left = agg->by_arg ? left : NULL,
            .leaves = ops->leaves,
            .quiet = ops->quiet,
            .pairs = ops->pairs,
            .fresh = ops->fresh,
        };
        if (agg->vt->by_number && self->number_col != EFX_NO_COL) {
            uint32_t held = self->held_of[self->number_col];
            in.number = ops->cols[ops->from_left ? held : self->number_col].data;
            in.left_number = ops->left != NULL ? ops->left->cols[held].data : NULL;
        }
        if (ops->skip_all) {
            in.skip = all_ones(self, ops->n);
        } else if (from != NULL && !agg->by_arg) {
            in.skip = skip_make(self, ops, from, left);
        }
        if (ops->still != NULL) {
            in.skip = skip_still(self, ops, in.skip);
        }
        struct efx_agg_out out = {NULL, NULL, {NULL, NULL, false}};
        if (v != NULL) {
            out = (struct efx_agg_out){(void *)(uintptr_t)v->col[k].data,
                                       (uint64_t *)(uintptr_t)v->col[k].valid, v->fails};
        }
        struct efx_states at = efx_keyed_states(self->groups, k);
        enum efx_rc rc = agg->vt->run(&at, &in, &out);
        efx_ctx_end(self->base.ctx, m);
        EFX_RET(rc);
        if (v != NULL) {
            v->fails.any = v->fails.any || out.fails.any;
        }
    }
    return EFX_OK;
}

/* ---- groups that go ---- */

enum efx_rc efx_select__note_empty(struct op_select *self, const uint32_t *id, uint32_t n)
{
    if (self->n_empty + n > self->n_empty_max) {
        uint32_t max = self->n_empty_max == 0 ? 1024 : self->n_empty_max * 2;
        max = max < self->n_empty + n ? self->n_empty + n : max;
        size_t bytes = sizeof *self->empty;
        void *more = self->empty == NULL ? self->mem->alloc(self->mem, max * bytes)
                                         : efx_mem_grow(self->mem, self->empty,
                                                        self->n_empty_max * bytes, max * bytes);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        self->empty = more;
        self->n_empty_max = max;
    }
    memcpy(self->empty + self->n_empty, id, n * sizeof *id);
    self->n_empty += n;
    return EFX_OK;
}

static enum efx_rc count_moves(struct op_select *self, const struct select_ops *ops, int64_t *value)
{
    const struct efx_states at = efx_keyed_states(self->groups, self->plain);
    const bool far = efx_keyed_bytes(self->groups) > NEAR_BYTES;
    const uint32_t stamp = efx_keyed_stamp(self->groups), *const of = ops->id;
    for (uint32_t i = 0; i < ops->n; i++) {
        uint32_t id = of[i];
        uint64_t *n = efx_state_at(&at, id);
        if (far && i + AHEAD < ops->n) {
            uint8_t *next = efx_state_at(&at, of[i + AHEAD]);
            __builtin_prefetch(next - at.off, 1);
            __builtin_prefetch(next, 1);
        }
        if (!efx_bit(ops->leaves, i)) {
            ++*n; /* touched when its id was asked for */
            if (value != NULL) {
                value[i] = (int64_t)*n;
            }
            continue;
        }
        if (ops->pairs) {
            if (value != NULL) {
                value[i] = (int64_t)*n;
            }
            continue; /* one of the group goes, one comes */
        }
        if (!efx_keyed_is_touched((struct efx_entry *)(void *)((uint8_t *)n - at.off), stamp)) {
            efx_keyed_touch(self->groups, id);
        }
        if (--*n == 0) {
            EFX_RET(efx_select__note_empty(self, &id, 1));
        }
    }
    return EFX_OK;
}

/* The values of an aggregate that nothing but this counts: all there. */
static int64_t *count_values(const struct op_select *self, uint32_t n, struct select_values *v)
{
    if (v == NULL || self->count_agg == EFX_NO_COL) {
        return NULL;
    }
    const struct efx_col *col = &v->col[self->count_agg];
    memset((void *)(uintptr_t)col->valid, 0xFF, efx_words(n) * sizeof *col->valid);
    return (int64_t *)(uintptr_t)col->data;
}

enum efx_rc efx_select__count(struct op_select *self, const struct select_ops *ops,
                              struct select_values *v)
{
    if (!self->keyed) {
        efx_keyed_touch(self->groups, 0);
        return EFX_OK;
    }
    if (!self->counts) {
        return EFX_OK;
    }
    int64_t *value = count_values(self, ops->n, v);
    if (ops->leaves != NULL) {
        return count_moves(self, ops, value);
    }
    const struct efx_states at = efx_keyed_states(self->groups, self->plain);
    const uint32_t n_ops = ops->n, *const of = ops->id;
    for (uint32_t i = 0; i < n_ops; i++) { /* touched when its id was asked for */
        uint64_t n = ++*(uint64_t *)efx_state_at(&at, of[i]);
        if (value != NULL) {
            value[i] = (int64_t)n;
        }
    }
    return EFX_OK;
}

void efx_select__del_empty(struct op_select *self)
{
    for (uint32_t i = 0; i < self->n_empty && !self->forever; i++) {
        uint32_t id = self->empty[i];
        if (efx_keyed_is_live(self->groups, id) &&
            *(const uint64_t *)efx_keyed_state(self->groups, id, self->plain) == 0) {
            efx_keyed_del(self->groups, id);
        }
    }
    self->n_empty = 0;
}
