/* Reading a table: rows that pass through it, and what expressions ask.
 *
 *   LOOKUP   row 3 │ 3·a 3·f │ spare     pairs of row and table's row, judged by `rest` a batch
 *            row 4 │ spare               at a time; the spare is put out if a LEFT row found none
 *
 * A row whose candidates do not fit goes on in the next batch; its last match waits and is judged
 * there again, so the end of a row set is always in the batch that is put out last.
 *
 * Where a row meets at most one of the table's and nothing is left to judge, rows keep their
 * places: the slice's columns go out as they are, the table's are gathered beside them, and who
 * has found nobody is not selected, or has NULLs.
 *
 *   Order    rows in order, the table's in insertion order; a row set for each row that found some
 *   Cost     the entries of all keys of a slice are found in one pass with prefetch; columns are
 *            gathered by column, so the misses of many rows are waited for together
 *   Errors   a condition that fails is not met; the row leaves by the error edge too
 */
#include "gather.h"
#include "table.h"

struct probe { /* slots of a row of the slice */
    uint32_t from, until;
    bool spare, open;
};

struct reading {
    struct table_slice *s;
    const struct efx_outlet *out;
    uint32_t n, n_probes;
    uint32_t *row;       /* [EFX_BATCH_ROWS_MAX] */
    uint32_t *id1;       /* 0 = NULLs */
    struct probe *probe; /* [EFX_BATCH_ROWS_MAX] */
};

static const uint32_t NO_SLOT = UINT32_MAX;

static uint32_t last_yes(const uint64_t *yes, uint32_t from, uint32_t until)
{
    while (until > from) {
        if (efx_bit(yes, --until)) {
            return until;
        }
    }
    return NO_SLOT;
}

/* Decides about spares, marks ends; returns the slot that waits for the next batch. */
static uint32_t settle(const struct reading *r, uint64_t *yes, uint64_t *set_end)
{
    for (uint32_t i = 0; i < r->n_probes; i++) {
        const struct probe *p = &r->probe[i];
        uint32_t last = last_yes(yes, p->from, p->until - (p->spare ? 1 : 0));
        if (p->spare && last == NO_SLOT) {
            last = p->until - 1;
            efx_bit_put(yes, last, true);
        }
        if (last != NO_SLOT) {
            efx_bit_put(p->open ? yes : set_end, last, !p->open);
        }
        if (p->open) {
            return last;
        }
    }
    return NO_SLOT;
}

/* Row and table columns in the order of the output, the row's hidden ones behind. */
static void lay_out(const struct reading *r, const struct efx_batch *pairs, struct efx_batch *b)
{
    struct op_table *t = r->s->t;
    struct efx_ctx *ctx = t->base.ctx;
    const struct efx_table_port *conf = r->s->port->conf;
    uint32_t n_in = conf->in.n_cols, n_hidden = conf->in.partitioned ? 2 : 0;
    struct efx_col *cols = efx_scratch(ctx, (n_in + t->n_cols + n_hidden) * sizeof *cols);
    uint32_t row_at = conf->table_first ? t->n_cols : 0;
    uint32_t table_at = conf->table_first ? 0 : n_in;
    memcpy(cols + row_at, pairs->cols, n_in * sizeof *cols);
    memcpy(cols + table_at, pairs->cols + n_in, t->n_cols * sizeof *cols);
    for (uint32_t h = 0; h < n_hidden; h++) {
        cols[n_in + t->n_cols + h] = efx_op__gather(ctx, &r->s->in.b->cols[n_in + h], r->row, r->n);
    }
    *b = *pairs;
    b->cols = cols;
    b->n_hidden = n_hidden;
    efx_op__inherit(ctx, r->s->step, r->s->in.b, r->row, r->n, r->out->rows.needs, b);
    if ((r->out->rows.needs & EFX_NEEDS_MOMENT) == 0) {
        b->moment = NULL;
    }
}

