/* Rows of a table: slabs of rows, texts in a heap, compaction.
 *
 *   ids     0 1 2 3 4 5 6 7 …       live  █ · █ · · · █ ·      more than half dead:
 *   after   0 1 2                   rows keep their order, seq and stamp; links are translated
 *
 * Compaction waits until no save is running, because a save remembers row ids.
 *
 *   Errors   EFX_ENOMEM; a row is added whole or not at all
 *   Cost     compaction is O(rows), at most once per as many deletions
 */
#include "table.h"

enum { TEXT_HEAD_BYTES = sizeof(uint32_t), COMPACT_ROWS_MIN = 4 * TABLE_SLAB_ROWS };
/* So many slabs come one by one, then in runs that fill huge pages: rows are read all over the
 * table, and a miss in the TLB costs as much as one in the cache. */
enum { RUN_AFTER = 16, RUN_BYTES = 2 * 1024 * 1024 };

enum efx_rc efx_table__grow(struct efx_mem *mem, void **list, uint32_t need, uint32_t *n_max,
                            size_t item_bytes)
{
    if (need <= *n_max) {
        return EFX_OK;
    }
    uint32_t max = *n_max == 0 ? 256 : *n_max;
    while (max < need) {
        max = max > UINT32_MAX / 2 ? UINT32_MAX : max * 2;
    }
    void *grown = *list == NULL ? mem->alloc(mem, max * item_bytes)
                                : efx_mem_grow(mem, *list, *n_max * item_bytes, max * item_bytes);
    if (grown == NULL) {
        return EFX_ENOMEM;
    }
    *list = grown;
    *n_max = max;
    return EFX_OK;
}

/* ---- slabs ---- */

/* Slabs that lie one behind the other from slab k, where a run begins. */
static uint32_t run_slabs(const struct op_table *t, uint32_t k)
{
    size_t fit = RUN_BYTES / t->slab_bytes;
    return k < RUN_AFTER || fit == 0 ? 1 : (uint32_t)fit;
}

static size_t run_bytes(const struct op_table *t, uint32_t k)
{
    size_t bytes = run_slabs(t, k) * t->slab_bytes;
    return k < RUN_AFTER || bytes > RUN_BYTES ? bytes : RUN_BYTES;
}

/* Gives back the runs that begin at slab k or behind it. */
static void runs_cut(struct op_table *t, uint32_t n_slabs)
{
    uint32_t k = 0;
    while (k < n_slabs && k < t->n_slabs_held) {
        k += run_slabs(t, k);
    }
    uint32_t held = k;
    for (; k < t->n_slabs_held; k += run_slabs(t, k)) {
        t->mem->free(t->mem, t->slab[k], run_bytes(t, k));
        t->slabs_bytes -= run_bytes(t, k);
    }
    t->n_slabs_held = held < t->n_slabs_held ? held : t->n_slabs_held;
}

static enum efx_rc run_add(struct op_table *t)
{
    void *list = t->slab;
    uint32_t k = t->n_slabs_held, n = run_slabs(t, k);
    EFX_RET(efx_table__grow(t->mem, &list, k + n, &t->n_slabs_max, sizeof *t->slab));
    t->slab = list;
    uint8_t *run = t->mem->alloc(t->mem, run_bytes(t, k));
    if (run == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        t->slab[k + i] = (void *)(run + i * t->slab_bytes);
    }
    t->n_slabs_held += n;
    t->slabs_bytes += run_bytes(t, k);
    return EFX_OK;
}

