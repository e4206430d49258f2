/* Segments, appended rows, dying rows. */
#include "log_in.h"

enum { SEGS_FIRST = 4, SEG_ROWS_MIN = 64 };

void *efx_log__take(struct efx_log *l, size_t bytes)
{
    void *p = l->mem->alloc(l->mem, bytes);
    l->used_bytes += p == NULL ? 0 : bytes;
    return p;
}

void efx_log__give(struct efx_log *l, void *p, size_t bytes)
{
    if (p != NULL) {
        l->mem->free(l->mem, p, bytes);
        l->used_bytes -= bytes;
    }
}

/* ---- layout */

static uint32_t place(uint32_t *end, uint32_t bytes)
{
    uint32_t at = *end;
    *end = (at + bytes + EFX_CACHE_LINE - 1) & ~(uint32_t)(EFX_CACHE_LINE - 1);
    return at;
}

/* Places everything for so many rows; returns the bytes of a segment. */
static size_t lay_out(struct efx_log *l, uint32_t rows)
{
    const struct efx_log_conf *conf = &l->conf;
    uint32_t end = 0, map = rows / 8;
    l->at.dead = place(&end, map);
    l->at.owed = place(&end, map);
    l->at.died[0] = place(&end, map);
    l->at.died[1] = place(&end, map);
    l->at.null = place(&end, conf->n_cols);
    l->at.due = place(&end, conf->has_due ? rows * 8 : 0);
    l->at.ts = place(&end, rows * 8);
    l->at.turn = place(&end, rows * 8);
    l->at.group = place(&end, conf->has_group ? rows * 4 : 0);
    l->at.copy = place(&end, conf->has_copy ? rows * 4 : 0);
    l->at.section = place(&end, conf->has_group ? rows * 2 : 0);
    for (uint32_t c = 0; c < conf->n_cols; c++) {
        l->col_at[c] = place(&end, rows * efx_type_width(conf->types[c]));
        l->valid_at[c] = place(&end, map);
    }
    return sizeof(struct log_seg) + end;
}

static bool has_texts(const struct efx_log_conf *conf)
{
    for (uint32_t c = 0; c < conf->n_cols; c++) {
        if (efx_type_is_cell(conf->types[c])) {
            return true;
        }
    }
    return false;
}

enum efx_rc efx_log_create(struct efx_mem *mem, const struct efx_log_conf *conf,
                           struct efx_log **out)
{
    EFX_ASSERT(conf->n_cols <= EFX_LOG_COLS_MAX);
    size_t bits = conf->n_cols * (size_t)EFX_BATCH_WORDS * sizeof(uint64_t);
    size_t bytes = sizeof(struct efx_log) + bits + 2 * conf->n_cols * sizeof(uint32_t);
    struct efx_log *l = mem->alloc(mem, bytes);
    if (l == NULL) {
        return EFX_ENOMEM;
    }
    *l = (struct efx_log){.mem = mem, .conf = *conf, .self_bytes = bytes, .used_bytes = bytes};
    l->bits = (uint64_t *)(void *)(l + 1);
    l->col_at = (uint32_t *)(void *)((uint8_t *)(l + 1) + bits);
    l->valid_at = l->col_at + conf->n_cols;
    uint32_t rows = EFX_BATCH_ROWS_MAX;
    while (rows > SEG_ROWS_MIN && lay_out(l, rows) > EFX_LOG_SEG_BYTES) {
        rows /= 2;
    }
    l->seg_bytes = lay_out(l, rows);
    l->shift = (uint32_t)__builtin_ctz(rows);
    if (has_texts(conf) && efx_heap_create(mem, &l->heap) != EFX_OK) {
        mem->free(mem, l, bytes);
        return EFX_ENOMEM;
    }
    *out = l;
    return EFX_OK;
}

void efx_log_destroy(struct efx_log **log)
{
    struct efx_log *l = *log;
    *log = NULL;
    if (l == NULL) {
        return;
    }
    efx_log__loaded_drop(l);
    for (uint64_t s = l->first; s < l->last; s++) {
        efx_log__give(l, l->seg[s & (l->n_segs_max - 1)], l->seg_bytes);
    }
    efx_log__give(l, l->spare, l->seg_bytes);
    efx_log__give(l, l->seg, l->n_segs_max * sizeof(struct log_seg *));
    efx_heap_destroy(&l->heap);
    EFX_ASSERT(l->used_bytes == l->self_bytes);
    l->mem->free(l->mem, l, l->self_bytes);
}

