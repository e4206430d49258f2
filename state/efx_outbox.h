#ifndef EFX_OUTBOX_H
#define EFX_OUTBOX_H

#include "efx_checkpoint.h"

/* Bytes that a checkpoint keeps for readers, beside the state: chunks that a receipt names (C21).
 *
 *   put(7, "Alerts", part 2, pieces) ─► chunks of 7 ─► receipt ─► manifest 7 ─► get, by anybody
 *
 * A receipt of this kind begins with a word of its own; retention and verification see its chunks
 * as they see those of operators.
 *
 *   Owner    what is listed lives in the arena
 *   Limits   a piece is a chunk: EFX_CKPT_RAW_BYTES as a rule, EFX_CHUNK_STORED_MAX at most
 *   Errors   EFX_EPARSE, kind ENV: damaged, named
 *   Threads  any; put and get wait for the store
 */
enum efx_rc efx_outbox_put(struct efx_store *store, const struct efx_bytes *pieces, uint32_t n,
                           struct efx_arena *arena, struct efx_ckpt_receipt *receipt,
                           struct efx_err *err) EFX_MUST_USE; /* receipt: all but bytes is given */
/* *n = 0: it is of another kind. */
enum efx_rc efx_outbox_chunks(const struct efx_ckpt_receipt *receipt, struct efx_arena *arena,
                              struct efx_ckpt_chunk **out, uint32_t *n,
                              struct efx_err *err) EFX_MUST_USE;
/* A piece as it was, in the arena. */
enum efx_rc efx_outbox_get(struct efx_store *store, const struct efx_ckpt_receipt *receipt,
                           const struct efx_ckpt_chunk *chunk, struct efx_arena *arena,
                           struct efx_bytes *piece, struct efx_err *err) EFX_MUST_USE;

#endif /* EFX_OUTBOX_H */
