/* UPDATE and DELETE, and the two changes of single rows that all statements are made of.
 *
 *   rows of the slice   U1        U2              candidates are collected over many rows while no
 *   candidates          x, y      z      ─► flush row of the table is in twice, so `rest` and the
 *                                 x               right-hand sides are evaluated as columns; when
 *                                                 one is wanted again those before take effect
 *
 * What finds rows (the keys' index) must not move meanwhile: where UPDATE sets such a column, and
 * in DELETE, each row looks its candidates up when its turn has come.
 *
 * Strict (on demand, one statement): all is evaluated first; nothing changes if anything failed.
 *
 *   NULL     in a NOT NULL or primary key column: 3102, the row of the stream fails, the row of the
 *            table stays as it is
 *   Keys     a new value that another row has: not changed, counted
 *   Order    rows of the slice in order, rows of the table in insertion order
 *   Errors   EFX_ENOMEM
 */
#include "table.h"

enum { CODE_NULL = 3102 };

/* ---- one row ---- */

void efx_table__new_init(struct op_table *t, const struct efx_col *cols, uint32_t from,
                         uint32_t until, struct table_new *out)
{
    struct efx_ctx *ctx = t->base.ctx;
    const struct efx_col **keys = efx_scratch(ctx, (t->n_indexes + 1) * sizeof *keys);
    for (uint32_t k = 0; k < t->n_indexes; k++) {
        const struct table_index *ix = t->index[k];
        struct efx_col *of = efx_scratch(ctx, ix->n_cols * sizeof *of);
        for (uint32_t j = 0; j < ix->n_cols; j++) {
            of[j] = efx_table__cast(ctx, &cols[ix->cols[j]], ix->as[j], from, until);
        }
        keys[k] = of;
    }
    *out = (struct table_new){.cols = cols, .keys = keys, .n_keys = t->n_indexes};
}

uint16_t efx_table__lacks(const struct op_table *t, const struct efx_col *cols, uint32_t i)
{
    for (uint32_t c = 0; c < t->n_cols; c++) {
        if (t->not_null[c] && !efx_bit(cols[c].valid, i)) {
            return CODE_NULL;
        }
    }
    return 0;
}

enum efx_rc efx_table__insert(struct op_table *t, const struct table_new *rows, uint32_t i,
                              uint32_t primary, bool *done, uint16_t *code)
{
    *done = false;
    *code = efx_table__lacks(t, rows->cols, i);
    if (*code != 0) {
        return EFX_OK;
    }
    for (uint32_t k = 0; k < t->n_indexes; k++) {
        const struct table_index *ix = t->index[k];
        if (ix->unique && (k > 0 || primary == EFX_KEYED_DEAD) &&
            efx_table__index_first(ix, rows->keys[k], i) != 0) {
            t->n_duplicates++;
            return EFX_OK;
        }
    }
    uint32_t id;
    EFX_RET(efx_table__row_add(t, rows->cols, i, &id));
    for (uint32_t k = 0; k < t->n_indexes; k++) {
        if (k == 0 && primary != EFX_KEYED_DEAD) {
            efx_table__index_link(t->index[0], id, primary);
        } else if (k >= rows->n_keys) {
            const struct efx_col *keys = efx_table__key_of_row(t, t->index[k], id, NULL, 0);
            EFX_RET(efx_table__index_put(t->index[k], id, keys, 0));
        } else {
            EFX_RET(efx_table__index_put(t->index[k], id, rows->keys[k], i));
        }
    }
    *done = true;
    return EFX_OK;
}

uint16_t efx_table__null_code(const struct op_table *t, const struct table_set *set, uint32_t i)
{
    for (uint32_t k = 0; k < set->n; k++) {
        if (t->not_null[set->cols[k]] && !efx_bit(set->values[k].valid, i)) {
            return CODE_NULL;
        }
    }
    return 0;
}

