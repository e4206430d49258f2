/* Rows as CSV: quotes where a text holds the delimiter, a quote, a line end, or could be taken for
 * NULL. NaN and infinities are NULL, as in JSON.
 */
#include "csv.h"

#include "efx_numbers.h"
#include "json.h"

#include <math.h>

static char *put_quoted(const struct csv_format *f, char *o, const char *p, uint32_t n)
{
    *o++ = f->quote;
    for (uint32_t i = 0; i < n; i++) {
        if (p[i] == f->quote || p[i] == f->escape) {
            *o++ = f->escape;
        }
        *o++ = p[i];
    }
    *o++ = f->quote;
    return o;
}

static bool needs_quotes(const struct csv_format *f, const char *p, uint32_t n)
{
    bool needs = efx_str_equal((struct efx_str){p, n}, f->null);
    for (uint32_t i = 0; i < n && !needs; i++) {
        needs = p[i] == f->delimiter || p[i] == f->quote || p[i] == '\n' || p[i] == '\r';
    }
    return needs;
}

static char *put_text(const struct csv_format *f, char *o, const char *p, uint32_t n)
{
    if (needs_quotes(f, p, n)) {
        return put_quoted(f, o, p, n);
    }
    memcpy(o, p, n);
    return o + n;
}

static bool is_null(const struct efx_col *c, uint32_t row)
{
    return !efx_bit(c->valid, row) ||
           (c->type == EFX_TYPE_DOUBLE && !isfinite(((const double *)c->data)[row])) ||
           (c->type == EFX_TYPE_FLOAT && !isfinite(((const float *)c->data)[row]));
}

static char *put_field(const struct csv_format *f, char *o, const struct efx_col *c, uint32_t row)
{
    if (is_null(c, row)) {
        memcpy(o, f->null.p, f->null.n);
        return o + f->null.n;
    }
    if (c->type == EFX_TYPE_STRING || c->type == EFX_TYPE_OBJECT) {
        const struct efx_cell *cell = (const struct efx_cell *)c->data + row;
        return put_text(f, o, (const char *)efx_cell_bytes(cell), cell->len);
    }
    if (c->type == EFX_TYPE_BYTES) { /* base64 without its quotes */
        char *end = efx_json_put_value(o, c, row);
        memmove(o, o + 1, (size_t)(end - o) - 2);
        return end - 2;
    }
    return efx_json_put_value(o, c, row);
}

void efx_csv__head(const struct efx_format *self, uint16_t stream, struct efx_writer *w)
{
    const struct csv_format *f = (const struct csv_format *)self;
    (void)stream;
    if (!f->conf.include_header) {
        return;
    }
    if (f->conf.header_names[0] != '\0') {
        efx_put_raw(w, f->conf.header_names, strlen(f->conf.header_names));
        efx_put_raw(w, "\n", 1);
        return;
    }
    for (uint32_t c = 0; c < f->schema->n_cols; c++) {
        const char *name = f->schema->cols[c].name;
        uint32_t n = (uint32_t)strlen(name);
        w->full = w->full || 2 * (size_t)n + 4 > w->max - w->n;
        if (w->full) {
            return;
        }
        char *o = (char *)w->p + w->n;
        if (c > 0) {
            *o++ = f->delimiter;
        }
        w->n = (size_t)(put_text(f, o, name, n) - (char *)w->p);
    }
    efx_put_raw(w, "\n", 1);
}

enum efx_rc efx_csv__encode(const struct efx_format *self, struct efx_encode *e)
{
    const struct csv_format *f = (const struct csv_format *)self;
    const struct efx_batch *b = e->rows.b;
    struct efx_writer *w = e->w;
    size_t around = (f->null.n + 3) * (size_t)b->n_cols + 16;
    for (; e->rows.from < e->rows.until; e->rows.from++) {
        uint32_t row = e->rows.from;
        if (!efx_bit(b->sel, row)) {
            continue;
        }
        if (efx_json_bound(b, row) + around > w->max - w->n) {
            return EFX_AGAIN;
        }
        char *o = (char *)w->p + w->n;
        for (uint32_t c = 0; c < b->n_cols; c++) {
            if (c > 0) {
                *o++ = f->delimiter;
            }
            o = put_field(f, o, &b->cols[c], row);
        }
        *o++ = '\n';
        w->n = (size_t)(o - (char *)w->p);
        if (e->ends != NULL) {
            e->ends[e->n] = (uint32_t)w->n;
        }
        e->n++;
    }
    return EFX_OK;
}