static enum efx_rc put_out(struct reading *r, uint32_t *waits)
{
    struct op_table *t = r->s->t;
    struct efx_ctx *ctx = t->base.ctx;
    uint32_t n_words = efx_words(r->n);
    uint64_t *ask = efx_scratch(ctx, n_words * sizeof *ask);
    uint64_t *yes = efx_scratch_zero(ctx, n_words * sizeof *yes);
    uint64_t *set_end = efx_scratch_zero(ctx, n_words * sizeof *set_end);
    struct efx_batch pairs, b;
    memset(ask, 0xFF, n_words * sizeof *ask);
    for (uint32_t i = 0; i < r->n_probes; i++) {
        if (r->probe[i].spare) {
            efx_bit_put(ask, r->probe[i].until - 1, false);
        }
    }
    efx_table__pairs(r->s, r->row, r->id1, r->n, &pairs);
    efx_table__rest(r->s, &pairs, r->row, ask, yes);
    *waits = settle(r, yes, set_end);
    lay_out(r, &pairs, &b);
    b.sel = yes;
    b.set_end = set_end;
    struct efx_rows rows = efx_rows_all(&b);
    uint32_t n = efx_rows_count(&rows);
    if (n == 0) {
        return EFX_OK;
    }
    if (n == r->n) {
        b.sel = NULL;
    }
    t->base.n_rows_out += n;
    return efx_edge_push(&r->out->rows, r->s->step, &rows);
}

static enum efx_rc flush(struct reading *r)
{
    struct efx_ctx *ctx = r->s->t->base.ctx;
    uint32_t waits = NO_SLOT;
    if (r->n > 0) {
        struct efx_ctx_mark mark = efx_ctx_begin(ctx);
        enum efx_rc rc = put_out(r, &waits);
        efx_ctx_end(ctx, mark);
        EFX_RET(rc);
    }
    r->n = r->n_probes = 0;
    if (waits != NO_SLOT) {
        r->row[0] = r->row[waits];
        r->id1[0] = r->id1[waits];
        r->n = 1;
    }
    return EFX_OK;
}

static enum efx_rc slot_add(struct reading *r, uint32_t row, uint32_t id1)
{
    if (r->n == EFX_BATCH_ROWS_MAX) {
        struct probe *p = &r->probe[r->n_probes - 1];
        p->until = r->n;
        p->open = true;
        EFX_RET(flush(r));
        r->probe[r->n_probes++] = (struct probe){0};
    }
    r->row[r->n] = row;
    r->id1[r->n++] = id1;
    return EFX_OK;
}

static enum efx_rc look_up_row(struct reading *r, uint32_t k)
{
    struct table_slice *s = r->s;
    const struct efx_table_port *conf = s->port->conf;
    if (r->n_probes == EFX_BATCH_ROWS_MAX) {
        EFX_RET(flush(r));
    }
    r->probe[r->n_probes++] = (struct probe){.from = r->n};
    for (uint32_t id1 = efx_table__next(s, k, 0); id1 != 0; id1 = efx_table__next(s, k, id1)) {
        EFX_RET(slot_add(r, s->at[k], id1));
    }
    if (conf->outer && (conf->rest != NULL || r->probe[r->n_probes - 1].from == r->n)) {
        EFX_RET(slot_add(r, s->at[k], 0));
        r->probe[r->n_probes - 1].spare = true;
    }
    struct probe *p = &r->probe[r->n_probes - 1];
    p->until = r->n;
    if (p->from == p->until) {
        r->n_probes--;
    }
    return EFX_OK;
}

/* ---- at most one of the table's rows for a row ---- */

/* id1[i] of the slice's rows by place; 0 = has found nobody, or is not there. All is looked at by
 * whole words of the slice. The table's rows are asked for: they will be gathered. */
static uint32_t *ids_in_place(const struct table_slice *s, uint64_t *found)
{
    const struct table_index *ix = s->port->index;
    const struct efx_states ends = efx_keyed_states(ix->keyed, 0);
    uint32_t n = s->in.until, first = s->in.from / 64;
    uint32_t *id1 = efx_scratch(s->t->base.ctx, n * sizeof *id1);
    memset(id1 + first * 64, 0, (n - first * 64) * sizeof *id1);
    memset(found + first, 0, (efx_words(n) - first) * sizeof *found);
    for (uint32_t k = 0; k < s->n; k++) {
        if (s->entry[k] == EFX_KEYED_DEAD) {
            continue;
        }
        const struct table_ends *e = efx_state_at(&ends, s->entry[k]);
        uint32_t i = s->at[k];
        id1[i] = e->first;
        found[i / 64] |= (uint64_t)(e->first != 0) << i % 64;
        if (e->first != 0) {
            uint32_t id = e->first - 1;
            __builtin_prefetch(table_slot(s->t, table_slab(s->t, id), table_place(id), 0));
        }
    }
    return id1;
}

