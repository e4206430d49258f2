#ifndef EFX_DATAGEN_H
#define EFX_DATAGEN_H

#include "efx_pace.h"

/* One column's generator: value i is a function of (seed, column, i), so rows are the same however
 * they are cut into claims.
 */
enum efx_gen_kind {
    EFX_GEN_SEQUENCE = 1,
    EFX_GEN_RANDOM,
    EFX_GEN_CHOICE,
    EFX_GEN_TEXT,
    EFX_GEN_UUID,
    EFX_GEN_NOW
};

struct efx_gen_col {
    enum efx_gen_kind kind;
    double min, max;
    int64_t start, step;
    uint32_t length;
    double nulls; /* share, 0 .. 1 */
    uint32_t n_values;
    struct efx_str *values;
};

/* Options of the stream's columns: datagen.<col>.<what>; without any, random values of the type. */
enum efx_rc efx_datagen_cols(struct efx_arena *a, const struct efx_schema *schema,
                             const struct efx_prop *props, uint32_t n_props,
                             struct efx_gen_col **out, struct efx_err *err);
/* Row `row`; EFX_AGAIN: the builder is full. */
enum efx_rc efx_datagen_rows(const struct efx_gen_col *cols, const struct efx_schema *schema,
                             uint16_t stream, uint64_t seed, uint64_t row, int64_t now_ms,
                             int64_t ts_ms, struct efx_builder *out);

#endif /* EFX_DATAGEN_H */
