/* ORDER BY, OFFSET and LIMIT on a row set.
 *
 *   rows ─► set: all columns of the environment and the sort keys, by value ─► end of the set:
 *           places sorted (merge sort: stable), cut, gathered in batches
 *
 * Rows of a set come in one step, so its arrays lie in the step's arena; long texts are copied
 * there too, because what they point into may go before the set is complete.
 *
 *   Order   NULLs as written, NaN above every number, -0 = 0, FALSE below TRUE, text by code point
 */
#include "select.h"

static uint32_t n_cols(const struct op_select *self)
{
    return self->conf->n_env + self->conf->n_order;
}

static void *array_grow(struct efx_ctx *ctx, const void *old, uint32_t n, uint32_t n_max,
                        size_t bytes)
{
    void *p = efx_ctx_step_bytes(ctx, n_max * bytes);
    if (n > 0) {
        memcpy(p, old, n * bytes);
    }
    return p;
}

/* Room for more rows; `cols` says which columns there are. */
static void set_fit(struct op_select *self, const struct efx_col *cols, uint32_t more)
{
    struct select_set *s = &self->set;
    struct efx_ctx *ctx = self->base.ctx;
    if (s->n + more <= s->n_max) {
        return;
    }
    uint32_t max = s->n_max == 0 ? 256 : s->n_max;
    while (max < s->n + more) {
        max *= 2;
    }
    if (s->n == 0) {
        s->data = efx_ctx_step_bytes(ctx, n_cols(self) * sizeof *s->data);
        s->valid = efx_ctx_step_bytes(ctx, n_cols(self) * sizeof *s->valid);
    }
    for (uint32_t c = 0; c < n_cols(self); c++) {
        uint32_t width = cols[c].data == NULL ? 0 : efx_type_width(cols[c].type);
        s->data[c] =
            width == 0 ? NULL : array_grow(ctx, s->n == 0 ? NULL : s->data[c], s->n, max, width);
        uint64_t *valid = array_grow(ctx, s->n == 0 ? NULL : s->valid[c], efx_words(s->n),
                                     efx_words(max), sizeof *valid);
        memset(valid + efx_words(s->n), 0, (efx_words(max) - efx_words(s->n)) * sizeof *valid);
        s->valid[c] = valid;
    }
    s->kind = array_grow(ctx, s->kind, s->n, max, sizeof *s->kind);
    s->ts_ms = array_grow(ctx, s->ts_ms, s->n, max, sizeof *s->ts_ms);
    s->clk_ms = array_grow(ctx, s->clk_ms, s->n, max, sizeof *s->clk_ms);
    s->moment = array_grow(ctx, s->moment, s->n, max, sizeof *s->moment);
    s->sub = array_grow(ctx, s->sub, s->n, max, sizeof *s->sub);
    s->n_max = max;
}

static void row_put(struct op_select *self, const struct efx_batch *b, const struct efx_col *cols,
                    uint32_t row)
{
    struct select_set *s = &self->set;
    uint32_t i = s->n++;
    for (uint32_t c = 0; c < n_cols(self); c++) {
        if (s->data[c] == NULL || cols[c].data == NULL || !efx_bit(cols[c].valid, row)) {
            efx_bit_put(s->valid[c], i, false);
            continue;
        }
        efx_bit_put(s->valid[c], i, true);
        efx_col_copy_slot(s->data[c], i, &cols[c], row);
        if (efx_type_is_cell(cols[c].type)) {
            struct efx_cell *cell = &((struct efx_cell *)s->data[c])[i];
            *cell = efx_ctx_cell(self->base.ctx, efx_cell_bytes(cell), cell->len);
        }
    }
    s->kind[i] = efx_batch_kind(b, row);
    s->ts_ms[i] = b->ts_ms[row];
    s->clk_ms[i] = efx_batch_clk_ms(b, row);
    s->moment[i] = b->moment != NULL ? b->moment[row] : 0;
    s->sub[i] = b->sub != NULL ? b->sub[row] : 0;
}