/* ---- segments */

static enum efx_rc directory_grow(struct efx_log *l)
{
    uint32_t max = l->n_segs_max == 0 ? SEGS_FIRST : l->n_segs_max * 2;
    struct log_seg **seg = efx_log__take(l, max * sizeof(struct log_seg *));
    if (seg == NULL) {
        return EFX_ENOMEM;
    }
    for (uint64_t s = l->first; s < l->last; s++) {
        seg[s & (max - 1)] = l->seg[s & (l->n_segs_max - 1)];
    }
    efx_log__give(l, l->seg, l->n_segs_max * sizeof(struct log_seg *));
    l->seg = seg;
    l->n_segs_max = max;
    return EFX_OK;
}

static enum efx_rc seg_add(struct efx_log *l)
{
    if (l->last - l->first == l->n_segs_max) {
        EFX_RET(directory_grow(l));
    }
    struct log_seg *s = l->spare;
    l->spare = NULL;
    if (s == NULL) {
        s = efx_log__take(l, l->seg_bytes);
    }
    if (s == NULL) {
        return EFX_ENOMEM;
    }
    *s = (struct log_seg){0};
    memset(s->room, 0, l->at.due); /* the bitmaps and flags stand first */
    l->seg[l->last++ & (l->n_segs_max - 1)] = s;
    return EFX_OK;
}

void efx_log__free_behind(struct efx_log *l)
{
    uint64_t keep = l->saving && l->save_keep < l->head ? l->save_keep : l->head;
    while (l->first < l->last && l->first < keep >> l->shift) {
        struct log_seg **s = &l->seg[l->first++ & (l->n_segs_max - 1)];
        if (l->spare == NULL) {
            l->spare = *s;
        } else {
            efx_log__give(l, *s, l->seg_bytes);
        }
        *s = NULL;
    }
}

/* ---- adding */

static inline uint32_t row_of(const struct efx_log_rows *in, uint32_t i)
{
    return in->row == NULL ? i : in->row[i];
}

/* A copy of a text in the heap; the cell then points there. */
static enum efx_rc keep_text(struct efx_log *l, struct efx_cell *cell)
{
    uint32_t ref;
    if (cell->len > UINT32_MAX - LOG_REF_BYTES) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_heap_get(l->heap, cell->len + LOG_REF_BYTES, &ref));
    uint8_t *piece = efx_heap_at(l->heap, ref);
    memcpy(piece, &ref, sizeof ref);
    memcpy(piece + LOG_REF_BYTES, cell->ptr, cell->len);
    cell->ptr = piece + LOG_REF_BYTES;
    return EFX_OK;
}

static void drop_text(struct efx_log *l, const struct efx_cell *cell)
{
    uint32_t ref;
    if (cell->len > EFX_CELL_INLINE) {
        memcpy(&ref, cell->ptr - LOG_REF_BYTES, sizeof ref);
        efx_heap_put(l->heap, ref, cell->len + LOG_REF_BYTES);
    }
}

void efx_log__drop_texts(struct efx_log *l, uint64_t number)
{
    const struct log_seg *s = efx_log__seg(l, number);
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        if (efx_type_is_cell(l->conf.types[c])) {
            const struct efx_cell *cells = efx_log__room(s, l->col_at[c]);
            drop_text(l, &cells[efx_log__row(l, number)]);
        }
    }
}

/* Cells of one column for places at .. at + n - 1; returns how many there was memory for. */
static uint32_t put_texts(struct efx_log *l, const struct efx_col *col,
                          const struct efx_log_rows *in, uint32_t from, uint32_t n,
                          struct efx_cell *to)
{
    const struct efx_cell *v = col->data;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = row_of(in, from + i);
        to[i] = efx_bit(col->valid, row) ? v[row] : (struct efx_cell){0};
        if (to[i].len > EFX_CELL_INLINE && keep_text(l, &to[i]) != EFX_OK) {
            return i;
        }
    }
    return n;
}

