/* A table's state in a checkpoint, and back.
 *
 *   u8 1 │ u32 save │ u64 seq │ NULL bits, a byte for 8 columns │ what is not NULL       a row
 *   u8 2 │ u32 save │ u64 seq                                                            it is gone
 *   u8 3                       what earlier checkpoints have of this section is void
 *
 * A row stands in the section of its primary key, else in that of the table's name. Each change
 * stamps its row; the mark raises the stamp. A row that changes while the save still needs it is
 * copied first, as it was:
 *
 *   stamp 7    changed, and not saved yet by save 7
 *   stamp 8    changed since: save 7 has what it needs, save 8 will have it
 *
 * A row that is gone kills what earlier saves had of it in that section, nothing of its own save:
 * so a key that moved away and came back is there once. Load keeps the records aside and builds the
 * rows at the end, in the order of `seq`, which is that of insertion whatever section they lay in.
 *
 *   Order    mark, slice(0) at once, slices between steps
 *   Errors   EFX_ENOMEM; EFX_EPARSE of bytes that are none of ours
 */
#include "table.h"

#include <stdlib.h>

enum { RECORD_ROW = 1, RECORD_GONE, RECORD_ANEW, FIXED_BYTES = 1 + 4 + 8 };

/* ---- out ---- */

static uint32_t group_of(const struct op_table *t, uint32_t id)
{
    const struct table_index *ix = t->n_indexes > 0 ? t->index[0] : NULL;
    if (ix == NULL || !ix->primary) {
        return t->key_group;
    }
    uint32_t g = efx_keyed_group(ix->keyed, ix->entry[id]);
    return g < t->kg.first || g > t->kg.last ? t->key_group : g;
}

static uint32_t null_bytes(const struct op_table *t)
{
    return (t->n_cols + 7) / 8;
}

static uint32_t record_bytes(const struct op_table *t, const struct table_slab *s, uint32_t place)
{
    uint32_t n = FIXED_BYTES + null_bytes(t);
    for (uint32_t c = 0; c < t->n_cols; c++) {
        if (!efx_bit(table_valid(s, c), place)) {
            continue;
        }
        const struct efx_cell *cell = table_slot(t, s, place, c);
        n += efx_type_is_cell(t->types[c]) ? (uint32_t)sizeof(uint32_t) + cell->len
                                           : efx_type_width(t->types[c]);
    }
    return n;
}

static void put_values(const struct op_table *t, const struct table_slab *s, uint32_t place,
                       struct efx_writer *w)
{
    for (uint32_t c = 0; c < t->n_cols; c += 8) {
        uint8_t nulls = 0;
        for (uint32_t j = c; j < c + 8 && j < t->n_cols; j++) {
            nulls = (uint8_t)(nulls | !efx_bit(table_valid(s, j), place) << (j - c));
        }
        efx_put_u8(w, nulls);
    }
    for (uint32_t c = 0; c < t->n_cols; c++) {
        uint32_t width = efx_type_width(t->types[c]);
        const uint8_t *slot = table_slot(t, s, place, c);
        if (!efx_bit(table_valid(s, c), place)) {
            continue;
        }
        if (efx_type_is_cell(t->types[c])) {
            const struct efx_cell *cell = (const struct efx_cell *)(const void *)slot;
            efx_put_u32(w, cell->len);
            efx_put_raw(w, efx_cell_bytes(cell), cell->len);
        } else {
            efx_put_raw(w, slot, width);
        }
    }
}

static void save_row(struct op_table *t, uint32_t id)
{
    const struct table_slab *s = table_slab(t, id);
    uint32_t place = table_place(id);
    uint32_t bytes = record_bytes(t, s, place);
    struct efx_writer w = efx_save_writer(t->save_out, group_of(t, id), bytes);
    efx_put_u8(&w, RECORD_ROW);
    efx_put_u32(&w, t->stamp - 1);
    efx_put_u64(&w, s->seq[place]);
    put_values(t, s, place, &w);
    EFX_ASSERT(!w.full && w.n == bytes);
}

/* Does the running save still have to take this row? */
static bool is_owed(const struct op_table *t, uint32_t id)
{
    uint32_t stamp = table_slab(t, id)->stamp[table_place(id)];
    if (t->save_all) {
        return id >= t->save_at && id < t->save_until && stamp != t->stamp;
    }
    return stamp == t->stamp - 1;
}