/* ---- sorting ---- */

static int compare_double(double a, double b)
{
    if (a != a || b != b) {
        return (a != a) - (b != b);
    }
    return (a > b) - (a < b);
}

static int compare_slot(enum efx_type type, const void *data, uint32_t a, uint32_t b)
{
    const int32_t *i = data;
    const int64_t *l = data;
    const float *f = data;
    const double *d = data;
    const uint8_t *t = data;
    const struct efx_cell *s = data;
    switch (type) {
    case EFX_TYPE_INT: return (i[a] > i[b]) - (i[a] < i[b]);
    case EFX_TYPE_LONG: return (l[a] > l[b]) - (l[a] < l[b]);
    case EFX_TYPE_FLOAT: return compare_double((double)f[a], (double)f[b]);
    case EFX_TYPE_DOUBLE: return compare_double(d[a], d[b]);
    case EFX_TYPE_BOOL: return (t[a] > t[b]) - (t[a] < t[b]);
    case EFX_TYPE_STRING: return efx_cell_compare(&s[a], &s[b]);
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT:
    case EFX_TYPE_NONE: break;
    }
    return 0;
}

static int compare_rows(const struct op_select *self, uint32_t a, uint32_t b)
{
    const struct select_set *s = &self->set;
    for (uint32_t k = 0; k < self->conf->n_order; k++) {
        const struct efx_select_order *o = &self->conf->order[k];
        uint32_t c = self->conf->n_env + k;
        bool is_a = efx_bit(s->valid[c], a), is_b = efx_bit(s->valid[c], b);
        if (is_a != is_b) {
            return is_a == o->nulls_first ? 1 : -1;
        }
        int by = is_a ? compare_slot(efx_expr_type(o->expr), s->data[c], a, b) : 0;
        if (by != 0) {
            return o->desc ? -by : by;
        }
    }
    return 0;
}

/* Bottom-up merge sort of n places; returns the array that is sorted. */
static uint32_t *sort(const struct op_select *self, uint32_t *from, uint32_t *to, uint32_t n)
{
    for (uint32_t run = 1; run < n; run *= 2) {
        for (uint32_t lo = 0; lo < n; lo += 2 * run) {
            uint32_t mid = lo + run < n ? lo + run : n;
            uint32_t hi = mid + run < n ? mid + run : n;
            uint32_t a = lo, b = mid;
            for (uint32_t i = lo; i < hi; i++) {
                bool of_a = a < mid && (b >= hi || compare_rows(self, from[a], from[b]) <= 0);
                to[i] = of_a ? from[a++] : from[b++];
            }
        }
        uint32_t *was = from;
        from = to;
        to = was;
    }
    return from;
}

/* ---- putting out ---- */

static enum efx_rc push_rows(struct op_select *self, const struct efx_step *step,
                             const uint32_t *place, uint32_t n)
{
    struct efx_ctx *ctx = self->base.ctx;
    const struct select_set *s = &self->set;
    struct efx_col *env = efx_select__env(self);
    int64_t *ts = efx_scratch(ctx, n * sizeof *ts), *clk = efx_scratch(ctx, n * sizeof *clk);
    efx_moment *moment = efx_scratch(ctx, n * sizeof *moment);
    uint64_t *sub = efx_scratch(ctx, n * sizeof *sub);
    uint8_t *kind = efx_scratch(ctx, n);
    for (uint32_t c = 0; c < self->conf->n_env; c++) {
        if (s->data[c] == NULL) {
            continue;
        }
        enum efx_type type = env[c].type;
        if (c >= self->conf->env_agg) {
            type = c >= self->conf->env_out
                       ? efx_expr_type(self->conf->out[c - self->conf->env_out])
                       : self->aggs[c - self->conf->env_agg].vt->out;
        }
        void *data = efx_scratch(ctx, n * efx_type_width(type));
        uint64_t *valid = efx_scratch_zero(ctx, efx_words(n) * sizeof *valid);
        const struct efx_col from = {type, s->data[c], s->valid[c]};
        for (uint32_t i = 0; i < n; i++) {
            efx_col_copy_slot(data, i, &from, place[i]);
            valid[i / 64] |= (uint64_t)efx_bit(from.valid, place[i]) << i % 64;
        }
        env[c] = (struct efx_col){type, data, valid};
    }
    for (uint32_t i = 0; i < n; i++) {
        kind[i] = s->kind[place[i]];
        ts[i] = s->ts_ms[place[i]];
        clk[i] = s->clk_ms[place[i]];
        moment[i] = s->moment[place[i]];
        sub[i] = s->sub[place[i]];
    }
    struct efx_batch b = {.n_rows = n,
                          .n_cols = self->conf->n_env,
                          .cols = env,
                          .ts_ms = ts,
                          .clk_ms = clk,
                          .kind = self->conf->expired ? kind : NULL,
                          .moment = moment,
                          .sub = sub};
    return efx_select__store(self, step, &(struct efx_rows){&b, 0, n});
}

