#include "efx_rowbytes.h"

uint32_t efx_rowbytes_size(const struct efx_col *cols, uint32_t n_cols, uint32_t row)
{
    uint32_t n = (n_cols + 7) / 8;
    for (uint32_t c = 0; c < n_cols; c++) {
        if (!efx_bit(cols[c].valid, row)) {
            continue;
        }
        n += efx_type_is_cell(cols[c].type) ? 4 + ((const struct efx_cell *)cols[c].data)[row].len
                                            : efx_type_width(cols[c].type);
    }
    return n;
}

void efx_rowbytes_put(const struct efx_col *cols, uint32_t n_cols, uint32_t row, uint8_t *out)
{
    uint8_t *valid = out;
    memset(valid, 0, (n_cols + 7) / 8);
    out += (n_cols + 7) / 8;
    for (uint32_t c = 0; c < n_cols; c++) {
        if (!efx_bit(cols[c].valid, row)) {
            continue;
        }
        valid[c / 8] = (uint8_t)(valid[c / 8] | 1u << c % 8);
        if (efx_type_is_cell(cols[c].type)) {
            const struct efx_cell *cell = (const struct efx_cell *)cols[c].data + row;
            memcpy(out, &cell->len, 4);
            memcpy(out + 4, efx_cell_bytes(cell), cell->len);
            out += 4 + cell->len;
        } else {
            uint32_t width = efx_type_width(cols[c].type);
            memcpy(out, (const uint8_t *)cols[c].data + (size_t)row * width, width);
            out += width;
        }
    }
}

bool efx_rowbytes_get(struct efx_reader *r, const struct efx_rowbytes_cols *to, uint32_t i)
{
    struct efx_bytes valid = efx_get_view(r, (to->n_cols + 7) / 8);
    for (uint32_t c = 0; c < to->n_cols && !r->bad; c++) {
        bool there = (valid.p[c / 8] >> c % 8 & 1) != 0;
        efx_bit_put(to->valid[c], i, there);
        uint32_t width = efx_type_width(to->types[c]);
        uint8_t *slot = (uint8_t *)to->data[c] + (size_t)i * width;
        if (!there) {
            memset(slot, 0, width);
        } else if (efx_type_is_cell(to->types[c])) {
            uint32_t len = efx_get_u32(r);
            struct efx_bytes text = efx_get_view(r, len);
            struct efx_cell cell = efx_cell_make(text.p, (uint32_t)text.n);
            memcpy(slot, &cell, sizeof cell);
        } else {
            efx_get_raw(r, slot, width);
        }
    }
    return !r->bad;
}
