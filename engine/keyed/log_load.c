/* Sections come in any order of groups, base first, then deltas; rows of several shards are among
 * them. They are kept aside with their old numbers, which are those of the shard that saved the
 * section. settle() takes out what had left, and appends the others by (turn, old number): rows of
 * one turn were all on one shard.
 */
#include "log_in.h"

#include "log_record.h"

#include <stdlib.h>

enum { ITEMS_FIRST = 64 };

struct log_item { /* a row (its place in the log beside) or a death */
    uint64_t number;
    uint64_t turn;
    uint32_t section;
    uint32_t epoch; /* of the section: rows of an earlier one are void */
    uint64_t at;
    bool gone;
};

struct log_items {
    struct log_item *item;
    uint32_t n, n_max;
};

struct log_loaded {
    struct efx_log *rows;
    struct log_items row, death;
    uint32_t epoch[EFX_KEY_GROUPS];
    uint64_t head[EFX_KEY_GROUPS];
};

static void items_drop(struct efx_log *l, struct log_items *items)
{
    efx_log__give(l, items->item, items->n_max * sizeof *items->item);
}

void efx_log__loaded_drop(struct efx_log *l)
{
    struct log_loaded *in = l->loaded;
    l->loaded = NULL;
    if (in != NULL) {
        items_drop(l, &in->row);
        items_drop(l, &in->death);
        efx_log_destroy(&in->rows);
        efx_log__give(l, in, sizeof *in);
    }
}

static enum efx_rc loaded_make(struct efx_log *l)
{
    struct log_loaded *in = efx_log__take(l, sizeof *in);
    if (in == NULL) {
        return EFX_ENOMEM;
    }
    memset(in, 0, sizeof *in);
    l->loaded = in;
    return efx_log_create(l->mem, &l->conf, &in->rows);
}

static enum efx_rc item_add(struct efx_log *l, struct log_items *items, const struct log_item *item)
{
    if (items->n == items->n_max) {
        uint32_t max = items->n_max == 0 ? ITEMS_FIRST : items->n_max * 2;
        struct log_item *grown = efx_log__take(l, max * sizeof *grown);
        if (grown == NULL) {
            return EFX_ENOMEM;
        }
        if (items->n > 0) {
            memcpy(grown, items->item, items->n * sizeof *grown);
        }
        items_drop(l, items);
        items->item = grown;
        items->n_max = max;
    }
    items->item[items->n++] = *item;
    return EFX_OK;
}

/* Slots of one row; texts point into the section. */
static void get_cols(const struct efx_log *l, struct efx_reader *r, struct efx_cell *slot,
                     uint64_t *valid)
{
    struct efx_bytes nulls = efx_get_view(r, (l->conf.n_cols + 7) / 8);
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        valid[c] = r->bad || (nulls.p[c / 8] >> c % 8 & 1) != 0 ? 0 : 1;
        memset(&slot[c], 0, sizeof slot[c]);
        if (valid[c] == 0) {
            continue;
        }
        if (efx_type_is_cell(l->conf.types[c])) {
            struct efx_bytes text = efx_get_view(r, efx_get_u32(r));
            slot[c] = efx_cell_make(text.p, (uint32_t)text.n);
        } else {
            efx_get_raw(r, &slot[c], efx_type_width(l->conf.types[c]));
        }
    }
}

static enum efx_rc load_row(struct efx_log *l, uint32_t section, struct efx_reader *r,
                            const struct efx_keyed_ids_out *ids)
{
    struct efx_cell slot[EFX_LOG_COLS_MAX];
    uint64_t valid[EFX_LOG_COLS_MAX];
    struct efx_col cols[EFX_LOG_COLS_MAX];
    struct log_loaded *in = l->loaded;
    struct log_item item = {.number = efx_get_u64(r), .section = section};
    uint32_t ordinal = l->conf.has_group ? efx_get_u32(r) : 0;
    int64_t due = l->conf.has_due ? efx_get_i64(r) : 0;
    int64_t ts = efx_get_i64(r);
    uint32_t group = 0;
    item.turn = efx_get_u64(r);
    uint32_t copy = l->conf.has_copy ? efx_get_u32(r) : 0;
    get_cols(l, r, slot, valid);
    if (r->bad || (l->conf.has_group && ids != NULL && ordinal >= ids->n)) {
        return EFX_EPARSE;
    }
    if (l->conf.has_group && ids != NULL) {
        group = ids->id[ordinal];
    }
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        cols[c] = (struct efx_col){.type = l->conf.types[c], .data = &slot[c], .valid = &valid[c]};
    }
    item.epoch = in->epoch[section];
    item.at = in->rows->end;
    EFX_RET(efx_log_add(in->rows, &(struct efx_log_rows){.n = 1,
                                                         .cols = cols,
                                                         .ts_ms = &ts,
                                                         .due_ms = &due,
                                                         .turn = &item.turn,
                                                         .group = &group,
                                                         .copy = &copy}));
    return item_add(l, &in->row, &item);
}

