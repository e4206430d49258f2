#include "efx_builder_wire.h"

#include "efx_wire.h"

/* Rows of the set that come in turns before this one. */
static uint32_t rows_before(const struct efx_builder *b, uint16_t stream, uint32_t turn)
{
    for (uint32_t t = turn; t < b->n_turns; t++) {
        if (b->turns[t].stream == stream) {
            return b->turns[t].row;
        }
    }
    uint32_t n = 0;
    for (uint32_t t = 0; t < turn; t++) {
        n += b->turns[t].stream == stream;
    }
    return n;
}

static struct efx_col col_of(const struct efx_builder *b, const struct efx_colset *s, uint32_t c)
{
    return s->lent != NULL
               ? s->lent[c]
               : (struct efx_col){b->schemas[s->stream]->cols[c].type, s->data[c], s->valid[c]};
}

static int64_t ts_of(const struct efx_colset *s, uint32_t row)
{
    return s->lent == NULL ? s->ts_ms[row] : s->lent_ts == NULL ? EFX_TS_NONE : s->lent_ts[row];
}

/* ---- out ---- */

static void put_turns(struct efx_buf *to, const struct efx_builder *b, uint32_t from)
{
    bool plain = b->n_used == 1 && b->n_clocks == 0 && b->n_rejects == 0;
    efx_buf_u32(to, b->n_turns - from);
    efx_buf_u8(to, plain);
    if (plain) {
        efx_buf_u16(to, b->used[0]);
        return;
    }
    uint16_t n_clocks = 0, n_rejects = 0;
    for (uint32_t t = from; t < b->n_turns; t++) {
        uint16_t stream = b->turns[t].stream, row = b->turns[t].row;
        if (stream == EFX_TURN_CLOCK) {
            row = n_clocks++;
        } else if (stream == EFX_TURN_REJECT) {
            row = n_rejects++;
        } else if (from > 0) {
            row = (uint16_t)(row - rows_before(b, stream, from));
        }
        efx_buf_u16(to, stream);
        efx_buf_u16(to, row);
    }
}

static void put_set(struct efx_buf *to, const struct efx_builder *b, const struct efx_colset *s,
                    uint32_t first)
{
    uint32_t n = s->n_rows - first;
    efx_buf_u16(to, s->stream);
    efx_buf_u32(to, n);
    for (uint32_t i = first; i < s->n_rows; i++) {
        efx_buf_i64(to, ts_of(s, i));
    }
    struct efx_wire_pick pick = {.first = first, .n = n};
    for (uint32_t c = 0; c < s->n_cols; c++) {
        struct efx_col col = col_of(b, s, c);
        efx_wire_put_col(to, &col, &pick);
    }
}

void efx_builder_put(struct efx_buf *to, const struct efx_builder *b, uint32_t from_turn)
{
    uint32_t n_clocks = 0, n_rejects = 0;
    uint16_t n_sets = 0;
    put_turns(to, b, from_turn);
    for (uint32_t i = 0; i < b->n_used; i++) {
        bool any = rows_before(b, b->used[i], from_turn) < b->set[b->used[i]]->n_rows;
        n_sets = (uint16_t)(n_sets + any);
    }
    efx_buf_u16(to, n_sets);
    for (uint32_t i = 0; i < b->n_used; i++) {
        uint32_t first = rows_before(b, b->used[i], from_turn);
        if (first < b->set[b->used[i]]->n_rows) {
            put_set(to, b, b->set[b->used[i]], first);
        }
    }
    for (uint32_t t = from_turn; t < b->n_turns; t++) {
        n_clocks += b->turns[t].stream == EFX_TURN_CLOCK;
        n_rejects += b->turns[t].stream == EFX_TURN_REJECT;
    }
    efx_buf_u32(to, n_clocks);
    for (uint32_t t = b->n_clocks - n_clocks; t < b->n_clocks; t++) {
        efx_buf_i64(to, b->clock_ms[t]);
    }
    efx_buf_u32(to, n_rejects);
    for (uint32_t t = b->n_rejects - n_rejects; t < b->n_rejects; t++) {
        const struct efx_reject *j = &b->rejects[t];
        efx_buf_u16(to, j->stream);
        efx_buf_u16(to, j->code);
        efx_buf_u32(to, j->line);
        efx_buf_text(to, efx_cell_bytes(&j->original), j->original.len);
    }
}