enum efx_rc efx_table__rows_open(struct op_table *t)
{
    static const uint32_t widths[] = {16, 8, 4, 1};
    uint32_t at = 0;
    for (uint32_t k = 0; k < sizeof widths / sizeof *widths; k++) {
        for (uint32_t c = 0; c < t->n_cols; c++) {
            if (efx_type_width(t->types[c]) == widths[k]) {
                t->col_at[c] = at;
                at += widths[k];
            }
        }
    }
    t->row_bytes = (at + 7) & ~7u;
    t->rows_at = t->n_cols * TABLE_SLAB_WORDS * (uint32_t)sizeof(uint64_t);
    size_t bytes = sizeof(struct table_slab) + t->rows_at + (size_t)t->row_bytes * TABLE_SLAB_ROWS;
    t->slab_bytes = (bytes + EFX_CACHE_LINE - 1) / EFX_CACHE_LINE * EFX_CACHE_LINE;
    return efx_heap_create(t->mem, &t->heap);
}

void efx_table__rows_close(struct op_table *t)
{
    runs_cut(t, 0);
    t->mem->free(t->mem, t->slab, t->n_slabs_max * sizeof *t->slab);
    t->mem->free(t->mem, t->garbage, t->n_garbage_max * sizeof *t->garbage);
    efx_heap_destroy(&t->heap);
    t->slab = NULL;
    t->garbage = NULL;
    t->n_slabs = t->n_slabs_max = 0;
}

static enum efx_rc slab_add(struct op_table *t)
{
    if (t->n_slabs == t->n_slabs_held) {
        EFX_RET(run_add(t));
    }
    struct table_slab *s = t->slab[t->n_slabs];
    memset(s, 0, sizeof *s);
    for (uint32_t c = 0; c < t->n_cols; c++) {
        memset(table_valid(s, c), 0xFF, TABLE_SLAB_WORDS * sizeof(uint64_t));
    }
    t->n_slabs++;
    return EFX_OK;
}

uint32_t efx_table__live_from(const struct op_table *t, uint32_t id)
{
    while (id < t->n_ids) {
        const struct table_slab *s = table_slab(t, id);
        uint32_t place = table_place(id);
        uint64_t word = s->n_live == 0 ? 0 : s->live[place / 64] & UINT64_MAX << place % 64;
        if (word != 0) {
            return id - place % 64 + (uint32_t)__builtin_ctzll(word);
        }
        id += s->n_live == 0 ? TABLE_SLAB_ROWS - place : 64 - place % 64;
    }
    return t->n_ids;
}

/* ---- values ---- */

static enum efx_rc text_keep(struct op_table *t, struct efx_cell *cell)
{
    if (cell->len <= EFX_CELL_INLINE) {
        return EFX_OK;
    }
    uint32_t ref;
    if (cell->len > UINT32_MAX - TEXT_HEAD_BYTES) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_heap_get(t->heap, cell->len + TEXT_HEAD_BYTES, &ref));
    uint8_t *p = efx_heap_at(t->heap, ref);
    memcpy(p, &ref, sizeof ref);
    memcpy(p + TEXT_HEAD_BYTES, cell->ptr, cell->len);
    cell->ptr = p + TEXT_HEAD_BYTES;
    return EFX_OK;
}

static enum efx_rc text_drop(struct op_table *t, const struct efx_cell *cell)
{
    if (cell->len <= EFX_CELL_INLINE) {
        return EFX_OK;
    }
    void *list = t->garbage;
    EFX_RET(
        efx_table__grow(t->mem, &list, t->n_garbage + 1, &t->n_garbage_max, sizeof *t->garbage));
    t->garbage = list;
    struct table_text *text = &t->garbage[t->n_garbage++];
    memcpy(&text->ref, cell->ptr - TEXT_HEAD_BYTES, sizeof text->ref);
    text->bytes = cell->len + TEXT_HEAD_BYTES;
    return EFX_OK;
}

void efx_table__give_texts(struct op_table *t)
{
    for (uint32_t i = 0; i < t->n_garbage; i++) {
        efx_heap_put(t->heap, t->garbage[i].ref, t->garbage[i].bytes);
    }
    t->n_garbage = 0;
}

