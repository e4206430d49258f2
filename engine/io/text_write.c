/* Readable lines, for the log:  Out 1700000000000 a=1 b="x" c=null */
#include "efx_io.h"
#include "efx_numbers.h"
#include "json.h"

struct text_format {
    struct efx_format base;
    const struct efx_schema *const *streams;
    uint32_t n_streams;
};

static enum efx_rc open_text(struct efx_format *self, const struct efx_format_open *how,
                             struct efx_err *err)
{
    struct text_format *f = (struct text_format *)self;
    (void)err;
    f->streams = how->streams;
    f->n_streams = how->n_streams;
    return EFX_OK;
}

static char *put_name(char *o, const char *name)
{
    size_t n = strlen(name);
    memcpy(o, name, n);
    return o + n;
}

static size_t names(const struct efx_schema *s)
{
    size_t n = strlen(s->name) + 64;
    for (uint32_t c = 0; c < s->n_cols; c++) {
        n += strlen(s->cols[c].name) + 2;
    }
    return n;
}

static char *put_row(char *o, const struct efx_schema *s, const struct efx_batch *b, uint32_t row)
{
    o = put_name(o, s->name);
    *o++ = ' ';
    o += efx_io_long_text(b->ts_ms[row], o);
    if (efx_batch_kind(b, row) == EFX_ROW_EXPIRED) {
        o = put_name(o, " expired");
    }
    for (uint32_t c = 0; c < s->n_cols; c++) {
        *o++ = ' ';
        o = put_name(o, s->cols[c].name);
        *o++ = '=';
        o = efx_json_put_value(o, &b->cols[c], row);
    }
    *o++ = '\n';
    return o;
}

static enum efx_rc encode(const struct efx_format *self, struct efx_encode *e)
{
    const struct text_format *f = (const struct text_format *)self;
    const struct efx_schema *s = f->streams[e->stream];
    const struct efx_batch *b = e->rows.b;
    struct efx_writer *w = e->w;
    size_t around = names(s);
    for (; e->rows.from < e->rows.until; e->rows.from++) {
        uint32_t row = e->rows.from;
        if (!efx_bit(b->sel, row)) {
            continue;
        }
        if (efx_json_bound(b, row) + around > w->max - w->n) {
            return EFX_AGAIN;
        }
        w->n = (size_t)(put_row((char *)w->p + w->n, s, b, row) - (char *)w->p);
        if (e->ends != NULL) {
            e->ends[e->n] = (uint32_t)w->n;
        }
        e->n++;
    }
    return EFX_OK;
}

static size_t cut(const struct efx_format *self, struct efx_bytes bytes)
{
    (void)self;
    return bytes.n;
}

static void no_head(const struct efx_format *self, uint16_t stream, struct efx_writer *w)
{
    (void)self;
    (void)stream;
    (void)w;
}

static void close_text(struct efx_format *self)
{
    (void)self;
}

const struct efx_format_vt efx_text_format_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_format_vt),
             .name = "text",
             .help = "one readable line a row",
             .self_bytes = sizeof(struct text_format)},
    .open = open_text,
    .cut = cut,
    .head = no_head,
    .encode = encode,
    .close = close_text,
};
