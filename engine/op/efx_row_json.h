#ifndef EFX_ROW_JSON_H
#define EFX_ROW_JSON_H

#include "efx_arena.h"
#include "efx_batch.h"
#include "efx_schema.h"
#include "efx_str.h"

/* A row as one JSON object, in column order: what a dead letter keeps of an event. NaN and
 * infinities are null, BYTES base64, as in the output (runtime contracts, section 2).
 *
 *   Owner  the text lives in the arena; {NULL, 0} = out of memory
 */
struct efx_str efx_row_json(struct efx_arena *a, const struct efx_schema *schema,
                            const struct efx_col *const *cols, uint32_t row);

#endif /* EFX_ROW_JSON_H */
