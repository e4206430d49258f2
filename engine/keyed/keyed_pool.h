#ifndef KEYED_POOL_H
#define KEYED_POOL_H

#include "efx_arena.h"

#include <stdbool.h>
#include <stdint.h>

/* Memory for the index arrays of a table's key groups: powers of two, cut from blocks that fill a
 * huge page.
 *
 *   block 2 MB   │ 16 K │ 16 K │    32 K     │ free 64 K │        free 128 K        │ …
 *   freed        two halves of one piece become that piece again: groups grow at nearly the same
 *                time, so what one has outgrown is soon what another needs
 *
 * A thousand arrays asked for one by one lie on pages of 4 KB all over the heap; every look at a
 * slot then misses the TLB, too, which costs as much as the cache line itself. A small table stays
 * with single arrays: a block for it would be more than its state.
 *
 *   Owner    the table; blocks come from its mem
 *   Limits   pieces of POOL_UNIT_BYTES up to a block
 *   Errors   NULL: no memory
 *   Threads  the table's owner
 */
enum { POOL_UNIT_BYTES = 1024, POOL_UNITS = 2048, POOL_ORDERS = 12 };

struct pool_piece { /* in the free piece itself */
    struct pool_piece *next, *prev;
};

struct pool_block {
    struct pool_block *next;
    uint8_t *base;
    uint8_t free[POOL_UNITS]; /* order + 1 of the free piece that begins here; 0 = none does */
};

struct efx_keyed_pool {
    struct pool_block *block;
    struct pool_piece *free[POOL_ORDERS];
    size_t held_bytes; /* of blocks, with their books */
};

/* `bytes` is a power of two, POOL_UNIT_BYTES to POOL_UNIT_BYTES * POOL_UNITS; not zeroed. */
void *efx_keyed__pool_take(struct efx_keyed_pool *p, struct efx_mem *mem, size_t bytes);
void efx_keyed__pool_give(struct efx_keyed_pool *p, struct efx_mem *mem, void *piece, size_t bytes);

#endif /* KEYED_POOL_H */