/* ---- in ---- */

static enum efx_rc get_set(struct efx_reader *r, struct efx_builder *b)
{
    uint32_t stream = efx_get_u16(r), n = efx_get_u32(r);
    struct efx_bytes ts = efx_get_view(r, (uint64_t)n * 8);
    if (r->bad || stream >= b->n_streams || b->schemas[stream] == NULL || n == 0 ||
        n > b->turns_max || (b->set[stream] != NULL && b->set[stream]->n_rows > 0)) {
        return EFX_EPARSE;
    }
    struct efx_colset *s;
    EFX_RET(efx_builder_begin(b, (uint16_t)stream, EFX_TS_NONE, &s));
    memcpy(s->ts_ms, ts.p, ts.n);
    for (uint32_t c = 0; c < s->n_cols; c++) {
        struct efx_col col;
        EFX_RET(efx_wire_get_col(r, &b->heap, n, &col));
        if (col.type != b->schemas[stream]->cols[c].type) {
            return EFX_EPARSE;
        }
        memcpy(s->data[c], col.data, (size_t)n * efx_type_width(col.type));
        for (uint32_t w = 0; w < efx_words(n); w++) {
            s->valid[c][w] = efx_word(col.valid, w, n);
        }
    }
    s->n_rows = n;
    b->used[b->n_used++] = (uint16_t)stream;
    return EFX_OK;
}

static enum efx_rc get_rest(struct efx_reader *r, struct efx_builder *b)
{
    b->n_clocks = efx_get_u32(r);
    if (r->bad || b->n_clocks > b->turns_max) {
        b->n_clocks = 0;
        return EFX_EPARSE;
    }
    for (uint32_t i = 0; i < b->n_clocks; i++) {
        b->clock_ms[i] = efx_get_i64(r);
    }
    uint32_t n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && i < b->turns_max && !r->bad; i++) {
        struct efx_reject *j = &b->rejects[b->n_rejects++];
        j->stream = efx_get_u16(r);
        j->code = efx_get_u16(r);
        j->line = efx_get_u32(r);
        struct efx_bytes text = efx_get_text(r);
        void *copy = efx_arena_bytes(&b->heap, text.n + 1);
        if (copy == NULL) {
            return EFX_ENOMEM;
        }
        if (text.n > 0) {
            memcpy(copy, text.p, text.n);
        }
        j->original = efx_cell_make(copy, (uint32_t)text.n);
    }
    return r->bad || b->n_rejects != n ? EFX_EPARSE : EFX_OK;
}

/* Does every turn name the next row of what it names, and is every row named? */
static bool turns_fit(const struct efx_builder *b, struct efx_arena *scratch)
{
    uint32_t *next = EFX_NEW_N(scratch, uint32_t, b->n_streams + 1);
    uint32_t n_clocks = 0, n_rejects = 0, n_rows = 0;
    for (uint32_t t = 0; next != NULL && t < b->n_turns; t++) {
        struct efx_turn turn = b->turns[t];
        uint32_t *at = turn.stream == EFX_TURN_CLOCK    ? &n_clocks
                       : turn.stream == EFX_TURN_REJECT ? &n_rejects
                       : turn.stream < b->n_streams     ? &next[turn.stream]
                                                        : NULL;
        if (at == NULL || turn.row != (*at)++) {
            return false;
        }
    }
    for (uint32_t i = 0; next != NULL && i < b->n_used; i++) {
        n_rows += b->set[b->used[i]]->n_rows;
        if (next[b->used[i]] != b->set[b->used[i]]->n_rows) {
            return false;
        }
    }
    return next != NULL && n_clocks == b->n_clocks && n_rejects == b->n_rejects &&
           n_rows + n_clocks + n_rejects == b->n_turns;
}

