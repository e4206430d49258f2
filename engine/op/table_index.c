/* Indexes of a table: key ─► rows, in insertion order.
 *
 *   entry of k1   first 2, last 9        next[2] = 5, next[5] = 9; prev the other way
 *   unique        first = last
 *
 * A row whose key changes keeps its id, so it is put back between its new neighbours by id. Entries
 * of the primary key may be made ahead for a whole slice; those that got no row are removed when
 * the slice ends (table_upsert.c).
 *
 *   NULL     a key with a NULL is in no index
 *   Cost     O(1) a row; putting in at the end of a list, where rows nearly always go
 *   Errors   EFX_ENOMEM
 */
#include "table.h"

/* ---- types ---- */

enum efx_type efx_table__as(enum efx_type col, enum efx_type key)
{
    if (key == EFX_TYPE_INT) {
        return EFX_TYPE_LONG;
    }
    return key == EFX_TYPE_FLOAT && col == EFX_TYPE_FLOAT ? EFX_TYPE_DOUBLE : key;
}

#define CAST(FROM, TO)                                                                             \
    for (uint32_t i = from; i < until; i++) {                                                      \
        ((TO *)data)[i - from] = (TO)((const FROM *)col->data)[i];                                 \
    }

/* A key that cannot be cast never gets here: the binder compares like with like. */
static void cast_into(const struct efx_col *col, enum efx_type as, uint32_t from, uint32_t until,
                      void *data)
{
    if (as == EFX_TYPE_LONG) {
        CAST(int32_t, int64_t)
    } else if (as == EFX_TYPE_DOUBLE && col->type == EFX_TYPE_INT) {
        CAST(int32_t, double)
    } else if (as == EFX_TYPE_DOUBLE && col->type == EFX_TYPE_LONG) {
        CAST(int64_t, double)
    } else if (as == EFX_TYPE_DOUBLE) {
        CAST(float, double)
    } else if (col->type == EFX_TYPE_INT) {
        CAST(int32_t, float)
    } else {
        CAST(int64_t, float)
    }
}

struct efx_col efx_table__cast(struct efx_ctx *ctx, const struct efx_col *col, enum efx_type as,
                               uint32_t from, uint32_t until)
{
    if (col->type == as) {
        return *col;
    }
    uint32_t width = efx_type_width(as);
    uint8_t *data = efx_scratch(ctx, (size_t)until * width);
    cast_into(col, as, from, until, data + (size_t)from * width);
    return (struct efx_col){.type = as, .data = data, .valid = col->valid};
}

uint32_t efx_table__not_null(const struct efx_col *keys, uint32_t n_keys, const uint32_t *at,
                             uint32_t n, uint32_t *row, uint32_t *place)
{
    uint32_t m = 0;
    for (uint32_t k = 0; k < n; k++) {
        bool all = true;
        for (uint32_t c = 0; c < n_keys; c++) {
            all = all && efx_bit(keys[c].valid, at[k]);
        }
        row[m] = at[k];
        place[m] = k;
        m += all;
    }
    return m;
}

static bool has_null(const struct table_index *ix, const struct efx_col *keys, uint32_t i)
{
    for (uint32_t c = 0; c < ix->n_cols; c++) {
        if (!efx_bit(keys[c].valid, i)) {
            return true;
        }
    }
    return false;
}

/* ---- lists ---- */

uint32_t efx_table__index_first(const struct table_index *ix, const struct efx_col *keys,
                                uint32_t i)
{
    uint32_t entry;
    if (has_null(ix, keys, i)) {
        return 0;
    }
    efx_keyed_find(ix->keyed, keys, &i, 1, &entry);
    return entry == EFX_KEYED_DEAD ? 0 : table_ends(ix, entry)->first;
}

void efx_table__index_link(struct table_index *ix, uint32_t id, uint32_t entry)
{
    struct table_ends *ends = table_ends(ix, entry);
    ix->entry[id] = entry;
    if (ix->unique) {
        EFX_ASSERT(ends->first == 0);
        ends->first = ends->last = id + 1;
        return;
    }
    uint32_t prev = ends->last, next = 0;
    while (prev > id + 1) {
        next = prev;
        prev = ix->prev[prev - 1];
    }
    ix->prev[id] = prev;
    ix->next[id] = next;
    *(prev != 0 ? &ix->next[prev - 1] : &ends->first) = id + 1;
    *(next != 0 ? &ix->prev[next - 1] : &ends->last) = id + 1;
}