enum efx_rc efx_table__touch(struct op_table *t, uint32_t id)
{
    uint32_t *stamp = &table_slab(t, id)->stamp[table_place(id)];
    if (!t->marked || *stamp == t->stamp) {
        return EFX_OK;
    }
    void *list = t->dirty.at;
    EFX_RET(efx_table__grow(t->mem, &list, t->dirty.n + 1, &t->dirty.n_max, sizeof *t->dirty.at));
    t->dirty.at = list;
    if (t->saving && is_owed(t, id)) {
        save_row(t, id);
    }
    t->dirty.at[t->dirty.n++] = id;
    *stamp = t->stamp;
    return EFX_OK;
}

enum efx_rc efx_table__bury(struct op_table *t, uint32_t id)
{
    if (!t->marked) {
        return EFX_OK;
    }
    void *list = t->tombs.at;
    EFX_RET(efx_table__grow(t->mem, &list, t->tombs.n + 1, &t->tombs.n_max, sizeof *t->tombs.at));
    t->tombs.at = list;
    t->tombs.at[t->tombs.n++] = (struct table_tomb){.seq = table_slab(t, id)->seq[table_place(id)],
                                                    .key_group = group_of(t, id)};
    return EFX_OK;
}

void efx_table__mark(struct efx_op *self, const struct efx_mark *mark)
{
    struct op_table *t = (struct op_table *)self;
    EFX_ASSERT(!t->saving);
    t->save_all = mark->base || !t->marked;
    if (mark->base) {
        memset(t->anew, 0, sizeof t->anew);
    }
    struct table_list dirty = t->save_dirty;
    struct table_tombs tombs = t->save_tombs;
    t->save_dirty = t->dirty;
    t->save_tombs = t->tombs;
    t->dirty = dirty;
    t->tombs = tombs;
    t->dirty.n = t->tombs.n = 0;
    t->save_tombs.n = mark->base ? 0 : t->save_tombs.n;
    t->save_at = t->save_tomb = 0;
    t->save_until = t->n_ids;
    t->stamp++;
    t->saving = t->marked = true;
}

static void save_anew(struct op_table *t)
{
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        if (efx_bit(t->anew, g)) {
            *(uint8_t *)t->save_out->room(t->save_out, g, 1) = RECORD_ANEW;
        }
    }
    memset(t->anew, 0, sizeof t->anew);
}

static void save_tomb(struct op_table *t)
{
    const struct table_tomb *tomb = &t->save_tombs.at[t->save_tomb++];
    struct efx_writer w = efx_save_writer(t->save_out, tomb->key_group, FIXED_BYTES);
    efx_put_u8(&w, RECORD_GONE);
    efx_put_u32(&w, t->stamp - 1);
    efx_put_u64(&w, tomb->seq);
}

/* The next row, by id or by the list; false: there is none left. */
static bool save_next(struct op_table *t)
{
    uint32_t id = t->save_at;
    if (t->save_all) {
        id = efx_table__live_from(t, id);
        t->save_at = id + 1;
        if (id >= t->save_until) {
            return false;
        }
    } else {
        if (t->save_at == t->save_dirty.n) {
            return false;
        }
        id = t->save_dirty.at[t->save_at++];
    }
    struct table_slab *s = table_slab(t, id);
    uint32_t *stamp = &s->stamp[table_place(id)];
    bool owed = t->save_all ? *stamp != t->stamp : *stamp == t->stamp - 1;
    if (owed && efx_bit(s->live, table_place(id))) {
        save_row(t, id);
        *stamp = 0;
    }
    return true;
}

enum efx_rc efx_table__slice_out(struct efx_op *self, uint32_t budget_rows, struct efx_save *out)
{
    struct op_table *t = (struct op_table *)self;
    if (!t->saving) {
        return EFX_DONE;
    }
    t->save_out = out;
    if (budget_rows == 0) {
        save_anew(t);
        return EFX_AGAIN;
    }
    for (; budget_rows > 0; budget_rows--) {
        if (t->save_tomb < t->save_tombs.n) {
            save_tomb(t);
        } else if (!save_next(t)) {
            t->saving = false;
            t->save_dirty.n = t->save_tombs.n = 0;
            return EFX_DONE;
        }
    }
    return EFX_AGAIN;
}