static enum efx_rc set_close(struct op_select *self, const struct efx_step *step)
{
    struct select_set *s = &self->set;
    struct efx_ctx *ctx = self->base.ctx;
    uint32_t n = s->n;
    uint32_t *a = efx_scratch(ctx, (n + 1) * sizeof *a), *b = efx_scratch(ctx, (n + 1) * sizeof *b);
    for (uint32_t i = 0; i < n; i++) {
        a[i] = i;
    }
    const uint32_t *place = self->conf->n_order > 0 ? sort(self, a, b, n) : a;
    uint64_t from = self->conf->offset > 0 ? (uint64_t)self->conf->offset : 0;
    uint64_t until = n;
    if (self->conf->limit >= 0 && (uint64_t)self->conf->limit < until - (from < n ? from : n)) {
        until = from + (uint64_t)self->conf->limit;
    }
    enum efx_rc rc = EFX_OK;
    for (; rc == EFX_OK && from < until; from += EFX_BATCH_ROWS_MAX) {
        uint64_t left = until - from;
        struct efx_ctx_mark m = efx_ctx_begin(ctx);
        rc = push_rows(self, step, place + from,
                       (uint32_t)(left < EFX_BATCH_ROWS_MAX ? left : EFX_BATCH_ROWS_MAX));
        efx_ctx_end(ctx, m);
    }
    *s = (struct select_set){0}; /* the arrays are the step's */
    return rc;
}

enum efx_rc efx_select__set_add(struct op_select *self, const struct efx_step *step,
                                const struct efx_rows *rows, const uint64_t *set_end)
{
    struct efx_ctx *ctx = self->base.ctx;
    const struct efx_select_conf *conf = self->conf;
    const struct efx_batch *b = rows->b;
    struct efx_fails fails = {efx_scratch_zero(ctx, (efx_words(rows->until) + 1) * 8),
                              efx_scratch(ctx, (rows->until + 1) * 2), false};
    struct efx_col *cols = efx_scratch_zero(ctx, (n_cols(self) + 1) * sizeof *cols);
    memcpy(cols, b->cols, conf->n_env * sizeof *cols);
    for (uint32_t k = 0; k < conf->n_order; k++) {
        efx_expr_eval(conf->order[k].expr, ctx, step, rows, &cols[conf->n_env + k], &fails);
    }
    if (fails.any) {
        EFX_RET(efx_select__push_failed(self, step, b, rows->from, rows->until, &fails));
    }
    for (uint32_t i = rows->from; i < rows->until; i++) {
        if (efx_bit(b->sel, i) && !efx_bit(fails.failed, i)) {
            set_fit(self, cols, 1);
            row_put(self, b, cols, i);
        }
        if (set_end != NULL && efx_bit(set_end, i) && self->set.n > 0) {
            EFX_RET(set_close(self, step));
        }
    }
    return EFX_OK;
}
