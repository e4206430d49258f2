/* Rows as a table, and what CSV output looks like. */
#include "table.h"

#include "csv.h"
#include "efx_numbers.h"
#include "json.h"

enum { TS_WIDTH = 14, VALUE_ROOM = 64 };

struct table_format {
    struct efx_format base;
    const struct efx_schema *const *streams;
};

static enum efx_rc open_table(struct efx_format *self, const struct efx_format_open *how,
                              struct efx_err *err)
{
    (void)err;
    ((struct table_format *)self)->streams = how->streams;
    return EFX_OK;
}

/* Columns that a value of the type usually needs, or its name. */
static uint32_t width_of(const struct efx_schema_col *c)
{
    static const uint8_t of_type[EFX_TYPES] = {4, 11, 14, 12, 14, 6, 16, 16, 16};
    uint32_t name = (uint32_t)strlen(c->name) + 1;
    return name > of_type[c->type] ? name : of_type[c->type];
}

static char *put(char *o, const char *text)
{
    size_t n = strlen(text);
    memcpy(o, text, n);
    return o + n;
}

static char *pad(char *o, const char *from, uint32_t width)
{
    do {
        *o++ = ' ';
    } while (o < from + width);
    return o;
}

static size_t bound(const struct efx_schema *s)
{
    size_t n = strlen(s->name) + 2 * TS_WIDTH + 64;
    for (uint32_t c = 0; c < s->n_cols; c++) {
        n += width_of(&s->cols[c]) + strlen(s->cols[c].name) + VALUE_ROOM;
    }
    return n;
}

static void head(const struct efx_format *self, uint16_t stream, struct efx_writer *w)
{
    const struct efx_schema *s = ((const struct table_format *)self)->streams[stream];
    w->full = w->full || bound(s) > w->max - w->n;
    if (w->full) {
        return;
    }
    char *o = (char *)w->p + w->n;
    o = put(put(put(o, "-- "), s->name), "\n");
    const char *from = o;
    o = pad(put(o, "ts"), from, TS_WIDTH);
    for (uint32_t c = 0; c < s->n_cols; c++) {
        from = o;
        o = put(o, s->cols[c].name);
        o = c + 1 < s->n_cols ? pad(o, from, width_of(&s->cols[c])) : o;
    }
    *o++ = '\n';
    w->n = (size_t)(o - (char *)w->p);
}

static char *put_row(char *o, const struct efx_schema *s, const struct efx_batch *b, uint32_t row)
{
    const char *from = o;
    o += efx_io_long_text(b->ts_ms[row], o);
    o = pad(o, from, TS_WIDTH);
    for (uint32_t c = 0; c < s->n_cols; c++) {
        const struct efx_cell *cell = (const struct efx_cell *)b->cols[c].data + row;
        from = o;
        if (b->cols[c].type == EFX_TYPE_STRING && efx_bit(b->cols[c].valid, row)) {
            memcpy(o, efx_cell_bytes(cell), cell->len);
            o += cell->len;
        } else {
            o = efx_json_put_value(o, &b->cols[c], row);
        }
        o = c + 1 < s->n_cols ? pad(o, from, width_of(&s->cols[c])) : o;
    }
    if (efx_batch_kind(b, row) == EFX_ROW_EXPIRED) {
        o = put(o, "  expired");
    }
    *o++ = '\n';
    return o;
}

static enum efx_rc encode(const struct efx_format *self, struct efx_encode *e)
{
    const struct efx_schema *s = ((const struct table_format *)self)->streams[e->stream];
    const struct efx_batch *b = e->rows.b;
    struct efx_writer *w = e->w;
    size_t around = bound(s);
    for (; e->rows.from < e->rows.until; e->rows.from++) {
        uint32_t row = e->rows.from;
        if (!efx_bit(b->sel, row)) {
            continue;
        }
        if (efx_json_bound(b, row) + around > w->max - w->n) {
            return EFX_AGAIN;
        }
        w->n = (size_t)(put_row((char *)w->p + w->n, s, b, row) - (char *)w->p);
        e->n++;
    }
    return EFX_OK;
}

static void close_table(struct efx_format *self)
{
    (void)self;
}

const struct efx_format_vt cli_table_format_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_format_vt),
             .name = "table",
             .help = "columns for people",
             .self_bytes = sizeof(struct table_format)},
    .open = open_table,
    .head = head,
    .encode = encode,
    .close = close_table,
};

const void *cli_csv_conf(void)
{
    static const struct csv_conf conf = {.delimiter = ",",
                                         .quote = "\"",
                                         .escape = "\"",
                                         .null = "",
                                         .has_header = true,
                                         .include_header = true,
                                         .header_names = ""};
    return &conf;
}