/* A slot that holds nothing yet. */
static enum efx_rc slot_fill(struct op_table *t, struct table_slab *s, uint32_t place, uint32_t c,
                             const struct efx_col *from, uint32_t i)
{
    bool there = efx_bit(from->valid, i);
    if (!there) {
        t->any_null[c] = true;
    }
    if (efx_type_is_cell(t->types[c])) {
        struct efx_cell cell =
            there ? ((const struct efx_cell *)from->data)[i] : (struct efx_cell){0};
        EFX_RET(text_keep(t, &cell));
        *(struct efx_cell *)table_slot(t, s, place, c) = cell;
    } else if (there) {
        efx_col_copy_slot(table_slot(t, s, place, c), 0, from, i);
    }
    if (t->any_null[c]) { /* else all bits are set */
        efx_bit_put(table_valid(s, c), place, there);
    }
    return EFX_OK;
}

bool efx_table__row_equals(const struct op_table *t, uint32_t id, uint32_t c,
                           const struct efx_col *from, uint32_t i)
{
    const struct table_slab *s = table_slab(t, id);
    uint32_t place = table_place(id), width = efx_type_width(t->types[c]);
    bool there = efx_bit(table_valid(s, c), place);
    if (there != efx_bit(from->valid, i) || !there) {
        return !there && !efx_bit(from->valid, i);
    }
    const uint8_t *old = table_slot(t, s, place, c);
    const uint8_t *new = (const uint8_t *)from->data + (size_t)i *width;
    return efx_type_is_cell(t->types[c])
               ? efx_cell_equal((const struct efx_cell *)(const void *)old,
                                (const struct efx_cell *)(const void *)new)
               : memcmp(old, new, width) == 0;
}

enum efx_rc efx_table__row_set(struct op_table *t, uint32_t id, uint32_t c,
                               const struct efx_col *from, uint32_t i)
{
    struct table_slab *s = table_slab(t, id);
    uint32_t place = table_place(id);
    if (!efx_type_is_cell(t->types[c])) {
        return slot_fill(t, s, place, c, from, i);
    }
    if (efx_table__row_equals(t, id, c, from, i)) {
        return EFX_OK;
    }
    struct efx_cell old = *(const struct efx_cell *)table_slot(t, s, place, c);
    EFX_RET(slot_fill(t, s, place, c, from, i));
    return text_drop(t, &old);
}

/* ---- rows ---- */

/* A slab for the next row, and room in the indexes. */
static enum efx_rc room_for_row(struct op_table *t)
{
    if (t->n_ids >= EFX_KEYED_DEAD - 1) {
        return EFX_ENOMEM;
    }
    if (t->n_ids >> TABLE_SLAB_SHIFT == t->n_slabs) {
        EFX_RET(efx_table__index_fit(t, (t->n_slabs + 1) << TABLE_SLAB_SHIFT));
        EFX_RET(slab_add(t));
    }
    return EFX_OK;
}

/* The next row, whose slots are filled or will be, is there. */
static enum efx_rc row_begin(struct op_table *t, uint32_t *id)
{
    struct table_slab *s = table_slab(t, t->n_ids);
    uint32_t place = table_place(t->n_ids);
    s->seq[place] = t->next_seq++ << TABLE_SEQ_SHIFT | t->kg.first;
    s->stamp[place] = 0;
    efx_bit_put(s->pending, place, false);
    efx_bit_put(s->live, place, true);
    s->n_live++;
    t->n_live++;
    *id = t->n_ids++;
    return efx_table__touch(t, *id);
}

enum efx_rc efx_table__row_open(struct op_table *t, uint32_t *id)
{
    EFX_RET(room_for_row(t));
    return row_begin(t, id);
}

enum efx_rc efx_table__row_add(struct op_table *t, const struct efx_col *cols, uint32_t i,
                               uint32_t *id)
{
    EFX_RET(room_for_row(t));
    struct table_slab *s = table_slab(t, t->n_ids);
    uint32_t place = table_place(t->n_ids);
    for (uint32_t c = 0; c < t->n_cols; c++) {
        EFX_RET(slot_fill(t, s, place, c, &cols[c], i));
    }
    return row_begin(t, id);
}

