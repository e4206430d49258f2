/* Rows read where they lie, in stretches, or gathered. */
#include "log_in.h"

uint64_t efx_log_head(const struct efx_log *l)
{
    return l->head;
}

uint64_t efx_log_end(const struct efx_log *l)
{
    return l->end;
}

uint64_t efx_log_next(const struct efx_log *l, uint64_t number)
{
    return efx_log__live_from(l, number + 1 < l->head ? l->head : number + 1);
}

bool efx_log_is_live(const struct efx_log *l, uint64_t number)
{
    return number >= l->head && number < l->end &&
           !efx_bit(efx_log__map(efx_log__seg(l, number), l->at.dead), efx_log__row(l, number));
}

int64_t efx_log_ts(const struct efx_log *l, uint64_t number)
{
    const int64_t *ts = efx_log__room(efx_log__seg(l, number), l->at.ts);
    return ts[efx_log__row(l, number)];
}

int64_t efx_log_due(const struct efx_log *l, uint64_t number)
{
    const int64_t *due = efx_log__room(efx_log__seg(l, number), l->at.due);
    return due[efx_log__row(l, number)];
}

uint64_t efx_log_turn(const struct efx_log *l, uint64_t number)
{
    const uint64_t *turn = efx_log__room(efx_log__seg(l, number), l->at.turn);
    return turn[efx_log__row(l, number)];
}

uint32_t efx_log_group(const struct efx_log *l, uint64_t number)
{
    const uint32_t *group = efx_log__room(efx_log__seg(l, number), l->at.group);
    return group[efx_log__row(l, number)];
}

void efx_log_groups(const struct efx_log *l, const uint64_t *number, uint32_t n, uint32_t *group)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *of = efx_log__room(efx_log__seg(l, number[i]), l->at.group);
        group[i] = of[efx_log__row(l, number[i])];
    }
}

uint32_t efx_log_stretch(const struct efx_log *l, uint64_t number, const int64_t **due,
                         const uint32_t **group)
{
    uint32_t row = efx_log__row(l, number), rows = 1u << l->shift;
    uint64_t left = number < l->end ? l->end - number : 0;
    *due = NULL;
    *group = NULL;
    if (left == 0) {
        return 0;
    }
    const struct log_seg *s = efx_log__seg(l, number);
    if (l->conf.has_due) {
        *due = (const int64_t *)efx_log__room(s, l->at.due) + row;
    }
    if (l->conf.has_group) {
        *group = (const uint32_t *)efx_log__room(s, l->at.group) + row;
    }
    return left < rows - row ? (uint32_t)left : rows - row;
}

uint32_t efx_log_copy(const struct efx_log *l, uint64_t number)
{
    const uint32_t *copy = efx_log__room(efx_log__seg(l, number), l->at.copy);
    return copy[efx_log__row(l, number)];
}

const void *efx_log_slot(const struct efx_log *l, uint64_t number, uint32_t col, bool *null)
{
    const struct log_seg *s = efx_log__seg(l, number);
    uint32_t row = efx_log__row(l, number);
    if (null != NULL) {
        *null = efx_log__has_null(l, s, col) && !efx_bit(efx_log__map(s, l->valid_at[col]), row);
    }
    const uint8_t *data = efx_log__room(s, l->col_at[col]);
    return data + (size_t)row * efx_type_width(l->conf.types[col]);
}

/* Bits row .. of a map, moved so that they begin at bit 0. */
static const uint64_t *moved_bits(const uint64_t *map, uint32_t words, uint32_t row, uint64_t *to)
{
    uint32_t by = row % 64;
    map += row / 64;
    words -= row / 64;
    if (by == 0) {
        return map;
    }
    for (uint32_t w = 0; w < words; w++) {
        uint64_t above = w + 1 < words ? map[w + 1] << (64 - by) : 0;
        to[w] = map[w] >> by | above;
    }
    return to;
}