/* Is column c's value that of the key it was found by, bit for bit? */
static bool is_the_key(const struct table_slice *s, uint32_t c, struct efx_col *out)
{
    const struct table_index *ix = s->port->index;
    for (uint32_t j = 0; j < ix->n_cols; j++) {
        if (ix->cols[j] == c && ix->as[j] == EFX_TYPE_LONG && s->t->types[c] == EFX_TYPE_LONG &&
            s->keys[j].type == EFX_TYPE_LONG && s->keys[j].valid == NULL) {
            *out = s->keys[j];
            return true;
        }
    }
    return false;
}

static enum efx_rc look_up_in_place(struct table_slice *s, const struct efx_outlet *out)
{
    struct op_table *t = s->t;
    struct efx_ctx *ctx = t->base.ctx;
    const struct efx_table_port *conf = s->port->conf;
    const struct efx_batch *in = s->in.b;
    uint32_t n_in = conf->in.n_cols, n_hidden = conf->in.partitioned ? 2 : 0;
    uint64_t *found = efx_scratch(ctx, efx_words(in->n_rows) * sizeof *found);
    const uint32_t *id1 = ids_in_place(s, found);
    struct efx_col *cols = efx_scratch(ctx, (n_in + t->n_cols + n_hidden) * sizeof *cols);
    struct efx_col *of_table = cols + (conf->table_first ? 0 : n_in);
    memcpy(cols + (conf->table_first ? t->n_cols : 0), in->cols, n_in * sizeof *cols);
    memcpy(cols + n_in + t->n_cols, in->cols + n_in, n_hidden * sizeof *cols);
    for (uint32_t c = 0; c < t->n_cols; c++) {
        if (conf->outer || !is_the_key(s, c, &of_table[c])) {
            efx_table__gather_col(t, id1, s->in.from & ~63u, s->in.until, c, conf->outer,
                                  &of_table[c]);
        }
    }
    struct efx_batch b = *in;
    b.n_cols = n_in + t->n_cols;
    b.n_hidden = n_hidden;
    b.cols = cols;
    b.kind = NULL;
    b.code = NULL;
    b.moment = (out->rows.needs & EFX_NEEDS_MOMENT) != 0 ? in->moment : NULL;
    b.sub = (out->rows.needs & EFX_NEEDS_SUB) != 0 ? in->sub : NULL;
    if (!conf->outer) {
        b.sel = found;
    }
    b.set_end = b.sel;
    if (b.set_end == NULL) {
        uint64_t *all = efx_scratch(ctx, efx_words(in->n_rows) * sizeof *all);
        b.set_end = memset(all, 0xFF, efx_words(in->n_rows) * sizeof *all);
    }
    struct efx_rows rows = {&b, s->in.from, s->in.until};
    uint32_t n = efx_rows_count(&rows);
    t->base.n_rows_out += n;
    return n == 0 ? EFX_OK : efx_edge_push(&out->rows, s->step, &rows);
}

/* What the edge wants to know about the rows' order is in the batch already. */
static bool keeps_places(const struct table_slice *s, const struct efx_outlet *out)
{
    const struct table_index *ix = s->port->index;
    uint32_t needs = out->rows.needs;
    return ix != NULL && ix->unique && s->port->conf->rest == NULL &&
           ((needs & EFX_NEEDS_MOMENT) == 0 || s->in.b->moment != NULL) &&
           ((needs & EFX_NEEDS_SUB) == 0 || s->in.b->sub != NULL);
}

enum efx_rc efx_table__lookup(struct table_slice *s, const struct efx_outlet *out)
{
    if (keeps_places(s, out)) {
        efx_table__slice_keys(s, true);
        return look_up_in_place(s, out);
    }
    struct efx_ctx *ctx = s->t->base.ctx;
    struct reading r = {.s = s, .out = out};
    r.row = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *r.row);
    r.id1 = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *r.id1);
    r.probe = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *r.probe);
    efx_table__slice_keys(s, true);
    for (uint32_t k = 0; k < s->n; k++) {
        EFX_RET(look_up_row(&r, k));
    }
    return flush(&r);
}

/* ---- what expressions ask ---- */

