/* INSERT and UPSERT.
 *
 *   keys of the slice ─► entries of the primary key, made in one pass (prefetched) ─► row by row:
 *   entry has a row   UPSERT: its columns are set      INSERT: dropped, counted
 *   entry is empty    the row is added and stands there for the rows behind it in the slice
 *
 * That needs rows to be found by exactly the primary key, with the values that are stored in it; it
 * is looked at by columns. Other conditions find their rows one row of the slice after the other.
 * Where all there is to write are numbers without NULLs, and no other index, an UPSERT writes
 * column by column: first the rows that are new, then what is set, in order.
 *
 *   NULL     in a NOT NULL or primary key column: 3102
 *   Order    each row sees what the rows before it in the slice have done
 *   Errors   EFX_ENOMEM. An expression that fails counts only where its value is used
 */
#include "table.h"

struct put { /* a slice's values */
    struct table_slice *s;
    const struct efx_col *cols; /* [n_cols] what would be inserted */
    struct table_new rows;
    struct table_set set; /* UPSERT */
    struct efx_fails new_fails, set_fails;
    uint32_t *entry; /* [n] of the primary key; NULL: rows are found one by one */
    uint32_t n_entries_new;
};

static bool slots_equal(const struct efx_col *a, const struct efx_col *b, uint32_t i)
{
    if (efx_bit(a->valid, i) != efx_bit(b->valid, i) || !efx_bit(a->valid, i)) {
        return efx_bit(a->valid, i) == efx_bit(b->valid, i);
    }
    uint32_t width = efx_type_width(a->type);
    if (efx_type_is_cell(a->type)) {
        return efx_cell_equal((const struct efx_cell *)a->data + i,
                              (const struct efx_cell *)b->data + i);
    }
    return memcmp((const uint8_t *)a->data + (size_t)i * width,
                  (const uint8_t *)b->data + (size_t)i * width, width) == 0;
}

static bool cols_agree(const struct table_slice *s, const struct efx_col *a,
                       const struct efx_col *b)
{
    bool same = a->data == b->data && a->valid == b->valid;
    for (uint32_t k = 0; !same && k < s->n; k++) {
        if (!slots_equal(a, b, s->at[k])) {
            return false;
        }
    }
    return true;
}

/* Are rows found by the primary key that they would have? */
static bool found_by_key(struct put *p)
{
    struct table_slice *s = p->s;
    struct op_table *t = s->t;
    const struct table_index *ix = t->n_indexes > 0 ? t->index[0] : NULL;
    if (ix == NULL || !ix->primary) {
        return false;
    }
    if (s->port->conf->kind == EFX_PORT_INSERT) {
        return true;
    }
    if (s->port->index != ix || s->port->conf->rest != NULL) {
        return false;
    }
    for (uint32_t j = 0; j < ix->n_cols; j++) {
        if (!cols_agree(s, &p->rows.keys[0][j], &s->keys[j])) {
            return false;
        }
        for (uint32_t k = 0; k < p->set.n; k++) {
            if (p->set.cols[k] == ix->cols[j]) {
                struct efx_col set = efx_table__cast(t->base.ctx, &p->set.values[k], ix->as[j],
                                                     s->in.from, s->in.until);
                if (!cols_agree(s, &set, &s->keys[j])) {
                    return false;
                }
            }
        }
    }
    return true;
}

static enum efx_rc entries_make(struct put *p)
{
    struct table_slice *s = p->s;
    struct table_index *ix = s->t->index[0];
    struct efx_ctx *ctx = s->t->base.ctx;
    const struct efx_col *keys = p->rows.keys[0];
    bool all = true;
    for (uint32_t j = 0; j < ix->n_cols; j++) {
        all = all && keys[j].valid == NULL;
    }
    p->entry = efx_scratch(ctx, s->n * sizeof *p->entry);
    if (all) {
        return efx_keyed_ids(ix->keyed, keys, s->at, s->n, p->entry, &p->n_entries_new);
    }
    uint32_t *row = efx_scratch(ctx, s->n * sizeof *row);
    uint32_t *place = efx_scratch(ctx, s->n * sizeof *place);
    uint32_t *found = efx_scratch(ctx, s->n * sizeof *found);
    uint32_t n = efx_table__not_null(keys, ix->n_cols, s->at, s->n, row, place);
    EFX_RET(efx_keyed_ids(ix->keyed, keys, row, n, found, &p->n_entries_new));
    memset(p->entry, 0xFF, s->n * sizeof *p->entry); /* EFX_KEYED_DEAD */
    for (uint32_t j = 0; j < n; j++) {
        p->entry[place[j]] = found[j];
    }
    return EFX_OK;
}

