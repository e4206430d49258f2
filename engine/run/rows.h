#ifndef ROWS_H
#define ROWS_H

#include "efx_op.h"

/* Rows that wait: at the inlet of a confluence, in a packet to another shard, before an output. A
 * list of dense copies, deep (long texts too), in an arena that lives until the step (or packet) is
 * done; and the merge of several such lists.
 *
 *   merge   lists in order of (moment, then sub and list number | list rank)
 *           runs of 64 rows and more are passed on as views, shorter ones gathered
 *
 *   Owner   the arena's owner; a batch of the step itself is kept by reference (`stable`)
 */
struct rows_chunk {
    struct efx_batch b; /* dense, moments filled if the edge carries them */
    struct rows_chunk *next;
};

struct rows_list {
    struct rows_chunk *first, *last;
    uint64_t n_rows;
};

/* Appends a copy of the slice's rows. With `stable` columns, timestamps, clocks and moments are
 * kept by pointer where the slice is the whole batch: they outlive the list. EFX_ENOMEM. */
enum efx_rc efx_rows__add(struct rows_list *l, struct efx_arena *arena, const struct efx_rows *rows,
                          bool stable) EFX_MUST_USE;

struct rows_merge {
    uint32_t n;                    /* lists */
    const struct rows_list *lists; /* [n] */
    const uint32_t *rank; /* [n] order among lists at one moment; NULL: by sub, then number */
    bool gather;          /* false: every run is handed over as it lies, with its list */
    struct efx_ctx *ctx;
    enum efx_rc (*out)(void *arg, uint32_t list, const struct efx_rows *rows);
    void *arg;
};
enum efx_rc efx_rows__merge(const struct rows_merge *m) EFX_MUST_USE;

#endif /* ROWS_H */
