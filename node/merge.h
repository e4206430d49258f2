#ifndef MERGE_H
#define MERGE_H

#include "efx_app.h"
#include "part.h"

/* The rows of a tick in one order (C3): by (clock, member, turn), where the clock of a row is the
 * greatest of what its part has said so far, from the clock before the tick on.
 *
 *   part of 0   10  12  11  20        runs go to the app as they are: 0: 10 12 11 │ 1: 15 │ 0: 20
 *   part of 1   15
 *
 * On the system clock a part's clock is the wall time of its header, so parts stand one behind the
 * other.
 *
 *   Owner    bytes of items are borrowed for node_merge; builders are the merge's own
 *   Errors   EFX_EPARSE: a part does not decode: its member speaks another language (BUG)
 *   Threads  the engine's
 */
struct node_merge_item {
    uint32_t member;
    uint32_t skip; /* turns that were taken before */
    int64_t wall_ms;
    struct efx_bytes rows;
};

struct node_merge;

enum efx_rc node_merge_create(struct efx_app *app, const struct efx_schema *const *schemas,
                              uint32_t n_streams, uint32_t max_batch, bool virtual_clock,
                              struct node_merge **out) EFX_MUST_USE;
/* Builders go to and fro between merge and app: first close, then the app goes, then destroy. */
void node_merge_close(struct node_merge *m);
void node_merge_destroy(struct node_merge **m);
/* Items by member ascending, of a member in their order. Submits what fills builders. */
enum efx_rc node_merge_run(struct node_merge *m, const struct node_merge_item *items,
                           uint32_t n) EFX_MUST_USE;

#endif /* MERGE_H */