enum efx_rc efx_table__index_put(struct table_index *ix, uint32_t id, const struct efx_col *keys,
                                 uint32_t i)
{
    uint32_t entry, n_new = 0;
    if (has_null(ix, keys, i)) {
        ix->entry[id] = EFX_KEYED_DEAD;
        return EFX_OK;
    }
    EFX_RET(efx_keyed_ids(ix->keyed, keys, &i, 1, &entry, &n_new));
    efx_table__index_link(ix, id, entry);
    return EFX_OK;
}

void efx_table__index_take(struct table_index *ix, uint32_t id)
{
    uint32_t entry = ix->entry[id];
    if (entry == EFX_KEYED_DEAD) {
        return;
    }
    struct table_ends *ends = table_ends(ix, entry);
    uint32_t prev = ix->unique ? 0 : ix->prev[id], next = ix->unique ? 0 : ix->next[id];
    *(prev != 0 ? &ix->next[prev - 1] : &ends->first) = next;
    *(next != 0 ? &ix->prev[next - 1] : &ends->last) = prev;
    if (ends->first == 0) {
        efx_keyed_del(ix->keyed, entry);
    }
    ix->entry[id] = EFX_KEYED_DEAD;
}

const struct efx_col *efx_table__key_of_row(struct op_table *t, const struct table_index *ix,
                                            uint32_t id, const struct efx_col *const *from,
                                            uint32_t i)
{
    struct efx_ctx *ctx = t->base.ctx;
    struct efx_col *keys = efx_scratch(ctx, ix->n_cols * sizeof *keys);
    uint64_t *valid = efx_scratch_zero(ctx, ix->n_cols * sizeof *valid);
    struct efx_cell *slot = efx_scratch(ctx, ix->n_cols * sizeof *slot);
    const struct table_slab *s = table_slab(t, id);
    for (uint32_t j = 0; j < ix->n_cols; j++) {
        uint32_t c = ix->cols[j];
        uint32_t place = table_place(id), at = 0;
        struct efx_col col = {.type = t->types[c], .data = table_slot(t, s, place, c)};
        bool there = efx_bit(table_valid(s, c), place);
        if (from != NULL && from[c] != NULL) {
            col = *from[c];
            at = i;
            there = efx_bit(col.valid, i);
        }
        valid[j] = there;
        if (valid[j] == 0) {
            memset(&slot[j], 0, sizeof slot[j]);
        } else {
            efx_col_copy_slot(&slot[j], 0, &col, at);
        }
        struct efx_col one = {.type = col.type, .data = &slot[j], .valid = &valid[j]};
        keys[j] = efx_table__cast(ctx, &one, ix->as[j], 0, 1);
    }
    return keys;
}

/* ---- opening ---- */

struct table_index *efx_table__index_find(const struct op_table *t, const uint32_t *cols,
                                          const enum efx_type *as, uint32_t n)
{
    for (uint32_t k = 0; k < t->n_indexes; k++) {
        struct table_index *ix = t->index[k];
        if (ix->n_cols == n && memcmp(ix->cols, cols, n * sizeof *cols) == 0 &&
            memcmp(ix->as, as, n * sizeof *as) == 0) {
            return ix;
        }
    }
    return NULL;
}

static enum efx_rc rows_fit(struct op_table *t, struct table_index *ix, uint32_t n_ids)
{
    uint32_t **lists[3] = {&ix->entry, &ix->next, &ix->prev};
    for (uint32_t k = 0; k < (ix->unique ? 1 : 3); k++) {
        void *list = *lists[k];
        EFX_RET(efx_table__grow(t->mem, &list, n_ids, &ix->n_max[k], sizeof **lists[k]));
        *lists[k] = list;
    }
    return EFX_OK;
}

enum efx_rc efx_table__index_fit(struct op_table *t, uint32_t n_ids)
{
    for (uint32_t k = 0; k < t->n_indexes; k++) {
        EFX_RET(rows_fit(t, t->index[k], n_ids));
    }
    return EFX_OK;
}

static enum efx_rc index_fill(struct op_table *t, struct table_index *ix)
{
    EFX_RET(rows_fit(t, ix, t->n_slabs << TABLE_SLAB_SHIFT));
    for (uint32_t id = efx_table__live_from(t, 0); id < t->n_ids;
         id = efx_table__live_from(t, id + 1)) {
        struct efx_ctx_mark mark = efx_ctx_begin(t->base.ctx);
        enum efx_rc rc = efx_table__index_put(ix, id, efx_table__key_of_row(t, ix, id, NULL, 0), 0);
        efx_ctx_end(t->base.ctx, mark);
        EFX_RET(rc);
    }
    return EFX_OK;
}