static bool any_set(const uint64_t *map, uint32_t from, uint32_t until)
{
    for (uint32_t w = from / 64; w < efx_words(until); w++) {
        uint64_t word = efx_word(map, w, until);
        if ((w == from / 64 ? word & UINT64_MAX << from % 64 : word) != 0) {
            return true;
        }
    }
    return false;
}

uint32_t efx_log_view(const struct efx_log *l, uint64_t number, uint32_t n_max,
                      struct efx_col *cols, const int64_t **ts_ms, bool *any_dead)
{
    uint32_t row = efx_log__row(l, number), rows = 1u << l->shift;
    uint64_t left = number < l->end ? l->end - number : 0;
    uint32_t n = left < rows - row ? (uint32_t)left : rows - row;
    n = n < n_max ? n : n_max;
    *any_dead = false;
    if (n == 0) {
        return 0;
    }
    const struct log_seg *s = efx_log__seg(l, number);
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        enum efx_type type = l->conf.types[c];
        const uint8_t *data = efx_log__room(s, l->col_at[c]);
        cols[c] = (struct efx_col){.type = type, .data = data + (size_t)row * efx_type_width(type)};
        if (efx_log__has_null(l, s, c)) {
            cols[c].valid = moved_bits(efx_log__map(s, l->valid_at[c]), rows / 64, row,
                                       l->bits + (size_t)c * EFX_BATCH_WORDS);
        }
    }
    *ts_ms = (const int64_t *)efx_log__room(s, l->at.ts) + row;
    *any_dead = any_set(efx_log__map(s, l->at.dead), row, row + n);
    return n;
}

/* ---- gather: all in one piece, or long stretches of rows that lie side by side, are copied at
 * once; else row by row */

enum { STRETCH_MIN = 16 }; /* rows of a stretch, on average, for which it pays */

struct spots { /* where the rows lie */
    uint32_t n;
    const struct log_seg *only; /* the segment, if it is the same for all */
    uint64_t least, most;       /* numbers of all are among these */
    const struct log_seg **seg; /* [n] */
    uint32_t *row;              /* [n] */
    uint32_t n_stretches;
    uint32_t *until; /* [n_stretches] place behind each; NULL: row by row */
    bool piece;      /* numbers least .. most, in order: seg, row and until are not there */
};

static void spots_find(const struct efx_log *l, struct efx_ctx *ctx, const uint64_t *number,
                       struct spots *s)
{
    uint32_t n = s->n;
    uint64_t off = 0;
    for (uint32_t i = 0; i < n; i++) {
        off |= number[i] - number[0] - i;
    }
    if (off == 0) {
        s->least = number[0];
        s->most = number[0] + n - 1;
        s->piece = true;
        return;
    }
    s->seg = efx_scratch(ctx, n * sizeof *s->seg);
    s->row = efx_scratch(ctx, n * sizeof *s->row);
    struct log_seg *const *segs = l->seg;
    const uint32_t shift = l->shift, mask = (1u << shift) - 1, seg_mask = l->n_segs_max - 1;
    uint64_t least = number[0], most = number[0], before = number[0] - 1;
    uint32_t breaks = 1;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t no = number[i];
        uint32_t row = (uint32_t)no & mask;
        least = no < least ? no : least;
        most = no > most ? no : most;
        breaks += (no - before != 1) | (row == 0);
        before = no;
        s->seg[i] = segs[(no >> shift) & seg_mask];
        s->row[i] = row;
    }
    s->least = least;
    s->most = most;
    s->only = least >> shift == most >> shift ? s->seg[0] : NULL;
    if (n / breaks < STRETCH_MIN) {
        return;
    }
    s->until = efx_scratch(ctx, breaks * sizeof *s->until);
    uint32_t k = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (number[i] != number[i - 1] + 1 || s->row[i] == 0) {
            s->until[k++] = i;
        }
    }
    s->until[k++] = n;
    s->n_stretches = k;
}

static void copy_stretches(const struct spots *s, uint32_t off, uint32_t width, void *to)
{
    for (uint32_t k = 0, at = 0; k < s->n_stretches; at = s->until[k++]) {
        const uint8_t *from = efx_log__room(s->seg[at], off);
        memcpy((uint8_t *)to + (size_t)at * width, from + (size_t)s->row[at] * width,
               (size_t)(s->until[k] - at) * width);
    }
}