void efx_table__set_init(struct op_table *t, const struct efx_table_port *conf,
                         const struct efx_col *values, const struct table_index *but,
                         struct table_set *out)
{
    *out = (struct table_set){.n = conf->n_sets, .cols = conf->set_cols, .values = values};
    out->index = efx_scratch(t->base.ctx, (t->n_indexes + 1) * sizeof(void *));
    for (uint32_t x = 0; x < t->n_indexes; x++) {
        struct table_index *ix = t->index[x];
        bool has = false;
        for (uint32_t j = 0; j < ix->n_cols; j++) {
            for (uint32_t k = 0; k < conf->n_sets; k++) {
                has = has || conf->set_cols[k] == ix->cols[j];
            }
        }
        if (has && ix != but) {
            out->index[out->n_indexes++] = ix;
        }
    }
}

/* Does any of the columns of the index change? */
static bool moves(const struct op_table *t, const struct table_index *ix, uint32_t id,
                  const struct efx_col *const *from, uint32_t i)
{
    for (uint32_t j = 0; j < ix->n_cols; j++) {
        uint32_t c = ix->cols[j];
        if (from[c] != NULL && !efx_table__row_equals(t, id, c, from[c], i)) {
            return true;
        }
    }
    return false;
}

struct moved { /* indexes in which a row gets another key */
    uint32_t n;
    struct table_index **index;
    const struct efx_col **keys;
};

/* false: the new key is another row's. */
static bool find_moved(struct op_table *t, uint32_t id, const struct table_set *set, uint32_t i,
                       struct moved *out)
{
    struct efx_ctx *ctx = t->base.ctx;
    const struct efx_col **from = efx_scratch_zero(ctx, (t->n_cols + 1) * sizeof *from);
    out->index = efx_scratch(ctx, set->n_indexes * sizeof(void *));
    out->keys = efx_scratch(ctx, set->n_indexes * sizeof(void *));
    for (uint32_t k = 0; k < set->n; k++) {
        from[set->cols[k]] = &set->values[k];
    }
    for (uint32_t k = 0; k < set->n_indexes; k++) {
        struct table_index *ix = set->index[k];
        if (!moves(t, ix, id, from, i)) {
            continue;
        }
        const struct efx_col *keys = efx_table__key_of_row(t, ix, id, from, i);
        uint32_t other = ix->unique ? efx_table__index_first(ix, keys, 0) : 0;
        if (other != 0 && other != id + 1) {
            return false;
        }
        out->index[out->n] = ix;
        out->keys[out->n++] = keys;
    }
    return true;
}

static enum efx_rc set_values(struct op_table *t, uint32_t id, const struct table_set *set,
                              uint32_t i, const struct moved *moved)
{
    EFX_RET(efx_table__touch(t, id));
    for (uint32_t k = 0; k < moved->n; k++) {
        if (moved->index[k]->primary) { /* it may go to another section of the save */
            EFX_RET(efx_table__bury(t, id));
        }
        efx_table__index_take(moved->index[k], id);
    }
    for (uint32_t k = 0; k < set->n; k++) {
        EFX_RET(efx_table__row_set(t, id, set->cols[k], &set->values[k], i));
    }
    for (uint32_t k = 0; k < moved->n; k++) {
        EFX_RET(efx_table__index_put(moved->index[k], id, moved->keys[k], 0));
    }
    return EFX_OK;
}

enum efx_rc efx_table__set(struct op_table *t, uint32_t id, const struct table_set *set, uint32_t i,
                           bool *done, uint16_t *code)
{
    *done = false;
    *code = efx_table__null_code(t, set, i);
    if (*code != 0) {
        return EFX_OK;
    }
    struct moved moved = {0};
    if (set->n_indexes == 0) {
        *done = true;
        return set_values(t, id, set, i, &moved);
    }
    struct efx_ctx_mark mark = efx_ctx_begin(t->base.ctx);
    enum efx_rc rc = EFX_OK;
    if (find_moved(t, id, set, i, &moved)) {
        rc = set_values(t, id, set, i, &moved);
        *done = true;
    } else {
        t->n_duplicates++;
    }
    efx_ctx_end(t->base.ctx, mark);
    return rc;
}