static size_t index_bytes(uint32_t n)
{
    return sizeof(struct table_index) + n * (sizeof(uint32_t) + sizeof(enum efx_type));
}

void efx_table__index_drop(struct op_table *t, struct table_index *ix)
{
    uint32_t k = 0;
    while (k < t->n_indexes && t->index[k] != ix) {
        k++;
    }
    if (k < t->n_indexes) {
        t->index[k] = t->index[--t->n_indexes];
    }
    efx_keyed_destroy(&ix->keyed);
    t->mem->free(t->mem, ix->entry, ix->n_max[0] * sizeof *ix->entry);
    t->mem->free(t->mem, ix->next, ix->n_max[1] * sizeof *ix->next);
    t->mem->free(t->mem, ix->prev, ix->n_max[2] * sizeof *ix->prev);
    t->mem->free(t->mem, ix, index_bytes(ix->n_cols));
}

enum efx_rc efx_table__index_add(struct op_table *t, const uint32_t *cols, const enum efx_type *as,
                                 uint32_t n, struct table_index **out)
{
    void *list = t->index;
    EFX_ASSERT(n > 0 && n <= EFX_KEYED_CELLS_MAX);
    EFX_RET(efx_table__grow(t->mem, &list, t->n_indexes + 1, &t->n_indexes_max, sizeof *t->index));
    t->index = list;
    struct table_index *ix = t->mem->alloc(t->mem, index_bytes(n));
    if (ix == NULL) {
        return EFX_ENOMEM;
    }
    *ix = (struct table_index){.n_cols = n,
                               .cols = (uint32_t *)(void *)(ix + 1),
                               .state = {.bytes = sizeof(struct table_ends)}};
    ix->as = (enum efx_type *)(void *)(ix->cols + n);
    memcpy(ix->cols, cols, n * sizeof *cols);
    memcpy(ix->as, as, n * sizeof *as);
    ix->conf =
        (struct efx_keyed_conf){.n_cells = n, .types = ix->as, .n_states = 1, .states = &ix->state};
    enum efx_rc rc = efx_keyed_create(t->mem, t->base.ctx, &ix->conf, &ix->keyed);
    if (rc == EFX_OK) {
        rc = index_fill(t, ix);
    }
    if (rc != EFX_OK) {
        efx_table__index_drop(t, ix);
        return rc;
    }
    t->index[t->n_indexes++] = ix;
    *out = ix;
    return EFX_OK;
}

/* ---- ports ---- */

/* Keys of the port in the order of their columns. */
static void sort_keys(const struct efx_table_port *conf, uint32_t *key_of)
{
    for (uint32_t k = 0; k < conf->n_eq; k++) {
        uint32_t j = k;
        for (; j > 0 && conf->eq_cols[key_of[j - 1]] > conf->eq_cols[k]; j--) {
            key_of[j] = key_of[j - 1];
        }
        key_of[j] = k;
    }
}

enum efx_rc efx_table__port_open(struct op_table *t, const struct efx_table_port *conf,
                                 struct table_port *out)
{
    uint32_t cols[EFX_KEYED_CELLS_MAX];
    enum efx_type as[EFX_KEYED_CELLS_MAX];
    EFX_ASSERT(conf->n_eq <= EFX_KEYED_CELLS_MAX);
    *out = (struct table_port){.conf = conf};
    for (uint32_t k = 0; conf->kind == EFX_PORT_UPDATE && k < conf->n_sets; k++) {
        for (uint32_t j = 0; j < conf->n_eq; j++) {
            out->moves_keys = out->moves_keys || conf->eq_cols[j] == conf->set_cols[k];
        }
    }
    if (conf->n_eq == 0) {
        return EFX_OK;
    }
    sort_keys(conf, out->key_of);
    for (uint32_t j = 0; j < conf->n_eq; j++) {
        uint32_t k = out->key_of[j];
        cols[j] = conf->eq_cols[k];
        as[j] = efx_table__as(t->types[cols[j]], conf->key_types[k]);
    }
    out->index = efx_table__index_find(t, cols, as, conf->n_eq);
    return out->index != NULL ? EFX_OK : efx_table__index_add(t, cols, as, conf->n_eq, &out->index);
}