/* All text columns of n rows; fewer rows if memory ends, and then nothing of those behind. */
static uint32_t put_text_cols(struct efx_log *l, struct log_seg *s, uint32_t at,
                              const struct efx_log_rows *in, uint32_t from, uint32_t n)
{
    uint32_t done = n;
    for (uint32_t c = 0; c < l->conf.n_cols && l->heap != NULL; c++) {
        if (!efx_type_is_cell(l->conf.types[c])) {
            continue;
        }
        struct efx_cell *to = (struct efx_cell *)efx_log__room(s, l->col_at[c]) + at;
        uint32_t kept = put_texts(l, &in->cols[c], in, from, done, to);
        for (uint32_t b = 0; b < c && kept < done; b++) {
            const struct efx_cell *cells = efx_log__room(s, l->col_at[b]);
            for (uint32_t i = kept; i < done && efx_type_is_cell(l->conf.types[b]); i++) {
                drop_text(l, &cells[at + i]);
            }
        }
        done = kept;
    }
    return done;
}

#define COPY_ROWS(T)                                                                               \
    do {                                                                                           \
        T *to = (T *)data + at;                                                                    \
        const T *v = col->data;                                                                    \
        for (uint32_t i = 0; i < n; i++) {                                                         \
            to[i] = v[in->row[from + i]];                                                          \
        }                                                                                          \
    } while (0)

/* Do the rows lie side by side? */
static bool in_one_piece(const struct efx_log_rows *in, uint32_t from, uint32_t n)
{
    uint32_t off = 0;
    for (uint32_t i = 0; in->row != NULL && i < n; i++) {
        off |= in->row[from + i] - in->row[from] - i;
    }
    return off == 0;
}

static void put_numbers(void *data, uint32_t at, const struct efx_col *col,
                        const struct efx_log_rows *in, uint32_t from, uint32_t n, bool piece)
{
    uint32_t width = efx_type_width(col->type);
    if (n > 0 && piece) {
        uint32_t first = row_of(in, from);
        memcpy((uint8_t *)data + (size_t)at * width,
               (const uint8_t *)col->data + (size_t)first * width, (size_t)n * width);
    } else if (width == 8) {
        COPY_ROWS(uint64_t);
    } else if (width == 4) {
        COPY_ROWS(uint32_t);
    } else {
        COPY_ROWS(uint8_t);
    }
}

static void put_nulls(struct efx_log *l, struct log_seg *s, uint32_t c, uint32_t at,
                      const struct efx_log_rows *in, uint32_t from, uint32_t n)
{
    uint64_t *valid = efx_log__map(s, l->valid_at[c]);
    for (uint32_t i = 0; i < n; i++) {
        if (efx_bit(in->cols[c].valid, row_of(in, from + i))) {
            continue;
        }
        if (!efx_log__has_null(l, s, c)) {
            memset(valid, 0xFF, (size_t)1 << l->shift >> 3);
            s->room[l->at.null + c] = 1;
        }
        efx_bit_put(valid, at + i, false);
    }
}

static void put_fixed(struct efx_log *l, struct log_seg *s, uint32_t at,
                      const struct efx_log_rows *in, uint32_t from, uint32_t n, bool piece)
{
    struct efx_col ts = {.type = EFX_TYPE_LONG, .data = in->ts_ms};
    put_numbers(efx_log__room(s, l->at.ts), at, &ts, in, from, n, piece);
    uint64_t *turn = (uint64_t *)efx_log__room(s, l->at.turn) + at;
    if (in->turn != NULL) {
        memcpy(turn, in->turn + from, n * sizeof *turn);
    } else {
        memset(turn, 0, n * sizeof *turn);
    }
    if (l->conf.has_due) {
        memcpy((int64_t *)efx_log__room(s, l->at.due) + at, in->due_ms + from, n * sizeof(int64_t));
    }
    if (l->conf.has_group) {
        memcpy((uint32_t *)efx_log__room(s, l->at.group) + at, in->group + from,
               n * sizeof(uint32_t));
    }
    if (l->conf.has_copy) {
        memcpy((uint32_t *)efx_log__room(s, l->at.copy) + at, in->copy + from,
               n * sizeof(uint32_t));
    }
}

enum efx_rc efx_log_add(struct efx_log *l, const struct efx_log_rows *in)
{
    uint32_t rows = 1u << l->shift;
    for (uint32_t from = 0; from < in->n;) {
        if (l->end >> l->shift == l->last) {
            EFX_RET(seg_add(l));
        }
        struct log_seg *s = efx_log__seg(l, l->end);
        uint32_t at = efx_log__row(l, l->end);
        uint32_t n = in->n - from < rows - at ? in->n - from : rows - at;
        uint32_t done = put_text_cols(l, s, at, in, from, n);
        bool piece = in_one_piece(in, from, done);
        put_fixed(l, s, at, in, from, done, piece);
        for (uint32_t c = 0; c < l->conf.n_cols; c++) {
            if (!efx_type_is_cell(l->conf.types[c])) {
                put_numbers(efx_log__room(s, l->col_at[c]), at, &in->cols[c], in, from, done,
                            piece);
            }
            if (in->cols[c].valid != NULL) {
                put_nulls(l, s, c, at, in, from, done);
            }
        }
        s->n_live += done;
        l->end += done;
        from += done;
        if (done < n) {
            return EFX_ENOMEM;
        }
    }
    return EFX_OK;
}