/* The value as the column's index has it; false: no row can be equal to it. */
static bool as_key(struct efx_ctx *ctx, enum efx_type col, const struct efx_col *x, uint32_t i,
                   struct efx_col *key)
{
    bool whole = col == EFX_TYPE_INT || col == EFX_TYPE_LONG;
    if (whole && x->type == EFX_TYPE_DOUBLE) { /* compared exactly */
        double d = ((const double *)x->data)[i];
        int64_t *l = efx_scratch(ctx, sizeof *l);
        if (!(d >= -0x1p63 && d < 0x1p63) || (double)(int64_t)d != d) {
            return false;
        }
        *l = (int64_t)d;
        *key = (struct efx_col){.type = EFX_TYPE_LONG, .data = l};
        return true;
    }
    if ((x->type == EFX_TYPE_LONG || x->type == EFX_TYPE_INT) && !whole) {
        int64_t l = x->type == EFX_TYPE_LONG ? ((const int64_t *)x->data)[i]
                                             : ((const int32_t *)x->data)[i];
        double *d = efx_scratch(ctx, sizeof *d);
        *d = (double)l;
        *key = (struct efx_col){.type = EFX_TYPE_DOUBLE, .data = d};
        return *d < 0x1p63 && (int64_t)*d == l;
    }
    enum efx_type as = efx_table__as(col, x->type);
    struct efx_cell *slot = efx_scratch(ctx, sizeof *slot);
    efx_col_copy_slot(slot, 0, x, i);
    struct efx_col one = {.type = x->type, .data = slot};
    *key = efx_table__cast(ctx, &one, as, 0, 1);
    return true;
}

static bool has(struct op_table *t, uint32_t col, const struct efx_col *x, uint32_t i)
{
    struct efx_col key;
    struct table_index *ix;
    if (!efx_bit(x->valid, i) || !as_key(t->base.ctx, t->types[col], x, i, &key)) {
        return false;
    }
    ix = efx_table__index_find(t, &col, &key.type, 1);
    if (ix == NULL && efx_table__index_add(t, &col, &key.type, 1, &ix) != EFX_OK) {
        efx_panic(__FILE__, __LINE__, "memory for the index of an IN over a table");
    }
    return efx_table__index_first(ix, &key, 0) != 0;
}

bool efx_table__has(const struct efx_table_view *self, uint32_t col, const struct efx_col *x,
                    uint32_t i)
{
    struct op_table *t = ((const struct table_view *)self)->table;
    struct efx_ctx_mark mark = efx_ctx_begin(t->base.ctx);
    bool found = has(t, col, x, i);
    efx_ctx_end(t->base.ctx, mark);
    return found;
}

#define COLUMN(T)                                                                                  \
    for (uint32_t i = 0; i < n; i++) {                                                             \
        ((T *)data)[i] = *(const T *)table_slot(t, s, i, c);                                       \
    }

/* Column c of a slab's first n rows, in scratch; of who is not there, anything. */
static struct efx_col column(const struct op_table *t, const struct table_slab *s, uint32_t c,
                             uint32_t n, struct efx_ctx *ctx)
{
    void *data = efx_scratch(ctx, n * efx_type_width(t->types[c]));
    switch (efx_type_width(t->types[c])) {
    case 1: COLUMN(uint8_t) break;
    case 4: COLUMN(uint32_t) break;
    case 8: COLUMN(uint64_t) break;
    default: COLUMN(struct efx_cell) break;
    }
    return (struct efx_col){
        .type = t->types[c], .data = data, .valid = t->any_null[c] ? table_valid(s, c) : NULL};
}

bool efx_table__scan(const struct efx_table_view *self, struct efx_ctx *ctx, uint64_t *from,
                     struct efx_batch *out)
{
    static const int64_t no_ts_ms[TABLE_SLAB_ROWS];
    const struct op_table *t = ((const struct table_view *)self)->table;
    uint32_t id = *from < t->n_ids ? efx_table__live_from(t, (uint32_t)*from) : t->n_ids;
    if (id >= t->n_ids) {
        return false;
    }
    const struct table_slab *s = table_slab(t, id);
    uint32_t base = id - table_place(id);
    struct efx_col *cols = efx_scratch(ctx, (t->n_cols + 1) * sizeof *cols);
    uint32_t n = t->n_ids - base < TABLE_SLAB_ROWS ? t->n_ids - base : TABLE_SLAB_ROWS;
    for (uint32_t c = 0; c < t->n_cols; c++) {
        cols[c] = column(t, s, c, n, ctx);
    }
    *out = (struct efx_batch){.n_rows = n,
                              .n_cols = t->n_cols,
                              .cols = cols,
                              .sel = s->n_live == n ? NULL : s->live,
                              .ts_ms = no_ts_ms};
    *from = (uint64_t)base + TABLE_SLAB_ROWS;
    return true;
}