/* Entries that were made for rows that did not come in. */
static void entries_drop(struct put *p)
{
    const struct table_index *ix = p->s->t->index[0];
    for (uint32_t k = 0; p->n_entries_new > 0 && k < p->s->n; k++) {
        uint32_t e = p->entry[k];
        if (e != EFX_KEYED_DEAD && efx_keyed_is_live(ix->keyed, e) &&
            table_ends(ix, e)->first == 0) {
            efx_keyed_del(ix->keyed, e);
        }
    }
}

/* ---- values ---- */

static struct efx_fails fails_make(struct efx_ctx *ctx, const struct efx_batch *b)
{
    return (struct efx_fails){.failed =
                                  efx_scratch_zero(ctx, efx_words(b->n_rows) * sizeof(uint64_t)),
                              .code = efx_scratch(ctx, b->n_rows * sizeof(uint16_t))};
}

static void put_eval(struct put *p, struct table_slice *s)
{
    struct op_table *t = s->t;
    struct efx_ctx *ctx = t->base.ctx;
    const struct efx_table_port *conf = s->port->conf;
    *p = (struct put){.s = s, .cols = s->in.b->cols};
    p->new_fails = fails_make(ctx, s->in.b);
    p->set_fails = fails_make(ctx, s->in.b);
    if (conf->kind == EFX_PORT_UPSERT) {
        struct efx_col *cols = efx_scratch(ctx, t->n_cols * sizeof *cols);
        struct efx_col *values = efx_scratch(ctx, (conf->n_sets + 1) * sizeof *values);
        for (uint32_t c = 0; c < t->n_cols; c++) {
            efx_expr_eval(conf->insert[c], ctx, s->step, &s->in, &cols[c], &p->new_fails);
        }
        for (uint32_t k = 0; k < conf->n_sets; k++) {
            efx_expr_eval(conf->sets[k], ctx, s->step, &s->in, &values[k], &p->set_fails);
        }
        p->cols = cols;
        efx_table__set_init(t, conf, values, NULL, &p->set);
        efx_table__slice_keys(s, false);
    }
    efx_table__new_init(t, p->cols, s->in.from, s->in.until, &p->rows);
}

/* ---- rows ---- */

static enum efx_rc put_new(struct put *p, uint32_t k, uint32_t entry)
{
    struct table_slice *s = p->s;
    uint32_t i = s->at[k];
    bool done;
    uint16_t code = 0;
    if (p->new_fails.any && efx_bit(p->new_fails.failed, i)) {
        efx_fail_row(&s->fails, i, p->new_fails.code[i]);
        return EFX_OK;
    }
    EFX_RET(efx_table__insert(s->t, &p->rows, i, entry, &done, &code));
    if (code != 0) {
        efx_fail_row(&s->fails, i, code);
    }
    s->n_changed += done;
    return EFX_OK;
}

static enum efx_rc put_set(struct put *p, uint32_t k, uint32_t id)
{
    struct table_slice *s = p->s;
    uint32_t i = s->at[k];
    bool done;
    uint16_t code = 0;
    if (p->set_fails.any && efx_bit(p->set_fails.failed, i)) {
        efx_fail_row(&s->fails, i, p->set_fails.code[i]);
        return EFX_OK;
    }
    EFX_RET(efx_table__set(s->t, id, &p->set, i, &done, &code));
    if (code != 0) {
        efx_fail_row(&s->fails, i, code);
    }
    s->n_changed += done;
    return EFX_OK;
}

