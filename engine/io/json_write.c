/* Rows as JSON. A row's length is bounded before it is written, so writing checks nothing.
 *
 *   event line   {"stream":"Out","ts":1000,"kind":"expired","data":{"a":1,"b":null}}
 *   payload      {"a":1,"b":null,"_timestamp":1000}
 *   template     whatever it says
 *
 * All the text between values is made at open.
 */
#include "efx_numbers.h"
#include "json.h"

#include <math.h>

enum { ROW_OVERHEAD = 128, VALUE_MAX = EFX_NUMBER_TEXT_MAX + 8 };

static char *put_raw(char *o, struct efx_str s)
{
    memcpy(o, s.p, s.n);
    return o + s.n;
}

/* A constant text: its length is known where this is inlined. */
static inline char *put(char *o, const char *text)
{
    size_t n = strlen(text);
    memcpy(o, text, n);
    return o + n;
}

static bool needs_escape(uint64_t w)
{
    uint64_t low = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = w ^ low * '"', back = w ^ low * '\\';
    uint64_t del = w ^ low * 0x7F;
    return (((w - low * 0x20) & ~w) | ((quote - low) & ~quote) | ((back - low) & ~back) |
            ((del - low) & ~del)) &
           high;
}

static char *put_escaped(char *o, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[] = "btn\0fr"; /* 8 .. 13 */
    *o++ = '\\';
    if (c == '"' || c == '\\') {
        *o++ = (char)c;
    } else if (c >= 8 && c <= 13 && names[c - 8] != '\0') {
        *o++ = names[c - 8];
    } else {
        o = put(o, "u00");
        *o++ = hex[c >> 4];
        *o++ = hex[c & 15];
    }
    return o;
}

/* Takes at most 6 * n + 2 bytes, and up to 8 behind what it takes are written over. */
char *efx_json_put_string(char *o, const char *p, uint32_t n)
{
    *o++ = '"';
    uint32_t i = 0;
    while (i < n) {
        uint64_t w;
        if (n - i >= 8 && (memcpy(&w, p + i, 8), !needs_escape(w))) {
            memcpy(o, &w, 8);
            o += 8;
            i += 8;
            continue;
        }
        uint32_t until = n - i < 8 ? n : i + 8;
        for (; i < until; i++) {
            uint8_t c = (uint8_t)p[i];
            if (c < 0x20 || c == '"' || c == '\\') {
                o = put_escaped(o, c);
            } else {
                *o++ = (char)c;
            }
        }
    }
    *o++ = '"';
    return o;
}

static char *put_base64(char *o, const uint8_t *p, uint32_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    *o++ = '"';
    for (uint32_t i = 0; i < n; i += 3) {
        uint32_t left = n - i;
        uint32_t w = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);
        *o++ = digit[w >> 18];
        *o++ = digit[w >> 12 & 63];
        *o++ = left > 1 ? digit[w >> 6 & 63] : '=';
        *o++ = left > 2 ? digit[w & 63] : '=';
    }
    *o++ = '"';
    return o;
}

char *efx_json_put_value(char *o, const struct efx_col *c, uint32_t row)
{
    if (!efx_bit(c->valid, row)) {
        return put(o, "null");
    }
    const struct efx_cell *cell = (const struct efx_cell *)c->data + row;
    double d;
    float f;
    switch (c->type) {
    case EFX_TYPE_INT: return o + efx_io_long_text(((const int32_t *)c->data)[row], o);
    case EFX_TYPE_LONG: return o + efx_io_long_text(((const int64_t *)c->data)[row], o);
    case EFX_TYPE_FLOAT:
        f = ((const float *)c->data)[row];
        return isfinite(f) ? o + efx_io_float_text(f, o) : put(o, "null");
    case EFX_TYPE_DOUBLE:
        d = ((const double *)c->data)[row];
        return isfinite(d) ? o + efx_io_double_text(d, o) : put(o, "null");
    case EFX_TYPE_BOOL: return ((const uint8_t *)c->data)[row] ? put(o, "true") : put(o, "false");
    case EFX_TYPE_STRING:
        return efx_json_put_string(o, (const char *)efx_cell_bytes(cell), cell->len);
    case EFX_TYPE_BYTES: return put_base64(o, efx_cell_bytes(cell), cell->len);
    case EFX_TYPE_OBJECT:
        return put_raw(o, (struct efx_str){(const char *)efx_cell_bytes(cell), cell->len});
    case EFX_TYPE_NONE: break;
    }
    return put(o, "null");
}

size_t efx_json_bound(const struct efx_batch *b, uint32_t row)
{
    size_t n = 0;
    for (uint32_t c = 0; c < b->n_cols; c++) {
        const struct efx_col *col = &b->cols[c];
        n += VALUE_MAX;
        if (efx_type_is_cell(col->type) && efx_bit(col->valid, row)) {
            n += (size_t)((const struct efx_cell *)col->data)[row].len * 6;
        }
    }
    return n;
}

