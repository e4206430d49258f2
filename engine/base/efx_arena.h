#ifndef EFX_ARENA_H
#define EFX_ARENA_H

#include "efx_err.h"

#include <stddef.h>

/* Memory: one door to the allocator, and arenas named after their lifetime.
 *
 *   efx_mem      where bytes come from; tests swap in one that fails, budgets count through it
 *   efx_arena    memory given back all at once: app, plan, step. For the control plane and for
 *                bytes that live as long as a step; never one call per row
 *
 *   Owner    the arena owns its chunks; what it hands out lives until reset or fini
 *   Limits   limit_bytes, counted in whole chunks
 *   Errors   NULL: limit reached, allocator said no, or n * item_bytes overflows
 *   Threads  one at a time; locks none (efx_mem_libc: any)
 */
struct efx_mem {
    void *(*alloc)(struct efx_mem *self, size_t bytes); /* 64-byte aligned; NULL = no */
    void (*free)(struct efx_mem *self, void *p, size_t bytes);
};
extern struct efx_mem efx_mem_libc;

/* A budget over another efx_mem: alloc says no beyond limit_bytes. First member: pass &b->base. Any
 * thread. */
struct efx_budget {
    struct efx_mem base;
    struct efx_mem *from;
    size_t used_bytes, peak_bytes, limit_bytes;
};
void efx_budget_init(struct efx_budget *b, struct efx_mem *from, size_t limit_bytes);

/* Grows p from old_bytes to new_bytes (contents kept, the rest not zeroed); NULL = no, p stays. */
void *efx_mem_grow(struct efx_mem *mem, void *p, size_t old_bytes, size_t new_bytes);

struct efx_arena_chunk;

struct efx_arena {
    struct efx_mem *mem;
    struct efx_arena_chunk *top;
    size_t used_bytes; /* chunk bytes held now */
    size_t limit_bytes;
    size_t chunk_bytes; /* of the next ordinary chunk */
};

void efx_arena_init(struct efx_arena *a, struct efx_mem *mem, size_t limit_bytes);
void efx_arena_fini(struct efx_arena *a);
/* Forgets everything handed out, keeps one chunk for the next round. */
void efx_arena_reset(struct efx_arena *a);

/* Zeroed room for n items; `align` is a power of two, at most 64. */
void *efx_arena_alloc(struct efx_arena *a, size_t n, size_t item_bytes, size_t align)
    __attribute__((warn_unused_result));
/* Room that is not zeroed, 8-byte aligned: for bytes of a step. */
void *efx_arena_bytes(struct efx_arena *a, size_t n) __attribute__((warn_unused_result));
/* A NUL-terminated copy; NULL as above. */
char *efx_arena_str(struct efx_arena *a, const char *s, size_t n)
    __attribute__((warn_unused_result));
char *efx_arena_printf(struct efx_arena *a, const char *fmt, ...) EFX_PRINTF(2, 3)
    __attribute__((warn_unused_result));

#define EFX_NEW(arena, T)      ((T *)efx_arena_alloc((arena), 1, sizeof(T), _Alignof(T)))
#define EFX_NEW_N(arena, T, n) ((T *)efx_arena_alloc((arena), (n), sizeof(T), _Alignof(T)))

#endif /* EFX_ARENA_H */