enum efx_rc efx_table__row_del(struct op_table *t, uint32_t id)
{
    struct table_slab *s = table_slab(t, id);
    uint32_t place = table_place(id);
    EFX_RET(efx_table__touch(t, id));
    EFX_RET(efx_table__bury(t, id));
    for (uint32_t k = 0; k < t->n_indexes; k++) {
        efx_table__index_take(t->index[k], id);
    }
    for (uint32_t c = 0; c < t->n_cols; c++) {
        if (efx_type_is_cell(t->types[c]) && efx_bit(table_valid(s, c), place)) {
            EFX_RET(text_drop(t, table_slot(t, s, place, c)));
        }
    }
    efx_bit_put(s->live, place, false);
    s->n_live--;
    t->n_live--;
    return EFX_OK;
}

/* ---- gathers ---- */

#define GATHER(T)                                                                                  \
    for (uint32_t i = 0; i < n; i++) {                                                             \
        uint32_t id = id1[i] - (id1[i] != 0);                                                      \
        ((T *)data)[i] = *(const T *)table_slot(t, table_slab(t, id), table_place(id), c);         \
    }

/* A hole looks at row 0's slot; texts that lay in it may be gone, so they are made empty. */
static void gather_data(const struct op_table *t, const uint32_t *id1, uint32_t n, uint32_t c,
                        void *data)
{
    switch (efx_type_width(t->types[c])) {
    case 1: GATHER(uint8_t) break;
    case 4: GATHER(uint32_t) break;
    case 8: GATHER(uint64_t) break;
    default:
        GATHER(struct efx_cell)
        for (uint32_t i = 0; i < n; i++) {
            if (id1[i] == 0) {
                ((struct efx_cell *)data)[i] = (struct efx_cell){0};
            }
        }
        break;
    }
}

void efx_table__gather_col(const struct op_table *t, const uint32_t *id1, uint32_t from, uint32_t n,
                           uint32_t c, bool holes, struct efx_col *out)
{
    struct efx_ctx *ctx = t->base.ctx;
    size_t width = efx_type_width(t->types[c]);
    uint8_t *data = efx_scratch(ctx, n * width);
    uint64_t *valid = NULL;
    if (t->n_slabs == 0) { /* there has never been a row */
        memset(data + from * width, 0, (n - from) * width);
    } else {
        gather_data(t, id1 + from, n - from, c, data + from * width);
    }
    if (holes || t->any_null[c]) {
        valid = efx_scratch(ctx, efx_words(n) * sizeof *valid);
        memset(valid + from / 64, 0, (efx_words(n) - from / 64) * sizeof *valid);
        for (uint32_t i = from; i < n; i++) {
            bool there = id1[i] != 0 && efx_bit(table_valid(table_slab(t, id1[i] - 1), c),
                                                table_place(id1[i] - 1));
            valid[i / 64] |= (uint64_t)there << i % 64;
        }
    }
    *out = (struct efx_col){.type = t->types[c], .data = data, .valid = valid};
}

void efx_table__gather(const struct op_table *t, const uint32_t *id1, uint32_t n,
                       struct efx_col *cols)
{
    bool holes = false;
    for (uint32_t i = 0; i < n; i++) {
        holes = holes || id1[i] == 0;
    }
    for (uint32_t c = 0; c < t->n_cols; c++) {
        efx_table__gather_col(t, id1, 0, n, c, holes, &cols[c]);
    }
}

/* ---- compaction ---- */