static inline const struct table_ends *ends_at(const struct efx_states *at, uint32_t entry)
{
    return efx_state_at(at, entry);
}

/* Rows lie anywhere in the table: their cells are asked for some rows ahead. */
static void prefetch(const struct put *p, const struct efx_states *at, uint32_t k)
{
    const struct op_table *t = p->s->t;
    if (k + 16 >= p->s->n || p->entry[k + 16] == EFX_KEYED_DEAD) {
        return;
    }
    uint32_t ahead = ends_at(at, p->entry[k + 16])->first;
    if (ahead == 0) {
        return;
    }
    const struct table_slab *slab = table_slab(t, ahead - 1);
    uint32_t place = table_place(ahead - 1);
    if (t->marked) {
        __builtin_prefetch(&slab->stamp[place], 1);
    }
    for (uint32_t j = 0; j < p->set.n && j < 8; j++) {
        uint32_t c = p->set.cols[j];
        __builtin_prefetch(table_slot(t, slab, place, c), 1);
    }
}

/* ---- numbers only: column by column ---- */

static bool is_plain(const struct efx_col *col)
{
    return col->valid == NULL && !efx_type_is_cell(col->type);
}

static bool writes_numbers(const struct put *p)
{
    const struct op_table *t = p->s->t;
    bool plain = t->n_indexes == 1 && !p->new_fails.any && !p->set_fails.any;
    for (uint32_t c = 0; c < t->n_cols; c++) {
        plain = plain && is_plain(&p->cols[c]);
    }
    for (uint32_t k = 0; k < p->set.n; k++) {
        plain = plain && is_plain(&p->set.values[k]);
    }
    return plain;
}

/* Setting a whole number to the key it was found by changes nothing. */
static bool is_own_key(const struct put *p, uint32_t c)
{
    const struct table_index *ix = p->s->t->index[0];
    bool whole = p->s->t->types[c] == EFX_TYPE_INT || p->s->t->types[c] == EFX_TYPE_LONG;
    for (uint32_t j = 0; j < ix->n_cols; j++) {
        if (ix->cols[j] == c) {
            return whole;
        }
    }
    return false;
}

enum { PUT_BLOCK = 256, PUT_WORDS = PUT_BLOCK / 64 };

struct put_block { /* rows of the slice whose entries, then row ids, then slots are fetched */
    uint32_t n;
    const uint32_t *at; /* [n] */
    uint32_t entry[PUT_BLOCK], id[PUT_BLOCK];
    uint64_t is_new[PUT_WORDS];
    uint32_t *set; /* [n_set] of the UPSERT's columns, but those of its key */
    uint32_t n_set;
};

static void columns_set(const struct put *p, struct put_block *b)
{
    b->n_set = 0;
    b->set = efx_scratch(p->s->t->base.ctx, (p->set.n + 1) * sizeof *b->set);
    for (uint32_t j = 0; j < p->set.n; j++) {
        if (!is_own_key(p, p->set.cols[j])) {
            b->set[b->n_set++] = j;
        }
    }
}

/* Row ids of the block's rows, made where the key has none; what will be written of the others is
 * asked for. */
static enum efx_rc ids_make(struct put *p, struct put_block *b)
{
    struct op_table *t = p->s->t;
    struct table_index *ix = t->index[0];
    const struct efx_states ends = efx_keyed_states(ix->keyed, 0);
    memset(b->is_new, 0, sizeof b->is_new);
    for (uint32_t k = 0; k < b->n; k++) {
        const struct table_ends *e = efx_state_at(&ends, b->entry[k]);
        if (e->first == 0) {
            EFX_RET(efx_table__row_open(t, &b->id[k]));
            efx_table__index_link(ix, b->id[k], b->entry[k]);
            b->is_new[k / 64] |= (uint64_t)1 << k % 64;
            continue;
        }
        uint32_t id = b->id[k] = e->first - 1;
        EFX_RET(t->marked ? efx_table__touch(t, id) : EFX_OK);
        for (uint32_t j = 0; j < b->n_set; j++) {
            uint32_t c = p->set.cols[b->set[j]];
            __builtin_prefetch(table_slot(t, table_slab(t, id), table_place(id), c), 1);
        }
    }
    return EFX_OK;
}

