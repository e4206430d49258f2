#ifndef GATHER_H
#define GATHER_H

#include "efx_op.h"

/* Rows of a batch picked by number, for operators that make new rows out of held and arriving ones.
 *
 *   Owner    scratch of ctx
 */
/* Values row[0 .. n-1] of a column. */
struct efx_col efx_op__gather(struct efx_ctx *ctx, const struct efx_col *from, const uint32_t *row,
                              uint32_t n);
/* What rows made of rows row[0 .. n-1] of `in` inherit: timestamps, clocks, and by `needs` moments
 * and sub. */
void efx_op__inherit(struct efx_ctx *ctx, const struct efx_step *step, const struct efx_batch *in,
                     const uint32_t *row, uint32_t n, uint32_t needs, struct efx_batch *b);

#endif /* GATHER_H */