/* ---- dying */

uint64_t efx_log__live_from(const struct efx_log *l, uint64_t from)
{
    while (from < l->end) {
        const struct log_seg *s = efx_log__seg(l, from);
        if (s->n_live == 0) {
            from = ((from >> l->shift) + 1) << l->shift;
            continue;
        }
        uint32_t row = efx_log__row(l, from);
        uint64_t live = ~efx_log__map(s, l->at.dead)[row / 64] & UINT64_MAX << row % 64;
        from -= row % 64;
        if (live != 0) {
            from += (uint32_t)__builtin_ctzll(live);
            break;
        }
        from += 64;
    }
    return from < l->end ? from : l->end;
}

/* Its texts stay until the running save has it. */
static inline bool is_owed(const struct efx_log *l, uint64_t number)
{
    return l->saving && number >= l->save_pos && number < l->save_end;
}

static void die(struct efx_log *l, struct log_seg *s, uint64_t number)
{
    uint32_t row = efx_log__row(l, number);
    efx_bit_put(efx_log__map(s, l->at.dead), row, true);
    s->n_live--;
    if (number < l->marked_end) {
        efx_bit_put(efx_log__map(s, l->at.died[l->now]), row, true);
        s->has_died[l->now] = 1;
    }
    if (is_owed(l, number)) {
        efx_bit_put(efx_log__map(s, l->at.owed), row, true);
    } else if (l->heap != NULL) {
        efx_log__drop_texts(l, number);
    }
}

void efx_log_kill(struct efx_log *l, uint64_t number)
{
    EFX_ASSERT(efx_log_is_live(l, number));
    die(l, efx_log__seg(l, number), number);
    if (number == l->head) {
        l->head = efx_log__live_from(l, number + 1);
        if (l->first < l->head >> l->shift) {
            efx_log__free_behind(l);
        }
    }
}

/* Of a word's bits, those of numbers below `until`; bit 0 is number `base`. */
static inline uint64_t bits_below(uint64_t base, uint64_t until)
{
    return until <= base ? 0 : until - base >= 64 ? UINT64_MAX : ~(UINT64_MAX << (until - base));
}

/* die() for all live rows of one word that are in `which`; bit 0 is number `base`. */
static void word_dies(struct efx_log *l, uint64_t base, uint64_t which)
{
    struct log_seg *s = efx_log__seg(l, base);
    uint32_t w = efx_log__row(l, base) / 64;
    uint64_t *dead = &efx_log__map(s, l->at.dead)[w];
    uint64_t dying = which & ~*dead;
    uint64_t told = dying & bits_below(base, l->marked_end);
    uint64_t owed = 0;
    *dead |= dying;
    s->n_live -= (uint32_t)__builtin_popcountll(dying);
    if (told != 0) {
        efx_log__map(s, l->at.died[l->now])[w] |= told;
        s->has_died[l->now] = 1;
    }
    if (l->saving) {
        owed = dying & bits_below(base, l->save_end) & ~bits_below(base, l->save_pos);
        efx_log__map(s, l->at.owed)[w] |= owed;
    }
    for (uint64_t left = dying & ~owed; left != 0 && l->heap != NULL; left &= left - 1) {
        efx_log__drop_texts(l, base + (uint32_t)__builtin_ctzll(left));
    }
}

void efx_log_kill_until(struct efx_log *l, uint64_t number)
{
    uint64_t until = number < l->end ? number : l->end;
    for (uint64_t base = l->head & ~(uint64_t)63; base < until && l->head < until; base += 64) {
        word_dies(l, base, bits_below(base, until) & ~bits_below(base, l->head));
    }
    if (l->head < until) {
        l->head = efx_log__live_from(l, until);
        efx_log__free_behind(l);
    }
}

size_t efx_log_bytes(const struct efx_log *l)
{
    return l->used_bytes + (l->heap != NULL ? efx_heap_bytes(l->heap) : 0);
}