/* ---- chunks of pairs ---- */

struct chunk {
    uint32_t n;
    uint32_t *row; /* [EFX_BATCH_ROWS_MAX] */
    uint32_t *id1;
    uint64_t *yes;
    struct efx_col *values; /* [n_sets] of UPDATE, by pair */
    struct chunk *next;     /* strict: they wait for each other */
};

static void chunk_init(struct efx_ctx *ctx, struct chunk *c)
{
    *c = (struct chunk){0};
    c->row = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *c->row);
    c->id1 = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *c->id1);
}

/* Which pairs are meant, and the new values; nothing is changed. */
static void chunk_eval(struct table_slice *s, struct chunk *c)
{
    struct efx_ctx *ctx = s->t->base.ctx;
    const struct efx_table_port *conf = s->port->conf;
    uint32_t n_words = efx_words(c->n);
    struct efx_batch pairs;
    efx_table__pairs(s, c->row, c->id1, c->n, &pairs);
    c->yes = efx_scratch_zero(ctx, n_words * sizeof *c->yes);
    efx_table__rest(s, &pairs, c->row, NULL, c->yes);
    if (conf->kind != EFX_PORT_UPDATE) {
        return;
    }
    struct efx_batch meant = pairs;
    meant.sel = c->yes;
    struct efx_rows all = efx_rows_all(&meant);
    struct efx_fails slots = {.failed = efx_scratch_zero(ctx, n_words * sizeof(uint64_t)),
                              .code = efx_scratch(ctx, c->n * sizeof(uint16_t))};
    c->values = efx_scratch(ctx, (conf->n_sets + 1) * sizeof *c->values);
    for (uint32_t k = 0; k < conf->n_sets; k++) {
        efx_expr_eval(conf->sets[k], ctx, s->step, &all, &c->values[k], &slots);
    }
    const struct table_set set = {.n = conf->n_sets, .cols = conf->set_cols, .values = c->values};
    for (uint32_t i = 0; i < c->n; i++) {
        uint16_t code = efx_bit(c->yes, i) ? efx_table__null_code(s->t, &set, i) : 0;
        if (code != 0) {
            efx_fail_row(&slots, i, code);
        }
    }
    for (uint32_t w = 0; slots.any && w < n_words; w++) {
        slots.failed[w] &= c->yes[w];
        c->yes[w] &= ~slots.failed[w];
    }
    efx_table__fails_of_rows(s, &slots, c->row, c->n);
}

static enum efx_rc chunk_apply(struct table_slice *s, const struct chunk *c)
{
    struct op_table *t = s->t;
    const struct efx_table_port *conf = s->port->conf;
    struct table_set set;
    efx_table__set_init(t, conf, c->values, NULL, &set);
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t id = c->id1[i] - 1;
        bool done = true;
        uint16_t code;
        efx_bit_put(table_slab(t, id)->pending, table_place(id), false);
        if (!efx_bit(c->yes, i)) {
            continue;
        }
        if (conf->kind == EFX_PORT_DELETE) {
            EFX_RET(efx_table__row_del(t, id));
        } else {
            EFX_RET(efx_table__set(t, id, &set, i, &done, &code));
        }
        s->n_changed += done;
    }
    return EFX_OK;
}

static enum efx_rc chunk_flush(struct table_slice *s, struct chunk *c)
{
    if (c->n == 0) {
        return EFX_OK;
    }
    struct efx_ctx_mark mark = efx_ctx_begin(s->t->base.ctx);
    chunk_eval(s, c);
    enum efx_rc rc = chunk_apply(s, c);
    efx_ctx_end(s->t->base.ctx, mark);
    c->n = 0;
    return rc;
}

/* ---- collecting ---- */

