#ifndef OUTBOX_H
#define OUTBOX_H

#include "efx_batch.h"
#include "efx_outbox.h"
#include "efx_plan.h"

/* Rows of grpc sinks that leave this member's shards, until a checkpoint has them (C21).
 *
 *   rows ─► open ── mark 7: cut ─► pieces of 7 ─► chunks, receipt ─► report
 *                          ▲            │ 7 is void
 *                          └────────────┘ they go with the next one
 *
 *   piece   u32 n columns { u8 type, name } │ batches (efx_wire.h) until it ends
 *
 * It lives as long as the channel epoch: after a rewind the rows come again from the state that is
 * loaded, and none of them was in a checkpoint that stands.
 *
 *   Limits   a piece begins anew beyond EFX_CKPT_RAW_BYTES
 *   Threads  rows, cut: the engine's; verdict: the loop's; finish: the storage thread
 */
struct node_outbox;

bool node_outbox_is_sink(const struct efx_bobject *o);
/* NULL in *out: the program has no grpc sink. */
enum efx_rc node_outbox_create(const struct efx_program *program, struct efx_store *store,
                               uint32_t part, struct node_outbox **out) EFX_MUST_USE;
void node_outbox_destroy(struct node_outbox **o);
void node_outbox_rows(struct node_outbox *o, const struct efx_bobject *stream,
                      const struct efx_rows *rows);
/* Behind the mark's tick. */
void node_outbox_cut(struct node_outbox *o, uint64_t no);
void node_outbox_verdict(struct node_outbox *o, uint64_t no, bool stands);
/* As `finish` of struct efx_storage_job. */
enum efx_rc node_outbox_finish(void *arg, uint64_t no, const struct efx_ckpt_receipt **receipts,
                               uint32_t *n, struct efx_err *err);

/* A piece's columns; names in the arena. The batches follow in *r. */
bool node_outbox_columns(struct efx_reader *r, struct efx_arena *arena, struct efx_schema *out);

#endif /* OUTBOX_H */
