#ifndef EFX_BUILDER_WIRE_H
#define EFX_BUILDER_WIRE_H

#include "efx_buf.h"
#include "efx_builder.h"

/* A builder's turns as bytes, as a part of a tick carries them to the other members; and turns of
 * several builders one behind the other in one.
 *
 *   u32 n_turns │ u8 plain: u16 stream, or u16 stream, u16 row [n_turns]
 *   │ u16 n_sets, of each: u16 stream │ u32 n_rows │ ts i64 [n_rows] │ columns as in efx_wire.h
 *   │ u32 n_clocks, i64 [n] │ u32 n_rejects, of each: u16 stream, u16 code, u32 line, u32 n, bytes
 *
 *   Owner    the caller's; what `get` and `append` make is the builder's own
 *   Limits   those of the builder
 *   Errors   get: EFX_EPARSE: cut, or not of these streams; the builder is to be cleared then.
 *            append: EFX_AGAIN: no room for all of it, nothing was taken
 */
void efx_builder_put(struct efx_buf *to, const struct efx_builder *b, uint32_t from_turn);
enum efx_rc efx_builder_get(struct efx_reader *r, struct efx_builder *b) EFX_MUST_USE;
enum efx_rc efx_builder_append(struct efx_builder *to, const struct efx_builder *from,
                               uint32_t from_turn, uint32_t until_turn) EFX_MUST_USE;

#endif /* EFX_BUILDER_WIRE_H */
