#ifndef EFX_HEAP_H
#define EFX_HEAP_H

#include "efx_arena.h"

#include <string.h>

/* Variable parts of per-key states and long texts of keys and held rows.
 *
 *   state  │ n │ ref ───┐        a ref is a place, never a pointer, so states move by memcpy
 *   page   │ … │ piece ◄┘ … │    64 KB pages, pieces in 8-byte classes; a larger piece is a page
 *
 * A freed piece goes to the free list of its class (classes grow by an eighth above 256 bytes).
 *
 *   Owner    the table or log; its bytes count in that owner's budget
 *   Errors   EFX_ENOMEM: the budget; nothing was changed
 *   Limits   2^32 - 1 units of 8 bytes in all (32 GiB)
 *   Threads  the shard's owner
 *   Order    a place seen by efx_heap_at is good as long as the piece lives (pages never move)
 */
struct efx_heap;

enum efx_rc efx_heap_create(struct efx_mem *mem, struct efx_heap **out) EFX_MUST_USE;
void efx_heap_destroy(struct efx_heap **h);

/* *ref: 0 is never given, so it can say "none". bytes > 0. */
enum efx_rc efx_heap_get(struct efx_heap *h, uint32_t bytes, uint32_t *ref) EFX_MUST_USE;
void efx_heap_put(struct efx_heap *h, uint32_t ref, uint32_t bytes);
static inline void *efx_heap_at(const struct efx_heap *h, uint32_t ref);
size_t efx_heap_bytes(const struct efx_heap *h); /* held from mem */

struct efx_heap__pages { /* what every heap begins with */
    uint8_t **page;
};

static inline void *efx_heap_at(const struct efx_heap *h, uint32_t ref)
{
    const struct efx_heap__pages *p = (const struct efx_heap__pages *)(const void *)h;
    return p->page[ref >> 13] + (size_t)(ref & 8191) * 8;
}

#endif /* EFX_HEAP_H */