static char *put_values(char *o, const struct json_stream *st, const struct efx_batch *b,
                        uint32_t row)
{
    for (uint32_t c = 0; c < st->schema->n_cols; c++) {
        o = put_raw(o, st->heads[c]);
        o = efx_json_put_value(o, &b->cols[c], row);
    }
    return o;
}

static char *put_event(char *o, const struct json_stream *st, const struct efx_batch *b,
                       uint32_t row)
{
    o = put_raw(o, st->prefix);
    o += efx_io_long_text(b->ts_ms[row], o);
    *o++ = ',';
    if (efx_batch_kind(b, row) == EFX_ROW_EXPIRED) {
        o = put(o, "\"kind\":\"expired\",");
    }
    if (st->schema->n_cols == 0) {
        o = put(o, "\"data\":{");
    }
    return put(put_values(o, st, b, row), "}}\n");
}

static char *put_payload(char *o, const struct json_stream *st, const struct efx_batch *b,
                         uint32_t row)
{
    o = put_values(o, st, b, row);
    if (st->prefix.n > 0) {
        o = put_raw(o, st->prefix);
        o += efx_io_long_text(b->ts_ms[row], o);
    }
    return put(o, "}\n");
}

static char *put_pretty(char *o, const struct json_stream *st, const struct efx_batch *b,
                        uint32_t row)
{
    o = put(o, "{\n");
    for (uint32_t c = 0; c < st->schema->n_cols; c++) {
        o = put(o, "  ");
        o = put_raw(o, st->keys[c]);
        o = put(o, ": ");
        o = efx_json_put_value(o, &b->cols[c], row);
        o = c + 1 < st->schema->n_cols || st->prefix.n > 0 ? put(o, ",\n") : put(o, "\n");
    }
    if (st->prefix.n > 0) {
        o = put(o, "  ");
        o = put_raw(o, (struct efx_str){st->prefix.p + 1, st->prefix.n - 1});
        *o++ = ' ';
        o += efx_io_long_text(b->ts_ms[row], o);
        *o++ = '\n';
    }
    return put(o, "}\n");
}

static char *put_template(char *o, const struct json_format *f, const struct efx_batch *b,
                          uint32_t row)
{
    for (uint32_t i = 0; i < f->n_pieces; i++) {
        const struct json_piece *p = &f->pieces[i];
        if (p->col == (uint32_t)JSON_PIECE_TEXT) {
            o = put_raw(o, p->text);
        } else if (p->col == EFX_SCHEMA_NO_COL) {
            o += efx_io_long_text(b->ts_ms[row], o);
        } else {
            o = efx_json_put_value(o, &b->cols[p->col], row);
        }
    }
    *o++ = '\n';
    return o;
}

/* Bytes around the values of a row; of a template, with all it may repeat. */
static size_t overhead(const struct json_format *f, const struct json_stream *st)
{
    size_t n = ROW_OVERHEAD + st->prefix.n;
    for (uint32_t c = 0; c < st->schema->n_cols; c++) {
        n += st->heads[c].n + 8;
    }
    for (uint32_t i = 0; i < f->n_pieces; i++) {
        n += f->pieces[i].text.n + VALUE_MAX;
    }
    return n;
}

static char *put_row(char *o, const struct json_format *f, const struct json_stream *st,
                     const struct efx_batch *b, uint32_t row)
{
    return f->events         ? put_event(o, st, b, row)
           : f->n_pieces > 0 ? put_template(o, f, b, row)
           : f->conf.pretty  ? put_pretty(o, st, b, row)
                             : put_payload(o, st, b, row);
}

enum efx_rc efx_json__encode(const struct efx_format *self, struct efx_encode *e)
{
    const struct json_format *f = (const struct json_format *)self;
    const struct json_stream *st = &f->streams[e->stream];
    const struct efx_batch *b = e->rows.b;
    struct efx_writer *w = e->w;
    size_t around = overhead(f, st), times = f->n_pieces + 1;
    while (e->rows.from < e->rows.until) {
        uint32_t row = e->rows.from;
        if (efx_bit(b->sel, row)) {
            if (efx_json_bound(b, row) * times + around > w->max - w->n) {
                return EFX_AGAIN;
            }
            char *o = put_row((char *)w->p + w->n, f, st, b, row);
            w->n = (size_t)(o - (char *)w->p);
            if (e->ends != NULL) {
                e->ends[e->n] = (uint32_t)w->n;
            }
            e->n++;
        }
        e->rows.from++;
    }
    return EFX_OK;
}