/* ---- in ---- */

struct table_item {
    uint64_t seq;
    uint32_t key_group;
    uint32_t save;
    uint32_t epoch; /* of the section: an earlier one is void */
    bool gone;
    size_t at, n; /* the values, in t->loaded */
};

void efx_table__loaded_drop(struct op_table *t)
{
    t->mem->free(t->mem, t->item, t->n_items_max * sizeof *t->item);
    t->mem->free(t->mem, t->loaded, t->n_loaded_max);
    t->mem->free(t->mem, t->epoch, EFX_KEY_GROUPS * sizeof *t->epoch);
    t->item = NULL;
    t->loaded = NULL;
    t->epoch = NULL;
    t->n_items = t->n_items_max = 0;
    t->n_loaded = t->n_loaded_max = 0;
}

/* The values of a record as slots of one row; texts point into the bytes. */
static void get_values(const struct op_table *t, struct efx_reader *r, struct efx_cell *slot,
                       uint64_t *valid)
{
    struct efx_bytes nulls = efx_get_view(r, null_bytes(t));
    for (uint32_t c = 0; c < t->n_cols; c++) {
        valid[c] = r->bad || (nulls.p[c / 8] >> c % 8 & 1) != 0 ? 0 : 1;
        memset(&slot[c], 0, sizeof slot[c]);
        if (valid[c] == 0) {
            continue;
        }
        if (efx_type_is_cell(t->types[c])) {
            struct efx_bytes text = efx_get_view(r, efx_get_u32(r));
            slot[c] = efx_cell_make(text.p, (uint32_t)text.n);
        } else {
            efx_get_raw(r, &slot[c], efx_type_width(t->types[c]));
        }
    }
}

static enum efx_rc keep_bytes(struct op_table *t, const uint8_t *p, size_t n)
{
    if (n > t->n_loaded_max - t->n_loaded) {
        size_t max = t->n_loaded_max == 0 ? 64 * 1024 : t->n_loaded_max;
        while (max - t->n_loaded < n) {
            max *= 2;
        }
        uint8_t *grown = t->loaded == NULL ? t->mem->alloc(t->mem, max)
                                           : efx_mem_grow(t->mem, t->loaded, t->n_loaded_max, max);
        if (grown == NULL) {
            return EFX_ENOMEM;
        }
        t->loaded = grown;
        t->n_loaded_max = max;
    }
    if (n > 0) {
        memcpy(t->loaded + t->n_loaded, p, n);
    }
    t->n_loaded += n;
    return EFX_OK;
}

static enum efx_rc load_record(struct op_table *t, uint32_t key_group, struct efx_reader *r)
{
    uint8_t kind = efx_get_u8(r);
    if (kind == RECORD_ANEW) {
        t->epoch[key_group]++;
        return EFX_OK;
    }
    struct table_item item = {.key_group = key_group,
                              .epoch = t->epoch[key_group],
                              .gone = kind == RECORD_GONE,
                              .at = t->n_loaded};
    item.save = efx_get_u32(r);
    item.seq = efx_get_u64(r);
    const uint8_t *values = r->p;
    if (kind == RECORD_ROW) {
        struct efx_ctx_mark mark = efx_ctx_begin(t->base.ctx);
        struct efx_cell *slot = efx_scratch(t->base.ctx, (t->n_cols + 1) * sizeof *slot);
        uint64_t *valid = efx_scratch(t->base.ctx, (t->n_cols + 1) * sizeof *valid);
        get_values(t, r, slot, valid);
        efx_ctx_end(t->base.ctx, mark);
    }
    if (r->bad || (kind != RECORD_ROW && kind != RECORD_GONE)) {
        return EFX_EPARSE;
    }
    item.n = (size_t)(r->p - values);
    EFX_RET(keep_bytes(t, values, item.n));
    void *list = t->item;
    EFX_RET(efx_table__grow(t->mem, &list, t->n_items + 1, &t->n_items_max, sizeof *t->item));
    t->item = list;
    t->item[t->n_items++] = item;
    t->loaded_stamp = item.save > t->loaded_stamp ? item.save : t->loaded_stamp;
    return EFX_OK;
}

