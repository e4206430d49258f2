#ifndef BATCH_IN_H
#define BATCH_IN_H

#include "efx_builder.h"
#include "wire.h"

/* The rows of a SubmitRequest on their way from the wire into builders: no copy of the message, no
 * allocation per row, no protobuf library.
 *
 *   open    the whole message is read once: what makes no sense is found before a row counts
 *   fill    rows into a builder, as many as it takes; again with the next one
 *
 *   columns   fixed ──► efx_builder_copy, straight from the message where types agree
 *             ends, heap ──► cells that point into the message
 *   rows      Value after Value into the open row
 *
 * What one value gets wrong is a reject at its row's place, so turn i of the builders is row i of
 * the message. A clock turn stands behind the last row.
 *
 *   Owner    the pieces stay until close; schemas are the app's
 *   Limits   BATCH_IN_ROWS_MAX rows a message: rows of columns that are not sent cost no byte
 *   Errors   of open: USER with a code and a sentence, EFX_EPARSE, EFX_EABSENT (stream, column),
 *            EFX_ETYPE, EFX_ELIMIT. Of fill: EFX_AGAIN: the builder is full; EFX_ENOMEM
 *   Threads  one at a time
 *   Source   proto/eventflux.proto, proto/README.md; tests/fuzz/fuzz_grpc_batch.c
 */
enum { BATCH_IN_ROWS_MAX = 1024 * 1024, BATCH_IN_BYTES_MAX = 64 * 1024 * 1024 };

struct batch_reject {
    uint64_t row; /* of the message, from 0 */
    uint16_t code;
    const char *stream, *column, *reason; /* static, or the schema's */
    struct batch_reject *next;
};

struct batch;

struct batch_in {
    struct efx_arena scratch;
    const struct efx_schema *const *schemas; /* [n_streams] NULL = takes no events */
    uint32_t n_streams;
    bool has_open;
    struct efx_bytes open; /* the Open message */
    uint64_t first_seq;
    bool has_advance, drain;
    int64_t advance_ms;
    uint64_t n_rows;
    struct batch *first, **last;
    /* How far it is filled. */
    struct batch *at;
    uint32_t row; /* of `at` */
    uint64_t n_done;
    bool advanced;
    struct batch_reject *rejects, **last_reject; /* of the last fill; in scratch */
};

enum efx_rc batch_in_open(struct batch_in *in, const struct efx_schema *const *schemas,
                          uint32_t n_streams, const struct efx_bytes *pieces, uint32_t n_pieces,
                          struct efx_err *err) EFX_MUST_USE;
/* EFX_OK: all is in. Rejects of this call are in in->rejects until the next. */
enum efx_rc batch_in_fill(struct batch_in *in, struct efx_builder *b) EFX_MUST_USE;
/* As it was before the first fill: the builders came to nothing. */
void batch_in_rewind(struct batch_in *in);
void batch_in_close(struct batch_in *in);

#endif /* BATCH_IN_H */