enum efx_rc efx_builder_get(struct efx_reader *r, struct efx_builder *b)
{
    EFX_ASSERT(b->n_turns == 0);
    uint32_t n = efx_get_u32(r);
    bool plain = efx_get_u8(r) == 1;
    uint16_t stream = plain ? efx_get_u16(r) : 0;
    if (r->bad || n > b->turns_max) {
        return EFX_EPARSE;
    }
    for (uint32_t t = 0; t < n; t++) {
        b->turns[t] = (struct efx_turn){stream, (uint16_t)t};
        if (!plain) {
            b->turns[t].stream = efx_get_u16(r);
            b->turns[t].row = efx_get_u16(r);
        }
    }
    uint32_t n_sets = efx_get_u16(r);
    for (uint32_t i = 0; i < n_sets && !r->bad; i++) {
        EFX_RET(get_set(r, b));
    }
    EFX_RET(get_rest(r, b));
    b->n_turns = n;
    return turns_fit(b, &b->heap) ? EFX_OK : EFX_EPARSE;
}

/* ---- one behind the other ---- */

static enum efx_rc append_set(struct efx_builder *to, const struct efx_builder *from,
                              const struct efx_colset *s, uint32_t first, uint32_t n)
{
    struct efx_colset *t;
    EFX_RET(efx_builder_begin(to, s->stream, EFX_TS_NONE, &t));
    for (uint32_t i = 0; i < n; i++) {
        t->ts_ms[t->n_rows + i] = ts_of(s, first + i);
    }
    for (uint32_t c = 0; c < s->n_cols; c++) {
        struct efx_col col = col_of(from, s, c);
        uint32_t width = efx_type_width(col.type);
        uint8_t *at = (uint8_t *)t->data[c] + (size_t)t->n_rows * width;
        memcpy(at, (const uint8_t *)col.data + (size_t)first * width, (size_t)n * width);
        for (uint32_t i = 0; i < n; i++) {
            efx_bit_put(t->valid[c], t->n_rows + i, efx_bit(col.valid, first + i));
        }
        struct efx_cell *cells = (struct efx_cell *)(void *)at;
        for (uint32_t i = 0; efx_type_is_cell(col.type) && i < n; i++) {
            if (efx_bit(col.valid, first + i) && cells[i].len > EFX_CELL_INLINE) {
                void *copy = efx_arena_bytes(&to->heap, cells[i].len);
                if (copy == NULL) {
                    return EFX_ENOMEM;
                }
                cells[i].ptr = memcpy(copy, cells[i].ptr, cells[i].len);
            }
        }
    }
    if (t->n_rows == 0) {
        to->used[to->n_used++] = s->stream;
    }
    t->n_rows += n;
    return EFX_OK;
}

static enum efx_rc append_reject(struct efx_builder *to, const struct efx_reject *j)
{
    return efx_builder_reject(to, j->stream, j->code, j->line, efx_cell_bytes(&j->original),
                              j->original.len);
}

enum efx_rc efx_builder_append(struct efx_builder *to, const struct efx_builder *from,
                               uint32_t from_turn, uint32_t until_turn)
{
    if (until_turn - from_turn > to->turns_max - to->n_turns) {
        return EFX_AGAIN;
    }
    for (uint32_t t = from_turn; t < until_turn;) {
        struct efx_turn turn = from->turns[t];
        if (turn.stream == EFX_TURN_CLOCK) {
            EFX_RET(efx_builder_advance(to, from->clock_ms[turn.row]));
            t++;
            continue;
        }
        if (turn.stream == EFX_TURN_REJECT) {
            EFX_RET(append_reject(to, &from->rejects[turn.row]));
            t++;
            continue;
        }
        uint32_t n = 1;
        while (t + n < until_turn && from->turns[t + n].stream == turn.stream) {
            n++;
        }
        uint32_t first = to->set[turn.stream] == NULL ? 0 : to->set[turn.stream]->n_rows;
        EFX_RET(append_set(to, from, from->set[turn.stream], turn.row, n));
        for (uint32_t i = 0; i < n; i++) {
            to->turns[to->n_turns++] = (struct efx_turn){turn.stream, (uint16_t)(first + i)};
        }
        t += n;
    }
    return EFX_OK;
}