#define WRITE(T)                                                                                   \
    for (uint32_t w = 0; w < efx_words(b->n); w++) {                                               \
        uint64_t rows = efx_word(NULL, w, b->n) & (new ? b->is_new[w] : ~b->is_new[w]);            \
        for (; rows != 0; rows &= rows - 1) {                                                      \
            uint32_t k = w * 64 + (uint32_t)__builtin_ctzll(rows), id = b->id[k];                  \
            *(T *)table_slot(t, table_slab(t, id), table_place(id), c) =                           \
                ((const T *)from->data)[b->at[k]];                                                 \
        }                                                                                          \
    }

/* Values into column c of the rows that are new, or of the others. */
static void write_col(const struct op_table *t, const struct put_block *b, bool new, uint32_t c,
                      const struct efx_col *from)
{
    switch (efx_type_width(t->types[c])) {
    case 1: WRITE(uint8_t) break;
    case 4: WRITE(uint32_t) break;
    default: WRITE(uint64_t) break;
    }
    for (uint32_t k = 0; t->any_null[c] && k < b->n; k++) {
        if (efx_bit(b->is_new, k) == new) {
            efx_bit_put(table_valid(table_slab(t, b->id[k]), c), table_place(b->id[k]), true);
        }
    }
}

static enum efx_rc put_numbers(struct put *p)
{
    struct table_slice *s = p->s;
    struct put_block b;
    columns_set(p, &b);
    for (uint32_t from = 0; from < s->n; from += b.n) {
        uint32_t n_new;
        b.n = s->n - from < PUT_BLOCK ? s->n - from : PUT_BLOCK;
        b.at = s->at + from;
        EFX_RET(efx_keyed_ids(s->t->index[0]->keyed, p->rows.keys[0], b.at, b.n, b.entry, &n_new));
        EFX_RET(ids_make(p, &b));
        for (uint32_t c = 0; c < s->t->n_cols; c++) {
            write_col(s->t, &b, true, c, &p->cols[c]);
        }
        for (uint32_t j = 0; j < b.n_set; j++) {
            write_col(s->t, &b, false, p->set.cols[b.set[j]], &p->set.values[b.set[j]]);
        }
        s->n_changed += b.n;
    }
    return EFX_OK;
}

static enum efx_rc put_by_key(struct put *p)
{
    struct table_slice *s = p->s;
    struct table_index *ix = s->t->index[0];
    const struct efx_states at = efx_keyed_states(ix->keyed, 0);
    bool sets = s->port->conf->kind == EFX_PORT_UPSERT;
    if (sets) {
        efx_table__set_init(s->t, s->port->conf, p->set.values, ix, &p->set);
    }
    for (uint32_t k = 0; k < s->n; k++) {
        prefetch(p, &at, k);
        uint32_t e = p->entry[k];
        uint32_t first = e == EFX_KEYED_DEAD ? 0 : ends_at(&at, e)->first;
        if (first == 0) {
            EFX_RET(put_new(p, k, e));
        } else if (sets) {
            EFX_RET(put_set(p, k, first - 1));
        } else if (efx_table__lacks(s->t, p->cols, s->at[k]) != 0) {
            efx_fail_row(&s->fails, s->at[k], efx_table__lacks(s->t, p->cols, s->at[k]));
        } else {
            s->t->n_duplicates++;
        }
    }
    return EFX_OK;
}