enum efx_rc efx_log_load(struct efx_log *l, uint32_t key_group, struct efx_reader *section,
                         const struct efx_keyed_ids_out *ids)
{
    EFX_ASSERT(key_group < EFX_KEY_GROUPS);
    if (l->loaded == NULL) {
        EFX_RET(loaded_make(l));
    }
    struct log_loaded *in = l->loaded;
    l->anew[key_group / 64] |= (uint64_t)1 << key_group % 64;
    while (section->left > 0 && section->p[0] >= LOG_RECORD_ROW &&
           section->p[0] <= LOG_RECORD_ANEW) {
        uint8_t kind = efx_get_u8(section);
        if (kind == LOG_RECORD_ROW) {
            EFX_RET(load_row(l, key_group, section, ids));
        } else if (kind == LOG_RECORD_ANEW) {
            in->epoch[key_group]++;
            in->head[key_group] = 0;
        } else {
            uint64_t number = efx_get_u64(section);
            struct log_item item = {
                .number = number, .section = key_group, .epoch = in->epoch[key_group]};
            if (section->bad) {
                return EFX_EPARSE;
            }
            if (kind == LOG_RECORD_DEAD) {
                EFX_RET(item_add(l, &in->death, &item));
            } else if (number > in->head[key_group]) {
                in->head[key_group] = number;
            }
        }
    }
    return EFX_OK;
}

/* ---- settle */

static int by_identity(const void *a, const void *b)
{
    const struct log_item *x = a, *y = b;
    if (x->section != y->section) {
        return x->section < y->section ? -1 : 1;
    }
    if (x->epoch != y->epoch) {
        return x->epoch < y->epoch ? -1 : 1;
    }
    return (x->number > y->number) - (x->number < y->number);
}

static int by_turn(const void *a, const void *b)
{
    const struct log_item *x = a, *y = b;
    if (x->turn != y->turn) {
        return x->turn < y->turn ? -1 : 1;
    }
    return (x->number > y->number) - (x->number < y->number);
}

static void sort(struct log_items *items, int (*by)(const void *, const void *))
{
    if (items->n > 0) {
        qsort(items->item, items->n, sizeof *items->item, by);
    }
}

static void find_gone(struct log_loaded *in)
{
    uint32_t d = 0;
    sort(&in->row, by_identity);
    sort(&in->death, by_identity);
    for (uint32_t i = 0; i < in->row.n; i++) {
        struct log_item *row = &in->row.item[i];
        while (d < in->death.n && by_identity(&in->death.item[d], row) < 0) {
            d++;
        }
        row->gone = row->epoch != in->epoch[row->section] || row->number < in->head[row->section] ||
                    (d < in->death.n && by_identity(&in->death.item[d], row) == 0);
    }
}

static enum efx_rc append(struct efx_log *l, const struct efx_log *from, uint64_t number)
{
    struct efx_col cols[EFX_LOG_COLS_MAX];
    const struct log_seg *s = efx_log__seg(from, number);
    uint32_t row = efx_log__row(from, number), group = 0, copy = 0;
    int64_t due = 0;
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        bool nulls = efx_log__has_null(from, s, c);
        cols[c] = (struct efx_col){.type = l->conf.types[c],
                                   .data = efx_log__room(s, from->col_at[c]),
                                   .valid = nulls ? efx_log__map(s, from->valid_at[c]) : NULL};
    }
    if (l->conf.has_due) {
        due = efx_log_due(from, number);
    }
    if (l->conf.has_group) {
        group = efx_log_group(from, number);
    }
    if (l->conf.has_copy) {
        copy = efx_log_copy(from, number);
    }
    uint64_t turn = efx_log_turn(from, number);
    return efx_log_add(l, &(struct efx_log_rows){.n = 1,
                                                 .row = &row,
                                                 .cols = cols,
                                                 .ts_ms = efx_log__room(s, from->at.ts),
                                                 .due_ms = &due,
                                                 .turn = &turn,
                                                 .group = &group,
                                                 .copy = &copy});
}

enum efx_rc efx_log_settle(struct efx_log *l)
{
    struct log_loaded *in = l->loaded;
    EFX_ASSERT(l->head == l->end);
    if (in == NULL) {
        return EFX_OK;
    }
    find_gone(in);
    sort(&in->row, by_turn);
    for (uint32_t i = 0; i < in->row.n; i++) {
        if (!in->row.item[i].gone) {
            EFX_RET(append(l, in->rows, in->row.item[i].at));
        }
    }
    efx_log__loaded_drop(l);
    return EFX_OK;
}