static void row_move(struct op_table *t, uint32_t from, uint32_t to)
{
    const struct table_slab *a = table_slab(t, from);
    struct table_slab *b = table_slab(t, to);
    uint32_t i = table_place(from), j = table_place(to);
    const uint8_t *old = a->room + t->rows_at + (size_t)i * t->row_bytes;
    memcpy(b->room + t->rows_at + (size_t)j * t->row_bytes, old, t->row_bytes);
    for (uint32_t c = 0; c < t->n_cols; c++) {
        efx_bit_put(table_valid(b, c), j, efx_bit(table_valid(a, c), i));
    }
    b->seq[j] = a->seq[i];
    b->stamp[j] = a->stamp[i];
}

/* map[id] = where the row went, + 1; 0 = is dead. Rows only ever go down, so in place. */
static void index_move(struct table_index *ix, const uint32_t *map, uint32_t n_ids)
{
    for (uint32_t id = 0; id < n_ids; id++) {
        if (map[id] == 0) {
            continue;
        }
        uint32_t to = map[id] - 1, entry = ix->entry[id];
        uint32_t next = 0, prev = 0;
        if (!ix->unique && entry != EFX_KEYED_DEAD) {
            next = ix->next[id] != 0 ? map[ix->next[id] - 1] : 0;
            prev = ix->prev[id] != 0 ? map[ix->prev[id] - 1] : 0;
            ix->next[to] = next;
            ix->prev[to] = prev;
        }
        ix->entry[to] = entry;
        if (entry == EFX_KEYED_DEAD) {
            continue;
        }
        struct table_ends *ends = table_ends(ix, entry);
        ends->first = prev == 0 ? to + 1 : ends->first;
        ends->last = next == 0 ? to + 1 : ends->last;
    }
}

static void slabs_cut(struct op_table *t, uint32_t n_ids)
{
    uint32_t n_slabs = (n_ids + TABLE_SLAB_ROWS - 1) >> TABLE_SLAB_SHIFT;
    for (uint32_t k = 0; k < n_slabs; k++) {
        struct table_slab *s = t->slab[k];
        uint32_t left = n_ids - k * TABLE_SLAB_ROWS;
        s->n_live = left < TABLE_SLAB_ROWS ? left : TABLE_SLAB_ROWS;
        for (uint32_t w = 0; w < TABLE_SLAB_WORDS; w++) {
            s->live[w] = w * 64 < s->n_live ? efx_word(NULL, w, s->n_live) : 0;
        }
    }
    runs_cut(t, n_slabs);
    t->n_slabs = n_slabs;
    t->n_ids = n_ids;
}

static void dirty_move(struct op_table *t, const uint32_t *map)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->dirty.n; i++) {
        if (map[t->dirty.at[i]] != 0) {
            t->dirty.at[n++] = map[t->dirty.at[i]] - 1;
        }
    }
    t->dirty.n = n;
}

static void compact(struct op_table *t)
{
    uint32_t n_ids = t->n_ids, to = 0;
    uint32_t *map = t->mem->alloc(t->mem, n_ids * sizeof *map);
    if (map == NULL) {
        return; /* it is only a matter of room: later, perhaps */
    }
    memset(map, 0, n_ids * sizeof *map);
    for (uint32_t id = efx_table__live_from(t, 0); id < n_ids;
         id = efx_table__live_from(t, id + 1)) {
        if (id != to) {
            row_move(t, id, to);
        }
        map[id] = ++to;
    }
    for (uint32_t k = 0; k < t->n_indexes; k++) {
        index_move(t->index[k], map, n_ids);
    }
    dirty_move(t, map);
    slabs_cut(t, to);
    t->mem->free(t->mem, map, n_ids * sizeof *map);
}

void efx_table__step_begin(struct op_table *t, const struct efx_step *step)
{
    if (t->next_seq < step->first_turn) {
        t->next_seq = step->first_turn;
    }
    if (t->step_no == step->no) {
        return;
    }
    t->step_no = step->no;
    efx_table__give_texts(t);
    if (!t->saving && t->n_ids > COMPACT_ROWS_MIN && t->n_live < t->n_ids / 2) {
        compact(t);
    }
}
