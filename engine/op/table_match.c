/* Which rows of the table a row of a port is about: equality by index, then `rest`.
 *
 *   slice   row 3 · row 4 · row 5            keys of all rows at once, entries too where nothing
 *   pairs   3·a 3·f │ 4·b │ 5·a 5·f          that the slice does can move them
 *   rest    █   ·   │ █   │ ·   █            over row ++ table columns, a batch of pairs at a time
 *
 *   NULL     a key with a NULL matches nothing
 *   Order    candidates of a row in insertion order
 */
#include "gather.h"
#include "table.h"

void efx_table__slice_init(struct table_slice *s, struct op_table *t, const struct table_port *port,
                           const struct efx_step *step, const struct efx_rows *in)
{
    struct efx_ctx *ctx = t->base.ctx;
    *s = (struct table_slice){.t = t, .port = port, .step = step, .in = *in};
    s->at = efx_scratch(ctx, (in->until - in->from + 1) * sizeof *s->at);
    s->n = efx_rows_list(in, s->at);
    s->fails.failed = efx_scratch_zero(ctx, efx_words(in->b->n_rows) * sizeof(uint64_t));
    s->fails.code = efx_scratch(ctx, in->b->n_rows * sizeof(uint16_t));
}

void efx_table__slice_keys(struct table_slice *s, bool find)
{
    struct efx_ctx *ctx = s->t->base.ctx;
    const struct table_index *ix = s->port->index;
    if (ix == NULL) {
        return;
    }
    struct efx_col *keys = efx_scratch(ctx, ix->n_cols * sizeof *keys);
    bool all = true;
    for (uint32_t j = 0; j < ix->n_cols; j++) {
        struct efx_col key;
        const struct efx_expr *e = s->port->conf->keys[s->port->key_of[j]];
        efx_expr_eval(e, ctx, s->step, &s->in, &key, &s->fails);
        keys[j] = efx_table__cast(ctx, &key, ix->as[j], s->in.from, s->in.until);
        all = all && key.valid == NULL;
    }
    s->keys = keys;
    if (!find) {
        return;
    }
    s->entry = efx_scratch(ctx, s->n * sizeof *s->entry);
    if (all) {
        efx_keyed_find(ix->keyed, keys, s->at, s->n, s->entry);
        return;
    }
    uint32_t *row = efx_scratch(ctx, s->n * sizeof *row);
    uint32_t *place = efx_scratch(ctx, s->n * sizeof *place);
    uint32_t *found = efx_scratch(ctx, s->n * sizeof *found);
    uint32_t n = efx_table__not_null(keys, ix->n_cols, s->at, s->n, row, place);
    efx_keyed_find(ix->keyed, keys, row, n, found);
    memset(s->entry, 0xFF, s->n * sizeof *s->entry); /* EFX_KEYED_DEAD */
    for (uint32_t j = 0; j < n; j++) {
        s->entry[place[j]] = found[j];
    }
}

uint32_t efx_table__next(const struct table_slice *s, uint32_t k, uint32_t id1)
{
    const struct table_index *ix = s->port->index;
    if (ix == NULL) {
        uint32_t id = efx_table__live_from(s->t, id1);
        return id < s->t->n_ids ? id + 1 : 0;
    }
    if (id1 != 0) {
        return ix->unique ? 0 : ix->next[id1 - 1];
    }
    if (s->entry == NULL) {
        return efx_table__index_first(ix, s->keys, s->at[k]);
    }
    return s->entry[k] == EFX_KEYED_DEAD ? 0 : table_ends(ix, s->entry[k])->first;
}

void efx_table__pairs(const struct table_slice *s, const uint32_t *row, const uint32_t *id1,
                      uint32_t n, struct efx_batch *b)
{
    struct efx_ctx *ctx = s->t->base.ctx;
    uint32_t n_in = s->port->conf->in.n_cols;
    struct efx_col *cols = efx_scratch(ctx, (n_in + s->t->n_cols) * sizeof *cols);
    *b = (struct efx_batch){.n_rows = n, .n_cols = n_in + s->t->n_cols, .cols = cols};
    for (uint32_t c = 0; c < n_in; c++) {
        cols[c] = efx_op__gather(ctx, &s->in.b->cols[c], row, n);
    }
    efx_table__gather(s->t, id1, n, cols + n_in);
    efx_op__inherit(ctx, s->step, s->in.b, row, n, EFX_NEEDS_MOMENT, b);
}

void efx_table__fails_of_rows(struct table_slice *s, const struct efx_fails *slots,
                              const uint32_t *row, uint32_t n)
{
    for (uint32_t i = 0; slots->any && i < n; i++) {
        if (efx_bit(slots->failed, i)) {
            efx_fail_row(&s->fails, row[i], slots->code[i]);
        }
    }
}

void efx_table__rest(struct table_slice *s, const struct efx_batch *pairs, const uint32_t *row,
                     const uint64_t *ask, uint64_t *yes)
{
    struct efx_ctx *ctx = s->t->base.ctx;
    const struct efx_expr *rest = s->port->conf->rest;
    uint32_t n_words = efx_words(pairs->n_rows);
    if (rest == NULL) {
        for (uint32_t w = 0; w < n_words; w++) {
            yes[w] = efx_word(ask, w, pairs->n_rows);
        }
        return;
    }
    struct efx_batch asked = *pairs;
    asked.sel = ask;
    struct efx_fails slots = {.failed = efx_scratch_zero(ctx, n_words * sizeof(uint64_t)),
                              .code = efx_scratch(ctx, pairs->n_rows * sizeof(uint16_t))};
    struct efx_rows all = efx_rows_all(&asked);
    efx_expr_filter(rest, ctx, s->step, &all, yes, &slots);
    efx_table__fails_of_rows(s, &slots, row, pairs->n_rows);
}
