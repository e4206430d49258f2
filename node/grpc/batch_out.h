#ifndef BATCH_OUT_H
#define BATCH_OUT_H

#include "efx_batch.h"
#include "efx_schema.h"
#include "wire.h"

/* Rows as the bytes of a Batch message, columns or rows.
 *
 *   places ──size──► how many bytes ──put──► exactly so many
 *
 *   Owner    nothing is kept; rows, schema and places are the caller's
 *   Limits   EFX_BATCH_ROWS_MAX rows; the caller cuts by bytes (batch_out_cut)
 *   Threads  none
 *   Source   proto/README.md; read back by batch_in.c in tests/grpc
 */
struct batch_out {
    const struct efx_batch *b;
    const struct efx_schema *schema;
    bool as_rows;
    const uint32_t *at; /* [n] places of rows, ascending */
    uint32_t n;
    /* Of size, for put. */
    bool has_expired;
    bool has_null[EFX_SCHEMA_COLS_MAX];
    uint32_t heap[EFX_SCHEMA_COLS_MAX];     /* bytes of texts */
    uint32_t row_bytes[EFX_BATCH_ROWS_MAX]; /* of a Row, without its head */
};

/* How many of n rows from `at` on make a message of about max_bytes; at least one. */
uint32_t batch_out_cut(const struct efx_batch *b, const struct efx_schema *schema,
                       const uint32_t *at, uint32_t n, size_t max_bytes);
/* Bytes of the Batch, without a head. */
size_t batch_out_size(struct batch_out *o);
uint8_t *batch_out_put(const struct batch_out *o, uint8_t *p);

/* repeated ColumnInfo, as field `field` of its message. */
size_t batch_out_schema_size(const struct efx_schema *schema);
uint8_t *batch_out_schema_put(const struct efx_schema *schema, uint32_t field, uint8_t *p);

#endif /* BATCH_OUT_H */
