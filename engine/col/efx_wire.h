#ifndef EFX_WIRE_H
#define EFX_WIRE_H

#include "efx_batch.h"
#include "efx_buf.h"

/* Rows as bytes: what leaves a process in a packet or a part of a tick.
 *
 *   u32 n_rows │ u16 n_cols │ u16 n_hidden │ u8 what │ ts [n] i64 │ clk, moment, sub [n] u64
 *   │ kind [n] u8 │ code [n] u16 │ set_end [words] │ number [n] u64
 *                                                            those that `what` has a bit for
 *   │ per column: u8 type │ u8 has NULLs │ validity [words] │ slots [n], or of texts
 *     u32 length [n] and then their bytes
 *
 * Only rows that are there are written, dense, as on a dense copy of the slice. Numbers are
 * little-endian. NULL slots are written as zeros, so equal rows are equal bytes.
 *
 *   Owner    put: the buffer is the caller's. get: columns and texts of *out live in `arena`
 *   Limits   EFX_BATCH_ROWS_MAX rows, EFX_WIRE_COLS_MAX columns
 *   Errors   get: EFX_EPARSE: cut, or no batch. It trusts nothing: counts, types, lengths and BOOLs
 *            are checked; moments and kinds are the peer's word
 */
enum { EFX_WIRE_COLS_MAX = 2048 };

/* Rows of the slice that are there; nothing is written if there is none. */
void efx_wire_put(struct efx_buf *to, const struct efx_rows *rows);
enum efx_rc efx_wire_get(struct efx_reader *r, struct efx_arena *arena,
                         struct efx_batch *out) EFX_MUST_USE;

/* One column of n rows, `at` their places (NULL: first, first + 1 …). */
struct efx_wire_pick {
    const uint32_t *at;
    uint32_t first, n;
};
void efx_wire_put_col(struct efx_buf *to, const struct efx_col *c,
                      const struct efx_wire_pick *pick);
enum efx_rc efx_wire_get_col(struct efx_reader *r, struct efx_arena *arena, uint32_t n,
                             struct efx_col *out) EFX_MUST_USE;

#endif /* EFX_WIRE_H */