/* Is one of row k's candidates about to be changed by a row before, or do they not fit? */
static bool conflicts(const struct table_slice *s, const struct chunk *c, uint32_t k)
{
    uint32_t n = c->n;
    for (uint32_t id1 = efx_table__next(s, k, 0); id1 != 0; id1 = efx_table__next(s, k, id1)) {
        if (n++ == EFX_BATCH_ROWS_MAX ||
            efx_bit(table_slab(s->t, id1 - 1)->pending, table_place(id1 - 1))) {
            return true;
        }
    }
    return false;
}

static void collect(struct table_slice *s, struct chunk *c, uint32_t k, uint32_t id1)
{
    c->row[c->n] = s->at[k];
    c->id1[c->n++] = id1;
    efx_bit_put(table_slab(s->t, id1 - 1)->pending, table_place(id1 - 1), true);
}

/* All candidates of row k, however many: they are found before any of them is changed. */
static enum efx_rc write_row(struct table_slice *s, struct chunk *c, uint32_t k)
{
    if (c->n > 0 && conflicts(s, c, k)) {
        EFX_RET(chunk_flush(s, c));
    }
    struct efx_ctx *ctx = s->t->base.ctx;
    struct efx_ctx_mark mark = efx_ctx_begin(ctx);
    struct chunk *first = c, *last = c;
    enum efx_rc rc = EFX_OK;
    for (uint32_t id1 = efx_table__next(s, k, 0); id1 != 0; id1 = efx_table__next(s, k, id1)) {
        if (last->n == EFX_BATCH_ROWS_MAX) {
            struct chunk *more = efx_scratch(ctx, sizeof *more);
            chunk_init(ctx, more);
            last->next = more;
            last = more;
        }
        collect(s, last, k, id1);
    }
    if (first != last) { /* more than a batch of them: take them all now */
        for (struct chunk *x = first; rc == EFX_OK && x != NULL; x = x->next) {
            rc = chunk_flush(s, x);
        }
        c->next = NULL;
        efx_ctx_end(ctx, mark);
    }
    return rc;
}

static enum efx_rc write_slice(struct table_slice *s)
{
    struct chunk c;
    chunk_init(s->t->base.ctx, &c);
    efx_table__slice_keys(s, !s->port->moves_keys && s->port->conf->kind == EFX_PORT_UPDATE);
    for (uint32_t k = 0; k < s->n; k++) {
        EFX_RET(write_row(s, &c, k));
        if (s->port->moves_keys) {
            EFX_RET(chunk_flush(s, &c));
        }
    }
    return chunk_flush(s, &c);
}

/* Everything is evaluated, then everything is done, or nothing. */
static enum efx_rc write_strict(struct table_slice *s)
{
    struct efx_ctx *ctx = s->t->base.ctx;
    struct chunk *first = efx_scratch(ctx, sizeof *first), *last = first;
    chunk_init(ctx, first);
    efx_table__slice_keys(s, true);
    for (uint32_t k = 0; k < s->n; k++) {
        for (uint32_t id1 = efx_table__next(s, k, 0); id1 != 0; id1 = efx_table__next(s, k, id1)) {
            if (efx_bit(table_slab(s->t, id1 - 1)->pending, table_place(id1 - 1))) {
                continue; /* one statement changes a row once */
            }
            if (last->n == EFX_BATCH_ROWS_MAX) {
                last->next = efx_scratch(ctx, sizeof *last);
                chunk_init(ctx, last->next);
                last = last->next;
            }
            collect(s, last, k, id1);
        }
    }
    for (struct chunk *c = first; c != NULL; c = c->next) {
        if (c->n > 0) {
            chunk_eval(s, c);
        }
    }
    for (struct chunk *c = first; c != NULL; c = c->next) {
        if (s->fails.any && c->n > 0) { /* none is meant any more */
            memset(c->yes, 0, efx_words(c->n) * sizeof *c->yes);
        }
        EFX_RET(chunk_apply(s, c));
    }
    return EFX_OK;
}

enum efx_rc efx_table__write(struct table_slice *s, bool strict)
{
    return strict ? write_strict(s) : write_slice(s);
}