/* The rows of the table that row k is about, in scratch. */
static uint32_t matches(struct table_slice *s, uint32_t k, uint32_t **out)
{
    struct efx_ctx *ctx = s->t->base.ctx;
    uint32_t n = 0, m = 0;
    for (uint32_t id1 = efx_table__next(s, k, 0); id1 != 0; id1 = efx_table__next(s, k, id1)) {
        n++;
    }
    uint32_t *all = efx_scratch(ctx, n * sizeof *all);
    n = 0;
    for (uint32_t id1 = efx_table__next(s, k, 0); id1 != 0; id1 = efx_table__next(s, k, id1)) {
        all[n++] = id1;
    }
    *out = all;
    if (s->port->conf->rest == NULL || n == 0) {
        return n;
    }
    uint32_t *row = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *row);
    uint64_t yes[EFX_BATCH_WORDS];
    for (uint32_t i = 0; i < EFX_BATCH_ROWS_MAX; i++) {
        row[i] = s->at[k];
    }
    for (uint32_t from = 0; from < n; from += EFX_BATCH_ROWS_MAX) {
        struct efx_ctx_mark mark = efx_ctx_begin(ctx);
        uint32_t len = n - from < EFX_BATCH_ROWS_MAX ? n - from : EFX_BATCH_ROWS_MAX;
        struct efx_batch pairs;
        efx_table__pairs(s, row, all + from, len, &pairs);
        efx_table__rest(s, &pairs, row, NULL, yes);
        for (uint32_t i = 0; i < len; i++) {
            if (efx_bit(yes, i)) {
                all[m++] = all[from + i];
            }
        }
        efx_ctx_end(ctx, mark);
    }
    return m;
}

static enum efx_rc put_one_by_one(struct put *p)
{
    struct table_slice *s = p->s;
    struct efx_ctx *ctx = s->t->base.ctx;
    for (uint32_t k = 0; k < s->n; k++) {
        struct efx_ctx_mark mark = efx_ctx_begin(ctx);
        uint32_t *id1 = NULL;
        uint32_t n = s->port->conf->kind == EFX_PORT_UPSERT ? matches(s, k, &id1) : 0;
        enum efx_rc rc = n == 0 ? put_new(p, k, EFX_KEYED_DEAD) : EFX_OK;
        for (uint32_t i = 0; rc == EFX_OK && i < n; i++) {
            rc = put_set(p, k, id1[i] - 1);
        }
        efx_ctx_end(ctx, mark);
        EFX_RET(rc);
    }
    return EFX_OK;
}

/* Would anything fail? All rows that lack a NOT NULL column lack the same ones, so none of them
 * comes in and makes a match for the next. */
static void put_check(struct put *p)
{
    struct table_slice *s = p->s;
    struct op_table *t = s->t;
    bool upsert = s->port->conf->kind == EFX_PORT_UPSERT;
    for (uint32_t k = 0; k < s->n; k++) {
        uint32_t i = s->at[k];
        uint16_t lacks = efx_table__lacks(t, p->cols, i);
        uint16_t unset = upsert ? efx_table__null_code(t, &p->set, i) : 0;
        if (p->new_fails.any && efx_bit(p->new_fails.failed, i)) {
            efx_fail_row(&s->fails, i, p->new_fails.code[i]);
        } else if (p->set_fails.any && efx_bit(p->set_fails.failed, i)) {
            efx_fail_row(&s->fails, i, p->set_fails.code[i]);
        } else if (unset != 0) {
            efx_fail_row(&s->fails, i, unset);
        } else if (lacks != 0) {
            struct efx_ctx_mark mark = efx_ctx_begin(t->base.ctx);
            uint32_t *id1;
            if (!upsert || matches(s, k, &id1) == 0) {
                efx_fail_row(&s->fails, i, lacks);
            }
            efx_ctx_end(t->base.ctx, mark);
        }
    }
}

enum efx_rc efx_table__put(struct table_slice *s, bool strict)
{
    struct put p;
    put_eval(&p, s);
    if (strict) {
        put_check(&p);
        if (s->fails.any) {
            return EFX_OK;
        }
    }
    if (!found_by_key(&p)) {
        return put_one_by_one(&p);
    }
    if (s->port->conf->kind == EFX_PORT_UPSERT && writes_numbers(&p)) {
        return put_numbers(&p);
    }
    EFX_RET(entries_make(&p));
    enum efx_rc rc = put_by_key(&p);
    entries_drop(&p);
    return rc;
}