enum efx_rc efx_table__load(struct efx_op *self, struct efx_kg_range kg, struct efx_reader *r,
                            struct efx_err *err)
{
    struct op_table *t = (struct op_table *)self;
    uint32_t key_group;
    struct efx_reader section;
    if (t->epoch == NULL) {
        t->epoch = t->mem->alloc(t->mem, EFX_KEY_GROUPS * sizeof *t->epoch);
        if (t->epoch == NULL) {
            return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "table: memory for a restore");
        }
        memset(t->epoch, 0, EFX_KEY_GROUPS * sizeof *t->epoch);
    }
    while (efx_load_next(r, kg, &key_group, &section)) {
        enum efx_rc rc = key_group < EFX_KEY_GROUPS ? EFX_OK : EFX_EPARSE;
        while (rc == EFX_OK && section.left > 0) {
            efx_bit_put(t->anew, key_group, true);
            rc = load_record(t, key_group, &section);
        }
        if (rc != EFX_OK) {
            return EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "table %s: saved group %u",
                            t->conf->object->schema.name, key_group);
        }
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "table %s: saved state is cut",
                             t->conf->object->schema.name)
                  : EFX_OK;
}

/* By row, section and save; what is gone is gone before its own save has the row again. */
static int item_order(const void *a, const void *b)
{
    const struct table_item *x = a, *y = b;
    if (x->seq != y->seq) {
        return x->seq < y->seq ? -1 : 1;
    }
    if (x->key_group != y->key_group) {
        return x->key_group < y->key_group ? -1 : 1;
    }
    if (x->epoch != y->epoch) {
        return x->epoch < y->epoch ? -1 : 1;
    }
    return x->save != y->save ? (x->save < y->save ? -1 : 1) : y->gone - x->gone;
}

static enum efx_rc build_row(struct op_table *t, const struct table_item *item)
{
    struct efx_ctx *ctx = t->base.ctx;
    struct efx_cell *slot = efx_scratch(ctx, (t->n_cols + 1) * sizeof *slot);
    uint64_t *valid = efx_scratch(ctx, (t->n_cols + 1) * sizeof *valid);
    struct efx_col *cols = efx_scratch(ctx, (t->n_cols + 1) * sizeof *cols);
    struct efx_reader r = {.p = t->loaded + item->at, .left = item->n};
    get_values(t, &r, slot, valid);
    for (uint32_t c = 0; c < t->n_cols; c++) {
        cols[c] = (struct efx_col){.type = t->types[c], .data = &slot[c], .valid = &valid[c]};
    }
    struct table_new rows;
    bool done;
    uint16_t code;
    efx_table__new_init(t, cols, 0, 1, &rows);
    EFX_RET(efx_table__insert(t, &rows, 0, EFX_KEYED_DEAD, &done, &code));
    if (!done) {
        return EFX_EPARSE; /* two rows of one key, or NULL where none can be */
    }
    table_slab(t, t->n_ids - 1)->seq[table_place(t->n_ids - 1)] = item->seq;
    uint64_t taken = (item->seq >> TABLE_SEQ_SHIFT) + 1;
    t->next_seq = taken > t->next_seq ? taken : t->next_seq;
    return EFX_OK;
}

static enum efx_rc build(struct op_table *t)
{
    if (t->n_items > 0) {
        qsort(t->item, t->n_items, sizeof *t->item, item_order);
    }
    for (uint32_t i = 0; i < t->n_items; i++) {
        const struct table_item *x = &t->item[i], *next = x + 1;
        bool last = i + 1 == t->n_items || next->seq != x->seq || next->key_group != x->key_group;
        if (!last || x->gone || x->epoch != t->epoch[x->key_group]) {
            continue;
        }
        struct efx_ctx_mark mark = efx_ctx_begin(t->base.ctx);
        enum efx_rc rc = build_row(t, x);
        efx_ctx_end(t->base.ctx, mark);
        EFX_RET(rc);
    }
    t->stamp = t->loaded_stamp >= t->stamp ? t->loaded_stamp + 1 : t->stamp;
    return EFX_OK;
}

enum efx_rc efx_table__load_end(struct efx_op *self, struct efx_err *err)
{
    struct op_table *t = (struct op_table *)self;
    enum efx_rc rc = build(t);
    efx_table__loaded_drop(t);
    return rc == EFX_OK ? EFX_OK
                        : EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "table %s: saved rows do not fit",
                                   t->conf->object->schema.name);
}
