#ifndef EFX_BUILDER_H
#define EFX_BUILDER_H

#include "efx_arena.h"
#include "efx_schema.h"
#include "efx_step.h"

/* What a format fills: columns per stream, and one list of turns. Numbered, it is a step.
 *
 *   event by event   begin(S) set … end(S)          fixed-width values go straight into the columns
 *   whole columns    lend(S, cols, 700 rows)        no copy: good while the step is processed at
 *   once
 *   no row           advance(1500)   reject(S, code, line, text)     turns too: they have their
 *   place
 *
 * An event that is not ended leaves no trace. A stream's columns are made at its first row, so
 * streams that a step does not use cost nothing.
 *
 *   Owner    the core's pool; a source borrows a builder and hands it back full or not
 *   Limits   turns_max turns (application.max_batch, at most EFX_STEP_TURNS_MAX)
 *   Errors   EFX_AGAIN: no room, hand it over and start the event anew in the next one
 *   Threads  the one that decodes
 */
enum { EFX_REJECT_BYTES_MAX = 8 * 1024 }; /* kept of an event that is rejected */

struct efx_colset { /* the rows of one stream */
    uint16_t stream;
    uint32_t n_rows;
    uint32_t n_cols;
    int64_t *ts_ms;             /* EFX_TS_NONE: nobody gave one */
    void **data;                /* [n_cols] of the schema's types, [EFX_STEP_TURNS_MAX] each */
    uint64_t **valid;           /* [n_cols][EFX_BATCH_WORDS] */
    const struct efx_col *lent; /* [n_cols] whole columns in place of data; NULL = none */
    const int64_t *lent_ts;     /* NULL: nobody gave any */
};

struct efx_reject {  /* an event that could not be taken: counted, dead-lettered, never a row */
    uint16_t stream; /* EFX_TURN_REJECT: not even known */
    uint16_t code;   /* nnnn of EFX-nnnn */
    uint32_t line;   /* of the input, from 1; 0 = has none */
    struct efx_cell original; /* perhaps cut, perhaps no UTF-8 */
};

struct efx_builder {
    const struct efx_schema *const *schemas; /* [n_streams] by stream number; NULL = takes none */
    uint32_t n_streams;
    uint32_t turns_max;
    uint32_t n_turns, n_used, n_clocks, n_rejects;
    struct efx_turn *turns;     /* [EFX_STEP_TURNS_MAX] */
    struct efx_colset **set;    /* [n_streams]; NULL = not made yet */
    uint16_t *used;             /* [n_streams] streams with rows, in order of their first */
    int64_t *clock_ms;          /* [EFX_STEP_TURNS_MAX] by how much the clock moves */
    struct efx_reject *rejects; /* [EFX_STEP_TURNS_MAX] */
    struct efx_arena heap;      /* long texts; reset when the builder is cleared */
    struct efx_arena *keep;     /* column sets: made once, kept */
};

enum efx_rc efx_builder_create(struct efx_arena *keep, struct efx_mem *mem,
                               const struct efx_schema *const *schemas, uint32_t n_streams,
                               uint32_t turns_max, struct efx_builder **out) EFX_MUST_USE;
void efx_builder_clear(struct efx_builder *b);
void efx_builder_close(struct efx_builder *b);

static inline bool efx_builder_full(const struct efx_builder *b)
{
    return b->n_turns == b->turns_max;
}

/* Opens a row: all its columns NULL; *out is where to write it, at place out->n_rows. */
enum efx_rc efx_builder_begin(struct efx_builder *b, uint16_t stream, int64_t ts_ms,
                              struct efx_colset **out) EFX_MUST_USE;
/* Makes column c of the open row NOT NULL; the caller has written its slot. */
static inline void efx_builder_valid(struct efx_colset *s, uint32_t c)
{
    efx_bit_put(s->valid[c], s->n_rows, true);
}
/* A text for the open row's slot; copied if it is long. */
enum efx_rc efx_builder_text(struct efx_builder *b, struct efx_colset *s, uint32_t c,
                             const void *bytes, uint32_t n) EFX_MUST_USE;
void efx_builder_end(struct efx_builder *b, struct efx_colset *s);

/* Rows of one stream at once as views that stay until the step is done; the stream has no other row
 * in this builder. n_rows <= turns left. */
enum efx_rc efx_builder_lend(struct efx_builder *b, uint16_t stream, uint32_t n_rows,
                             const struct efx_col *cols, const int64_t *ts_ms) EFX_MUST_USE;
/* The same as copies: the columns are the caller's again at once. Texts of more than 12 bytes are
 * copied, too. */
enum efx_rc efx_builder_copy(struct efx_builder *b, uint16_t stream, uint32_t n_rows,
                             const struct efx_col *cols, const int64_t *ts_ms) EFX_MUST_USE;
enum efx_rc efx_builder_advance(struct efx_builder *b, int64_t by_ms) EFX_MUST_USE;
enum efx_rc efx_builder_reject(struct efx_builder *b, uint16_t stream, uint16_t code, uint32_t line,
                               const void *text, size_t n) EFX_MUST_USE;

#endif /* EFX_BUILDER_H */
