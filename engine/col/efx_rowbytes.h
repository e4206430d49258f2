#ifndef EFX_ROWBYTES_H
#define EFX_ROWBYTES_H

#include "efx_codec.h"
#include "efx_col.h"

/* One row as bytes: what limiters, held events and late tables keep, and what checkpoints hold of
 * it.
 *
 *   u8 valid[ceil(n / 8)] │ per column that is not NULL: its fixed width, or u32 length and bytes
 *
 *   Owner  the caller's buffers; a decoded text points into the bytes
 */
uint32_t efx_rowbytes_size(const struct efx_col *cols, uint32_t n_cols, uint32_t row);
/* Fills exactly efx_rowbytes_size bytes. */
void efx_rowbytes_put(const struct efx_col *cols, uint32_t n_cols, uint32_t row, uint8_t *out);

struct efx_rowbytes_cols { /* room for decoded rows */
    uint32_t n_cols;
    const enum efx_type *types;
    void **data;      /* [n_cols][rows] */
    uint64_t **valid; /* [n_cols][words], all written */
};
/* Decodes a row to place i; false = the bytes are damaged. */
bool efx_rowbytes_get(struct efx_reader *r, const struct efx_rowbytes_cols *to, uint32_t i);

#endif /* EFX_ROWBYTES_H */