static void copy_piece(const struct efx_log *l, const struct spots *s, uint32_t off, uint32_t width,
                       void *to)
{
    uint32_t rows = 1u << l->shift;
    for (uint32_t at = 0, n; at < s->n; at += n) {
        uint32_t row = efx_log__row(l, s->least + at);
        n = s->n - at < rows - row ? s->n - at : rows - row;
        const uint8_t *from = efx_log__room(efx_log__seg(l, s->least + at), off);
        memcpy((uint8_t *)to + (size_t)at * width, from + (size_t)row * width, (size_t)n * width);
    }
}

#define COPY_SLOTS(T)                                                                              \
    do {                                                                                           \
        T *out = to;                                                                               \
        if (s->only != NULL) {                                                                     \
            const T *from = efx_log__room(s->only, off);                                           \
            for (uint32_t i = 0; i < s->n; i++) {                                                  \
                out[i] = from[s->row[i]];                                                          \
            }                                                                                      \
        } else {                                                                                   \
            for (uint32_t i = 0; i < s->n; i++) {                                                  \
                const T *from = efx_log__room(s->seg[i], off);                                     \
                out[i] = from[s->row[i]];                                                          \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static void copy_spots(const struct efx_log *l, const struct spots *s, uint32_t off, uint32_t width,
                       void *to)
{
    if (s->piece) {
        copy_piece(l, s, off, width, to);
    } else if (s->until != NULL) {
        copy_stretches(s, off, width, to);
    } else if (width == 8) {
        COPY_SLOTS(uint64_t);
    } else if (width == 4) {
        COPY_SLOTS(uint32_t);
    } else if (width == 1) {
        COPY_SLOTS(uint8_t);
    } else {
        COPY_SLOTS(struct efx_cell);
    }
}

static bool any_nulls(const struct efx_log *l, const struct spots *s, uint32_t c)
{
    uint64_t first = s->least >> l->shift, last = s->most >> l->shift;
    if (last - first > s->n) {
        return true; /* it does not pay to look: per row */
    }
    for (uint64_t k = first; k <= last && s->n > 0; k++) {
        if (efx_log__has_null(l, efx_log__seg(l, k << l->shift), c)) {
            return true;
        }
    }
    return false;
}

static void gather_nulls(const struct efx_log *l, struct efx_ctx *ctx, const struct spots *s,
                         uint32_t c, struct efx_col *col)
{
    if (!any_nulls(l, s, c)) {
        return;
    }
    uint64_t *valid = efx_scratch_zero(ctx, efx_words(s->n) * sizeof *valid);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct log_seg *seg = s->piece ? efx_log__seg(l, s->least + i) : s->seg[i];
        uint32_t row = s->piece ? efx_log__row(l, s->least + i) : s->row[i];
        bool there =
            !efx_log__has_null(l, seg, c) || efx_bit(efx_log__map(seg, l->valid_at[c]), row);
        valid[i / 64] |= (uint64_t)there << i % 64;
    }
    col->valid = valid;
}

void efx_log_gather(const struct efx_log *l, struct efx_ctx *ctx, const uint64_t *number,
                    uint32_t n, struct efx_col *cols, int64_t *ts_ms)
{
    struct spots s = {.n = n};
    if (n > 0) {
        spots_find(l, ctx, number, &s);
    }
    if (ts_ms != NULL) {
        copy_spots(l, &s, l->at.ts, sizeof *ts_ms, ts_ms);
    }
    for (uint32_t c = 0; c < l->conf.n_cols; c++) {
        enum efx_type type = l->conf.types[c];
        void *data = efx_scratch(ctx, (size_t)n * efx_type_width(type));
        copy_spots(l, &s, l->col_at[c], efx_type_width(type), data);
        cols[c] = (struct efx_col){.type = type, .data = data};
        gather_nulls(l, ctx, &s, c, &cols[c]);
    }
}
